//! Topics: patterns that lead messages to queues. A queue's bindings are one of its settings, so
//! they go with it.

use std::sync::{Arc, Mutex, PoisonError};

use kyu_broker::QueueConfig;
use kyu_pgsql::error::PgError;
use kyu_pgsql::value::{Row, Value};

use super::failure::raise;
use super::session::QueueSession;

/// The setting: lines of `bound_at pattern`, microseconds since 2000.
const SETTING: &str = "pgmq.topics";
const MAX_CHARACTERS: usize = 255;

/// A pattern of a queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Binding {
    pub(super) pattern: String,
    pub(super) queue: String,
    pub(super) bound_at_us: i64,
}

/// Bindings of all queues, kept until the set of queues or a setting changes.
#[derive(Debug, Default)]
pub(super) struct Topics {
    // A std Mutex: nothing asynchronous happens while it is held.
    known: Mutex<(u64, Arc<Vec<Binding>>)>,
}

fn bindings_of(queue: &str, config: &QueueConfig) -> Vec<Binding> {
    let lines = config.attributes.get(SETTING).map(String::as_str).unwrap_or_default().lines();
    let bindings = lines.filter_map(|line| {
        let (at, pattern) = line.split_once(' ')?;
        let (queue, pattern) = (queue.to_owned(), pattern.to_owned());
        Some(Binding { pattern, queue, bound_at_us: at.parse().ok()? })
    });
    bindings.collect()
}

fn set_bindings(config: &mut QueueConfig, bindings: &[Binding]) {
    let lines: Vec<String> =
        bindings.iter().map(|b| format!("{} {}", b.bound_at_us, b.pattern)).collect();
    match lines.is_empty() {
        true => config.attributes.remove(SETTING),
        false => config.attributes.insert(SETTING.to_owned(), lines.join("\n")),
    };
}

impl Binding {
    /// The generated column `compiled_regex`.
    fn regex(&self) -> String {
        let mut regex = String::from("^");
        for c in self.pattern.chars() {
            match c {
                '*' => regex.push_str("[^.]+"),
                '#' => regex.push_str(".*"),
                c if ".+?{}()|[]\\^$".contains(c) => regex.extend(['\\', c]),
                c => regex.push(c),
            }
        }
        regex.push('$');
        regex
    }

    /// True if the regex matches: `*` is one or more signs but dots, `#` any signs.
    fn matches(&self, key: &str) -> bool {
        // After each sign of the pattern: which prefixes of the key it may have taken.
        let key = key.as_bytes();
        let mut reached = vec![false; key.len() + 1];
        if let Some(start) = reached.first_mut() {
            *start = true;
        }
        for sign in self.pattern.bytes() {
            let mut next = vec![false; key.len() + 1];
            let mut running = false;
            for (at, slot) in next.iter_mut().enumerate() {
                let came = reached.get(at).copied().unwrap_or(false);
                let before = at.checked_sub(1);
                let last = before.and_then(|before| key.get(before)).copied();
                let from_before =
                    before.and_then(|before| reached.get(before)).copied().unwrap_or(false);
                match sign {
                    b'#' => {
                        running |= came;
                        *slot = running;
                    }
                    b'*' => {
                        running = (running || from_before) && last.is_some_and(|c| c != b'.');
                        *slot = running;
                    }
                    sign => *slot = from_before && last == Some(sign),
                }
            }
            reached = next;
        }
        reached.last().copied().unwrap_or(false)
    }

    fn row(&self) -> Row {
        vec![
            Value::Text(self.pattern.clone()),
            Value::Text(self.queue.clone()),
            Value::Timestamp(self.bound_at_us),
            Value::Text(self.regex()),
        ]
    }
}

