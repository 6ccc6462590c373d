//! The queues by name and by identifier, read by all threads without a lock.
//!
//! Sorted chunks behind `Arc`s: a change copies one chunk and the list of chunks, not a million
//! entries; readers keep the version they loaded.

use std::cmp::Ordering;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering as AtomicOrdering};

use arc_swap::ArcSwap;
use kyu_engine::{DirectoryChange, QueueId, QueueInfo, QueueName};

/// The number of entries at which a chunk is split into halves.
const CHUNK_QUEUES: usize = 256;

/// The index in which doors look queues up. It shows durable facts only.
#[derive(Debug)]
pub struct Directory {
    tables: ArcSwap<Tables>,
    version: AtomicU64,
}

#[derive(Clone, Debug, Default)]
struct Tables {
    by_name: Sorted,
    by_id: Sorted,
    /// Queues with a dead-letter rule, by its target and then by identifier.
    by_target: Sorted,
}

impl Directory {
    pub(crate) fn new(queues: impl Iterator<Item = Arc<QueueInfo>>) -> Self {
        let mut all: Vec<_> = queues.collect();
        all.sort_unstable_by_key(|queue| queue.id);
        let by_id = Sorted::from_sorted(&all);
        all.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        let by_name = Sorted::from_sorted(&all);
        all.retain(|queue| target(queue).is_some());
        all.sort_unstable_by(|a, b| by_target(a, b));
        let by_target = Sorted::from_sorted(&all);
        let tables = ArcSwap::from_pointee(Tables { by_name, by_id, by_target });
        Self { tables, version: AtomicU64::new(1) }
    }

    /// A version that rises after every change: queues read after it are at least as new.
    pub fn version(&self) -> u64 {
        self.version.load(AtomicOrdering::Acquire)
    }

    /// The queue of that name.
    pub fn by_name(&self, name: &QueueName) -> Option<Arc<QueueInfo>> {
        self.tables.load().by_name.find(|queue| queue.name.cmp(name)).cloned()
    }

    /// The queue with that identifier.
    pub fn by_id(&self, id: QueueId) -> Option<Arc<QueueInfo>> {
        self.tables.load().by_id.find(|queue| queue.id.cmp(&id)).cloned()
    }

    /// The queues of a namespace whose names begin with `prefix`, in order of name.
    pub fn list(&self, namespace: &str, prefix: &str) -> Vec<Arc<QueueInfo>> {
        let tables = self.tables.load();
        tables
            .by_name
            .from(|queue| {
                (queue.name.namespace.as_str(), queue.name.name.as_str()).cmp(&(namespace, prefix))
            })
            .take_while(|q| q.name.namespace == namespace && q.name.name.starts_with(prefix))
            .cloned()
            .collect()
    }

    /// The first `max` queues of a namespace whose names begin with `prefix` and come after
    /// `after`, in order of name.
    pub fn page(
        &self,
        namespace: &str,
        prefix: &str,
        after: Option<&str>,
        max: usize,
    ) -> Vec<Arc<QueueInfo>> {
        let first = after.filter(|after| *after > prefix).unwrap_or(prefix);
        let tables = self.tables.load();
        tables
            .by_name
            .from(|queue| {
                (queue.name.namespace.as_str(), queue.name.name.as_str()).cmp(&(namespace, first))
            })
            .take_while(|q| q.name.namespace == namespace && q.name.name.starts_with(prefix))
            .filter(|queue| after.is_none_or(|after| queue.name.name.as_str() > after))
            .take(max)
            .cloned()
            .collect()
    }

    /// The first `max` queues of all namespaces, in order of name.
    pub fn first(&self, max: usize) -> Vec<Arc<QueueInfo>> {
        self.tables.load().by_name.from(|_| Ordering::Greater).take(max).cloned().collect()
    }

    /// The namespaces that have queues, in order.
    pub fn namespaces(&self) -> Vec<String> {
        let tables = self.tables.load();
        let mut found: Vec<String> = Vec::new();
        loop {
            let next = tables.by_name.from(|queue| match found.last() {
                Some(last) if queue.name.namespace <= *last => Ordering::Less,
                _ => Ordering::Greater,
            });
            let Some(queue) = next.map(|queue| queue.name.namespace.clone()).next() else { break };
            found.push(queue);
        }
        found
    }

    /// The first `max` queues whose dead-letter rule names this queue, whether it is there or not.
    pub fn dead_letter_sources(&self, name: &QueueName, max: usize) -> Vec<Arc<QueueInfo>> {
        let tables = self.tables.load();
        let sources = tables.by_target.from(|queue| target(queue).cmp(&Some(name)));
        sources.take_while(|queue| target(queue) == Some(name)).take(max).cloned().collect()
    }

    /// The number of queues.
    pub fn len(&self) -> usize {
        self.tables.load().by_id.len()
    }