/// The form that keys and patterns must both have.
fn check(what: &str, text: Option<&str>, allowed: &str, extra: &str) -> Result<(), PgError> {
    let text = text.filter(|text| !text.is_empty());
    let text = text.ok_or_else(|| raise(format!("{what} cannot be NULL or empty")))?;
    let characters = text.chars().count();
    let problem = if characters > MAX_CHARACTERS {
        format!("{what} length cannot exceed 255 characters, got {characters} characters")
    } else if !text.chars().all(|c| c.is_ascii_alphanumeric() || allowed.contains(c)) {
        format!("{what} contains invalid characters. Only {extra} are allowed. Got: {text}")
    } else if text.starts_with('.') {
        format!("{what} cannot start with a dot. Got: {text}")
    } else if text.ends_with('.') {
        format!("{what} cannot end with a dot. Got: {text}")
    } else if text.contains("..") {
        format!("{what} cannot contain consecutive dots. Got: {text}")
    } else {
        return Ok(());
    };
    Err(raise(problem))
}

/// `pgmq.validate_routing_key`.
pub(super) fn check_key(key: Option<&str>) -> Result<&str, PgError> {
    check("routing_key", key, "._-", "alphanumeric, dots, hyphens, and underscores")?;
    Ok(key.unwrap_or_default())
}

/// `pgmq.validate_topic_pattern`.
pub(super) fn check_pattern(pattern: Option<&str>) -> Result<&str, PgError> {
    let extra = "alphanumeric, dots, hyphens, underscores, *, and #";
    check("pattern", pattern, "._-*#", extra)?;
    let pattern = pattern.unwrap_or_default();
    let problem = if pattern.contains("**") {
        "consecutive stars (**). Use # for multi-segment matching"
    } else if pattern.contains("##") {
        "consecutive hashes (##). A single # already matches zero or more segments"
    } else if pattern.contains("*#") || pattern.contains("#*") {
        "adjacent wildcards (*# or #*). Separate wildcards with dots"
    } else {
        return Ok(pattern);
    };
    Err(raise(format!("pattern cannot contain {problem}. Got: {pattern}")))
}

impl QueueSession {
    /// All bindings as this session sees them, by pattern and queue.
    pub(super) fn all_bindings(&self) -> Vec<Binding> {
        let outside = self.outside_bindings();
        let Some(transaction) = &self.transaction else { return outside.to_vec() };
        let changed = &transaction.state.queues;
        let mut all: Vec<Binding> = outside
            .iter()
            .filter(|binding| !changed.contains_key(&binding.queue))
            .cloned()
            .collect();
        for (name, changes) in changed {
            if let Some(config) = changes.config() {
                all.extend(bindings_of(name, config));
            }
        }
        all.sort_by(|a, b| (&a.pattern, &a.queue).cmp(&(&b.pattern, &b.queue)));
        all
    }

    fn outside_bindings(&self) -> Arc<Vec<Binding>> {
        let directory = self.shared.broker.directory();
        let version = directory.version();
        let mut known = self.shared.topics.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.0 != version || version == 0 {
            let queues = directory.list(&self.shared.namespace, "");
            let all = queues.iter().flat_map(|info| bindings_of(&info.name.name, &info.config));
            let mut all: Vec<Binding> = all.collect();
            all.sort_by(|a, b| (&a.pattern, &a.queue).cmp(&(&b.pattern, &b.queue)));
            *known = (version, Arc::new(all));
        }
        Arc::clone(&known.1)
    }

    /// The bindings that a routing key matches, by pattern.
    pub(super) fn routes(&self, key: &str) -> Vec<Binding> {
        self.all_bindings().into_iter().filter(|binding| binding.matches(key)).collect()
    }

    pub(super) async fn bind_topic(
        &mut self,
        pattern: Option<String>,
        queue: Option<String>,
    ) -> Result<(), PgError> {
        let pattern = check_pattern(pattern.as_deref())?.to_owned();
        let queue = queue.filter(|queue| !queue.is_empty());
        let queue = queue.ok_or_else(|| raise("queue_name cannot be NULL or empty"))?;
        if self.look_up(&queue).is_none() {
            return Err(raise(format!(
                "Queue \"{queue}\" does not exist. Create the queue first using pgmq.create()"
            )));
        }
        let bound_at_us = self.now_us();
        self.configure(&queue, move |name, config| {
            let mut bindings = bindings_of(name, config);
            if !bindings.iter().any(|binding| binding.pattern == pattern) {
                let (pattern, queue) = (pattern.clone(), name.to_owned());
                bindings.push(Binding { pattern, queue, bound_at_us });
                set_bindings(config, &bindings);
            }
            Ok(())
        })
        .await
    }