    /// Returns true if there are no queues.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Applies changes, in order. Callers take turns: see [`crate::outbox`].
    pub(crate) fn publish(&self, changes: Vec<DirectoryChange>) {
        let mut tables = Tables::clone(&self.tables.load());
        for change in changes {
            match change {
                DirectoryChange::Put(queue) => tables.put(queue),
                DirectoryChange::Removed(id) => tables.remove(id),
            }
        }
        self.tables.store(Arc::new(tables));
        self.version.fetch_add(1, AtomicOrdering::Release);
    }
}

impl Tables {
    fn put(&mut self, queue: Arc<QueueInfo>) {
        if let Some(old) = self.by_id.find(|other| other.id.cmp(&queue.id)).cloned() {
            self.by_target.remove(|other| by_target(other, &old));
        }
        if let Some(target) = target(&queue) {
            self.by_target.put(Arc::clone(&queue), |other| by_target(other, &queue));
            self.warn_of_missing(&queue, target);
        }
        self.by_id.put(Arc::clone(&queue), |other| other.id.cmp(&queue.id));
        self.by_name.put(Arc::clone(&queue), |other| other.name.cmp(&queue.name));
    }

    fn remove(&mut self, id: QueueId) {
        let Some(queue) = self.by_id.remove(|other| other.id.cmp(&id)) else { return };
        self.by_target.remove(|other| by_target(other, &queue));
        // The name may already belong to a successor.
        let named = self.by_name.find(|other| other.name.cmp(&queue.name));
        if named.is_some_and(|named| named.id == id) {
            self.by_name.remove(|other| other.name.cmp(&queue.name));
            self.warn_of_sources(&queue.name);
        }
    }

    fn warn_of_missing(&self, queue: &QueueInfo, target: &QueueName) {
        let there = self.by_name.find(|other| other.name.cmp(target)).is_some();
        if !there && *target != queue.name {
            tracing::warn!(
                "the dead-letter queue {:?} of the queue {:?} does not exist; its dead letters stay \
                 where they are until it does",
                target.name,
                queue.name.name
            );
        }
    }

    fn warn_of_sources(&self, name: &QueueName) {
        let mut sources = self.by_target.from(|queue| target(queue).cmp(&Some(name)));
        if let Some(source) = sources.next().filter(|queue| target(queue) == Some(name)) {
            tracing::warn!(
                "the queue {:?} is gone, and is the dead-letter queue of {:?} (and perhaps others), \
                 whose dead letters stay where they are until it is back",
                name.name,
                source.name.name
            );
        }
    }
}

/// The target of a queue's dead-letter rule.
fn target(queue: &QueueInfo) -> Option<&QueueName> {
    queue.config.dead_letter.as_ref().map(|rule| &rule.target)
}

fn by_target(a: &QueueInfo, b: &QueueInfo) -> Ordering {
    (target(a), a.id).cmp(&(target(b), b.id))
}

/// A sorted list in chunks, none of them empty. `order` compares an entry with the one that is sought.
#[derive(Clone, Debug, Default)]
struct Sorted {
    chunks: Vec<Arc<Vec<Arc<QueueInfo>>>>,
}

impl Sorted {
    fn from_sorted(queues: &[Arc<QueueInfo>]) -> Self {
        let chunks =
            queues.chunks(CHUNK_QUEUES / 2).map(|chunk| Arc::new(chunk.to_vec())).collect();
        Self { chunks }
    }

    fn len(&self) -> usize {
        self.chunks.iter().map(|chunk| chunk.len()).sum()
    }

    /// The chunk that has or would have the entry: the last one that does not begin after it.
    fn chunk_of(&self, order: impl Fn(&QueueInfo) -> Ordering) -> usize {
        let begins_before = |chunk: &Arc<Vec<Arc<QueueInfo>>>| {
            chunk.first().is_some_and(|first| order(first) != Ordering::Greater)
        };
        self.chunks.partition_point(begins_before).saturating_sub(1)
    }

    fn find(&self, order: impl Fn(&QueueInfo) -> Ordering) -> Option<&Arc<QueueInfo>> {
        let chunk = self.chunks.get(self.chunk_of(&order))?;
        let at = chunk.binary_search_by(|queue| order(queue)).ok()?;
        chunk.get(at)
    }

    /// All entries from the first that is not less.
    fn from(
        &self,
        order: impl Fn(&QueueInfo) -> Ordering,
    ) -> impl Iterator<Item = &Arc<QueueInfo>> {
        let rest = self.chunks.get(self.chunk_of(&order)..).unwrap_or_default();
        rest.iter()
            .flat_map(|chunk| chunk.iter())
            .skip_while(move |queue| order(queue) == Ordering::Less)
    }

    fn put(&mut self, queue: Arc<QueueInfo>, order: impl Fn(&QueueInfo) -> Ordering) {
        let at_chunk = self.chunk_of(&order);
        let Some(chunk) = self.chunks.get_mut(at_chunk) else {
            self.chunks.push(Arc::new(vec![queue]));
            return;
        };
        let entries = Arc::make_mut(chunk);
        match entries.binary_search_by(|other| order(other)) {
            Ok(at) => {
                if let Some(slot) = entries.get_mut(at) {
                    *slot = queue;
                }
            }
            Err(at) => entries.insert(at, queue),
        }
        if entries.len() > CHUNK_QUEUES {
            let upper = entries.split_off(CHUNK_QUEUES / 2);
            self.chunks.insert(at_chunk + 1, Arc::new(upper));
        }
    }

    fn remove(&mut self, order: impl Fn(&QueueInfo) -> Ordering) -> Option<Arc<QueueInfo>> {
        let at_chunk = self.chunk_of(&order);
        let chunk = self.chunks.get_mut(at_chunk)?;
        let at = chunk.binary_search_by(|queue| order(queue)).ok()?;
        let removed = Arc::make_mut(chunk).remove(at);
        if chunk.is_empty() {
            self.chunks.remove(at_chunk);
        }
        Some(removed)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use kyu_engine::QueueConfig;

    use super::*;

    fn name(text: &str) -> QueueName {
        QueueName { namespace: "n".into(), name: text.into() }
    }

    fn queue(id: u32, text: &str) -> Arc<QueueInfo> {
        Arc::new(QueueInfo {
            id: QueueId(id),
            name: name(text),
            config: QueueConfig::default(),
            version: 1,
            created_at_ms: 0,
            modified_at_ms: 0,
        })
    }

    #[test]
    fn it_says_what_a_map_says_through_thousands_of_changes() {
        let directory = Directory::new(std::iter::empty());
        let mut model = BTreeMap::new();
        for step in 0..6_000_u32 {
            // A walk through all residues: inserts first, then ever more removals.
            let at = step.wrapping_mul(2_654_435_761) % 3_000;
            let text = format!("q{at:04}");
            if let Some(id) = model.remove(&text) {
                directory.publish(vec![DirectoryChange::Removed(QueueId(id))]);
            } else {
                directory.publish(vec![DirectoryChange::Put(queue(step, &text))]);
                model.insert(text, step);
            }
        }
        assert_eq!(directory.len(), model.len());
        let listed: Vec<_> = directory.list("n", "").iter().map(|q| q.name.name.clone()).collect();
        assert!(listed.iter().eq(model.keys()));
        let part = directory.list("n", "q00");
        assert_eq!(part.len(), model.keys().filter(|k| k.starts_with("q00")).count());
        for at in 0..3_000 {
            let text = format!("q{at:04}");
            let found = directory.by_name(&name(&text)).map(|q| q.id.0);
            assert_eq!(found, model.get(&text).copied());
            assert_eq!(
                found.and_then(|id| directory.by_id(QueueId(id))).is_some(),
                found.is_some()
            );
        }
    }

    #[test]
    fn pages_and_namespaces() {
        let of = |namespace: &str, id: u32, text: &str| {
            let name = QueueName { namespace: namespace.into(), name: text.into() };
            Arc::new(QueueInfo { name, ..(*queue(id, text)).clone() })
        };
        assert!(Directory::new(std::iter::empty()).namespaces().is_empty());
        let mut queues: Vec<_> = (0..600).map(|at| of("b", at, &format!("q{at:03}"))).collect();
        queues.extend([of("a", 600, "q"), of("c", 601, "q"), of("c", 602, "r")]);
        let directory = Directory::new(queues.into_iter());
        assert_eq!(directory.namespaces(), ["a", "b", "c"]);
        let names = |prefix: &str, after: Option<&str>, max| {
            let page = directory.page("b", prefix, after, max);
            page.iter().map(|queue| queue.name.name.clone()).collect::<Vec<_>>()
        };
        assert_eq!(names("q", None, 2), ["q000", "q001"]);
        assert_eq!(names("q", Some("q001"), 2), ["q002", "q003"]);
        assert_eq!(names("q1", Some("q001"), 1), ["q100"]);
        assert_eq!(names("q59", Some("q598"), 5), ["q599"]);
        assert_eq!(names("", Some("q599"), 5), [""; 0]);
        assert_eq!(names("r", None, 5), [""; 0]);
    }

    #[test]
    fn a_successor_of_the_same_name_survives_the_removal_of_the_first() {
        let directory = Directory::new([queue(1, "a")].into_iter());
        directory.publish(vec![
            DirectoryChange::Put(queue(2, "a")),
            DirectoryChange::Removed(QueueId(1)),
        ]);
        assert_eq!(directory.by_name(&name("a")).map(|q| q.id), Some(QueueId(2)));
        assert!(directory.list("other", "").is_empty());
    }
}