    pub(super) async fn unbind_topic(
        &mut self,
        pattern: Option<String>,
        queue: Option<String>,
    ) -> Result<bool, PgError> {
        let pattern = pattern.filter(|pattern| !pattern.is_empty());
        let pattern = pattern.ok_or_else(|| raise("pattern cannot be NULL or empty"))?;
        let queue = queue.filter(|queue| !queue.is_empty());
        let queue = queue.ok_or_else(|| raise("queue_name cannot be NULL or empty"))?;
        let bound = |b: &Binding| b.pattern == pattern && b.queue == queue;
        if !self.all_bindings().iter().any(bound) {
            return Ok(false);
        }
        let unbound = pattern.clone();
        self.configure(&queue, move |name, config| {
            let mut bindings = bindings_of(name, config);
            bindings.retain(|binding| binding.pattern != unbound);
            set_bindings(config, &bindings);
            Ok(())
        })
        .await?;
        Ok(true)
    }

    /// `list_topic_bindings`, newest first.
    pub(super) fn list_topic_bindings(&self, of: Option<&str>) -> Vec<Row> {
        let mut bindings = self.all_bindings();
        bindings.retain(|binding| of.is_none_or(|queue| binding.queue == queue));
        // By pattern and queue already.
        bindings.sort_by_key(|binding| std::cmp::Reverse(binding.bound_at_us));
        bindings.iter().map(Binding::row).collect()
    }

    /// The table `pgmq.topic_bindings`.
    pub(super) fn topic_bindings(&self) -> Vec<Row> {
        let mut bindings = self.all_bindings();
        bindings.sort_by_key(|binding| binding.bound_at_us);
        bindings.iter().map(Binding::row).collect()
    }

    pub(super) fn test_routing(&self, key: Option<&str>) -> Result<Vec<Row>, PgError> {
        let rows = self.routes(check_key(key)?).into_iter().map(|binding| {
            let regex = binding.regex();
            vec![Value::Text(binding.pattern), Value::Text(binding.queue), Value::Text(regex)]
        });
        Ok(rows.collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_their_regular_expressions_do() {
        for (pattern, key, matches) in [
            ("logs.*", "logs.error", true),
            ("logs.*", "logs.api.error", false),
            ("logs.*", "logs", false),
            ("logs.#", "logs.api.error", true),
            ("logs.#", "logs", false),
            ("#.error", "a.b.error", true),
            ("#", "anything.at.all", true),
            ("*.*", "a.b", true),
            ("*.*", "a.b.c", false),
            ("a*z", "abcz", true),
            ("a*z", "az", false),
            ("a#z", "az", true),
            ("a.b", "axb", false),
        ] {
            let binding = Binding { pattern: pattern.into(), queue: String::new(), bound_at_us: 0 };
            assert_eq!(binding.matches(key), matches, "{pattern} {key}");
        }
        let binding = Binding { pattern: "a.*.b#".into(), queue: String::new(), bound_at_us: 0 };
        assert_eq!(binding.regex(), r"^a\.[^.]+\.b.*$");
    }

    #[test]
    fn keys_and_patterns_are_refused_in_the_words_of_pgmq() {
        for (pattern, message) in [
            ("", "pattern cannot be NULL or empty"),
            (".a", "pattern cannot start with a dot. Got: .a"),
            (
                "a.**",
                "pattern cannot contain consecutive stars (**). Use # for multi-segment matching. Got: a.**",
            ),
        ] {
            assert_eq!(check_pattern(Some(pattern)).unwrap_err().message, message);
        }
        let error = check_key(Some("logs.*")).unwrap_err();
        assert_eq!(
            error.message,
            "routing_key contains invalid characters. Only alphanumeric, dots, hyphens, and \
             underscores are allowed. Got: logs.*"
        );
        assert!(check_key(Some("app.user-service.auth_2")).is_ok());
    }
}
