//! `read`, `read_with_poll`, `read_grouped...`, `pop` and `peek`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use kyu_broker::{
    Acquire, Browse, Conclude, Delivery, Fate, Lease, Order, Pin, QueueInfo, QueueRef, SeqAction,
    SessionId, UnixMs,
};
use kyu_model::limits::MAX_ACQUIRE;
use kyu_pgsql::error::PgError;
use kyu_pgsql::json::{self, Json};

use super::by_id::done;
use super::failure::{self, negative_limit, null_vt};
use super::limits::{
    MAX_ANSWER_BYTES, MAX_PAGE_BYTES, MAX_POLL_MS, MAX_READ_MESSAGES, MAX_TRANSACTION_MESSAGES,
};
use super::message::{DEFAULT_GROUP, MessageRow};
use super::names::Found;
use super::session::QueueSession;
use super::time::{after, to_pg};
use super::transaction::{End, Local};

/// A read as it was asked for.
#[derive(Clone, Debug)]
pub(super) struct Read {
    /// Seconds; may be negative.
    vt_s: Option<i64>,
    /// NULL is all.
    qty: Option<i64>,
    order: Order,
    /// `{}` and NULL take all.
    conditional: Option<Arc<str>>,
    poll: Option<Poll>,
    /// True if messages are removed as they are read.
    pop: bool,
}

#[derive(Clone, Copy, Debug)]
struct Poll {
    max_s: Option<i64>,
    interval_ms: Option<i64>,
}

impl Read {
    pub(super) fn new(vt_s: Option<i64>, qty: Option<i64>) -> Self {
        let (order, conditional, poll, pop) = (Order::OfQueue, None, None, false);
        Self { vt_s, qty, order, conditional, poll, pop }
    }

    /// In this order instead of the queue's.
    pub(super) fn by(self, order: Order) -> Self {
        Self { order, ..self }
    }

    /// Only messages that contain this document.
    pub(super) fn only(self, conditional: Option<Arc<str>>) -> Self {
        Self { conditional, ..self }
    }

    /// Waits for the first message.
    pub(super) fn polling(self, max_s: Option<i64>, interval_ms: Option<i64>) -> Self {
        Self { poll: Some(Poll { max_s, interval_ms }), ..self }
    }

    /// Removes the messages as they are read.
    pub(super) fn removing(self) -> Self {
        Self { pop: true, ..self }
    }

    /// The document that a message must contain; `None` if any message will do.
    fn condition(&self) -> Result<Option<Json>, PgError> {
        let text = self.conditional.as_deref().filter(|text| *text != "{}");
        text.map(json::parse).transpose()
    }
}

/// The messages that a pop has claimed, by number.
type Popped = BTreeMap<u64, MessageRow>;

/// A read with its arguments checked.
struct Asked {
    qty: usize,
    vt_s: i64,
    order: Order,
    condition: Option<Json>,
    pop: bool,
}

impl Asked {
    fn vt_us(&self, now_ms: UnixMs) -> i64 {
        after(now_ms, self.vt_s)
    }

    /// The lease of a read that takes effect at once.
    fn lease(&self) -> Lease {
        match self.pop {
            true => Lease::Take,
            false => Lease::For(u64::try_from(self.vt_s).unwrap_or(0).saturating_mul(1_000)),
        }
    }
}

impl QueueSession {
    pub(super) async fn read(
        &mut self,
        name: Option<String>,
        read: Read,
    ) -> Result<Vec<MessageRow>, PgError> {
        let found = self.find(name).await?;
        let qty = read.qty.unwrap_or(i64::MAX);
        // More are left for the next.
        let most = if read.pop { MAX_TRANSACTION_MESSAGES } else { MAX_READ_MESSAGES };
        let qty = usize::try_from(qty).map_err(|_| negative_limit())?.min(most);
        let (wait_ms, interval_ms) = match read.poll {
            None => (0, 0),
            Some(poll) => match poll.max_s.map_or(Ok(MAX_POLL_MS), |s| u64::try_from(s * 1_000)) {
                Ok(0) | Err(_) => return Ok(Vec::new()),
                Ok(wait_ms) => (wait_ms, poll.interval_ms.unwrap_or(100).clamp(10, 60_000) as u64),
            },
        };
        if qty == 0 {
            return Ok(Vec::new());
        }
        let asked = Asked {
            qty,
            vt_s: read.vt_s.unwrap_or(0),
            order: read.order,
            condition: read.condition()?,
            pop: read.pop,
        };
        if read.vt_s.is_none() {
            // The real one fails when there is a message to read.
            return Err(null_vt(found.name()));
        }
        let mut rows = self.read_patiently(&found, &asked, wait_ms, interval_ms).await?;
        if asked.order == Order::LaneByLane {
            // Chosen group by group, told in order of their numbers.
            rows.sort_by_key(|row| row.seq);
        }
        Ok(rows)
    }

    async fn read_patiently(
        &mut self,
        found: &Found,
        asked: &Asked,
        wait_ms: u64,
        interval_ms: u64,
    ) -> Result<Vec<MessageRow>, PgError> {
        let until_ms = self.shared.broker.now_ms().saturating_add(wait_ms);
        loop {
            let left_ms = until_ms.saturating_sub(self.shared.broker.now_ms());
            let rows = match found {
                Found::Outside(info) => self.read_outside(info, asked, left_ms).await?,
                Found::Inside(name) => self.read_inside(name, asked, left_ms).await?,
            };
            let left_ms = until_ms.saturating_sub(self.shared.broker.now_ms());
            if !rows.is_empty() || left_ms == 0 {
                return Ok(rows);
            }
            if asked.condition.is_none() && matches!(found, Found::Outside(_)) {
                return Ok(rows); // the broker has waited; it ends early when the server does
            }
            // The broker does not see what is waited for.
            tokio::time::sleep(Duration::from_millis(left_ms.min(interval_ms))).await;
        }
    }

    async fn read_outside(
        &mut self,
        info: &Arc<QueueInfo>,
        asked: &Asked,
        wait_ms: u64,
    ) -> Result<Vec<MessageRow>, PgError> {
        let rows = match asked.condition {
            None => self.acquire(info, asked.qty, asked.lease(), asked.order, wait_ms).await?,
            Some(_) => self.acquire_where(info, asked, asked.lease()).await?,
        };
        let now_ms = self.shared.broker.now_ms();
        let finished = rows.into_iter().map(|mut row| {
            if asked.pop {
                // A pop is no read: the count and the times are those of before.
                row.read_ct = row.read_ct.saturating_sub(1);
            } else if asked.vt_s <= 0 {
                row.vt_us = asked.vt_us(now_ms);
            }
            row
        });
        Ok(finished.collect())
    }

    /// Leases or claims up to `qty` messages, waiting for the first.
    async fn acquire(
        &self,
        info: &QueueInfo,
        qty: usize,
        lease: Lease,
        order: Order,
        mut wait_ms: u64,
    ) -> Result<Vec<MessageRow>, PgError> {
        let mut rows: Vec<MessageRow> = Vec::new();
        let mut bytes = 0;
        loop {
            let most = u32::try_from(qty - rows.len()).unwrap_or(u32::MAX).min(MAX_ACQUIRE);
            let acquire = Acquire {
                max_bytes: (MAX_ANSWER_BYTES - bytes) as u64,
                lease,
                order,
                ..Acquire::new(info.id, most)
            };
            let failed = |error| failure::broker(error, &info.name.name);
            let leased = self.shared.broker.lease(acquire, wait_ms).await.map_err(failed)?;
            // What is taken at once cannot be given back; a pop by SQL never is.
            if lease != Lease::Take
                && let Err(error) = self.loading.pay(leased.bytes())
            {
                // These go back uncounted.
                return if rows.is_empty() { Err(error) } else { Ok(rows) };
            }
            let received = self.shared.broker.load(leased).await.map_err(failed)?;
            let few = received.len() < most as usize;
            rows.extend(received.into_iter().map(MessageRow::of));
            bytes = rows.iter().map(MessageRow::bytes).sum();
            // Without a lease the same messages would come again.
            let again = lease == Lease::For(0);
            if few || again || rows.len() >= qty || bytes >= MAX_ANSWER_BYTES {
                return Ok(rows);
            }
            wait_ms = 0;
        }
    }

    /// Leases or claims ready messages whose body contains the condition, in order of their numbers.
    async fn acquire_where(
        &self,
        info: &QueueInfo,
        asked: &Asked,
        lease: Lease,
    ) -> Result<Vec<MessageRow>, PgError> {
        let mut rows = Vec::new();
        let mut next = Some(0);
        while let (Some(from), true) = (next, rows.len() < asked.qty) {
            let mark = self.loading.mark();
            let (page, after) = self.browse(info, from, MAX_ACQUIRE, true).await?;
            next = after;
            let wanted = page.iter().filter(|row| is_wanted(row, asked.condition.as_ref()));
            let seqs: Vec<u64> = wanted.map(|row| row.seq).take(asked.qty - rows.len()).collect();
            drop(page);
            self.loading.back_to(mark);
            if !seqs.is_empty() {
                rows.extend(self.acquire_seqs(info, seqs, lease).await?);
            }
        }
        Ok(rows)
    }

    /// One page of a queue's messages as they are outside, of [`MAX_PAGE_BYTES`] or one message;
    /// where the next page begins.
    pub(super) async fn browse(
        &self,
        info: &QueueInfo,
        from: u64,
        max_messages: u32,
        only_ready: bool,
    ) -> Result<(Vec<MessageRow>, Option<u64>), PgError> {
        let question = Browse { queue: info.id, from, max_messages, only_ready };
        let failed = |error| failure::broker(error, &info.name.name);
        let found = self.shared.broker.look_up_pinned(question).await.map_err(failed)?;
        let ((mut messages, mut next), pin) = found;
        let mut bytes = 0;
        let fits = messages.iter().take_while(|delivery| {
            bytes += delivery.frame_bytes as usize;
            bytes <= MAX_PAGE_BYTES
        });
        let fits = fits.count().max(1);
        if let Some(rest) = messages.get(fits) {
            next = Some(rest.receipt.seq);
            messages.truncate(fits);
        }
        self.loading.pay_for(&messages)?;
        let received = self.shared.broker.resolve(messages, &pin).await.map_err(failed)?;
        Ok((received.into_iter().map(MessageRow::of).collect(), next))
    }

    /// Leases or claims messages by their numbers, passing over those that others have; with their
    /// bodies.
    async fn acquire_seqs(
        &self,
        info: &QueueInfo,
        seqs: Vec<u64>,
        lease: Lease,
    ) -> Result<Vec<MessageRow>, PgError> {
        let (results, pin) = self.by_seq(info, &seqs, SeqAction::Acquire(lease)).await?;
        let done = results.into_iter().filter_map(done).collect();
        self.with_bodies(info, done, &pin).await
    }

    pub(super) async fn with_bodies(
        &self,
        info: &QueueInfo,
        deliveries: Vec<Delivery>,
        pin: &Pin,
    ) -> Result<Vec<MessageRow>, PgError> {
        self.loading.pay_for(&deliveries)?;
        let received = self.shared.broker.resolve(deliveries, pin).await;
        let received = received.map_err(|error| failure::broker(error, &info.name.name))?;
        Ok(received.into_iter().map(MessageRow::of).collect())
    }

    /// A read in a transaction: its own messages, and others that it claims.
    async fn read_inside(
        &mut self,
        name: &str,
        asked: &Asked,
        wait_ms: u64,
    ) -> Result<Vec<MessageRow>, PgError> {
        let now_us = to_pg(self.shared.broker.now_ms());
        let changes = self.changes(name)?;
        let own = changes.local.values().any(|local| local.end == End::Live);
        let engine_queue = changes.engine_queue().cloned();
        let session = self.claim_in(engine_queue.as_deref());
        let mut taken = Popped::new();
        let chosen = match engine_queue {
            Some(info) if asked.condition.is_some() => {
                self.choose_where(name, &info, asked, session, &mut taken).await?
            }
            Some(info) if !own || asked.order == Order::OfQueue => {
                let visible = self.changes(name)?.local.values().any(|l| l.is_visible(now_us));
                let wait_ms = if visible { 0 } else { wait_ms };
                let lease = Lease::Claim(session);
                let claimed = self.acquire(&info, asked.qty, lease, asked.order, wait_ms).await?;
                self.choose_first(name, &info, asked, claimed, &mut taken).await?
            }
            info => self.choose_grouped(name, info, asked, session, &mut taken).await?,
        };
        self.mark_read(name, asked, &chosen, taken)
    }

    /// The transaction's session, having noted that it may have claims in a queue.
    pub(super) fn claim_in(&mut self, info: Option<&QueueInfo>) -> SessionId {
        let Some(transaction) = &mut self.transaction else { return SessionId(0) };
        transaction.claimed_in.extend(info.map(|info| info.id));
        transaction.session
    }

    /// Notes messages that a read has claimed. Of those that it pops, the transaction keeps no
    /// content: it could not hold as much as a pop may take, and has no use for it.
    fn note_read(
        &mut self,
        name: &str,
        asked: &Asked,
        mut rows: Vec<MessageRow>,
        taken: &mut Popped,
    ) -> Result<(), PgError> {
        if asked.pop {
            for row in &mut rows {
                taken.insert(row.seq, row.clone());
                (row.message, row.headers) = (None, None);
            }
        }
        self.note_claimed(name, rows)
    }

    /// Notes claimed messages as they are.
    pub(super) fn note_claimed(
        &mut self,
        name: &str,
        rows: Vec<MessageRow>,
    ) -> Result<(), PgError> {
        for row in rows {
            let local = Local { sent: None, row, reads: 0, shown: false, end: End::Live };
            if let Some(transaction) = &mut self.transaction {
                transaction.note(name, local)?;
            }
        }
        Ok(())
    }

    /// The first messages of those claimed now and of the transaction's own; claimed ones behind
    /// them are given back.
    async fn choose_first(
        &mut self,
        name: &str,
        info: &QueueInfo,
        asked: &Asked,
        claimed: Vec<MessageRow>,
        taken: &mut Popped,
    ) -> Result<Vec<u64>, PgError> {
        let now_us = to_pg(self.shared.broker.now_ms());
        let new: Vec<u64> = claimed.iter().map(|row| row.seq).collect();
        let mut chosen: Vec<u64> = {
            let local = self.changes(name)?.local.values();
            local.filter(|local| local.is_visible(now_us)).map(|local| local.row.seq).collect()
        };
        if chosen.is_empty() {
            self.note_read(name, asked, claimed, taken)?;
            return Ok(new); // in the engine's order
        }
        chosen.extend(&new);
        chosen.sort_unstable();
        chosen.truncate(asked.qty);
        let (kept, back): (Vec<_>, Vec<_>) =
            claimed.into_iter().partition(|row| chosen.binary_search(&row.seq).is_ok());
        self.note_read(name, asked, kept, taken)?;
        self.unclaim(info.id, back.iter().map(|row| row.seq).collect()).await?;
        Ok(chosen)
    }

    /// Gives claims back before the transaction ends.
    pub(super) async fn unclaim(
        &mut self,
        queue: kyu_broker::QueueId,
        seqs: Vec<u64>,
    ) -> Result<(), PgError> {
        if seqs.is_empty() {
            return Ok(());
        }
        let session = self.claim_in(None);
        for seqs in seqs.chunks(MAX_ACQUIRE as usize) {
            let items = seqs.iter().map(|seq| (*seq, Fate::Untouched)).collect();
            let queue = QueueRef::Id(queue);
            let concluded = self.shared.broker.ask(Conclude { session, queue, items }).await;
            concluded.map_err(|error| failure::broker(error, ""))?;
        }
        self.shared.locks.let_go(session, &[]);
        Ok(())
    }

    async fn choose_where(
        &mut self,
        name: &str,
        info: &QueueInfo,
        asked: &Asked,
        session: SessionId,
        taken: &mut Popped,
    ) -> Result<Vec<u64>, PgError> {
        let now_us = to_pg(self.shared.broker.now_ms());
        let claimed = self.acquire_where(info, asked, Lease::Claim(session)).await?;
        let condition = asked.condition.as_ref();
        let own: Vec<u64> = {
            let local = self.changes(name)?.local.values();
            local
                .filter(|local| local.is_visible(now_us) && is_wanted(&local.row, condition))
                .map(|local| local.row.seq)
                .collect()
        };
        let new = claimed.iter().map(|row| row.seq);
        let mut chosen: Vec<u64> = own.into_iter().chain(new).collect();
        chosen.sort_unstable();
        chosen.truncate(asked.qty);
        let (kept, back): (Vec<_>, Vec<_>) =
            claimed.into_iter().partition(|row| chosen.binary_search(&row.seq).is_ok());
        self.note_read(name, asked, kept, taken)?;
        self.unclaim(info.id, back.iter().map(|row| row.seq).collect()).await?;
        Ok(chosen)
    }

    /// Groups over the whole table as the transaction sees it: for the rare read by groups in a
    /// queue to which the same transaction has sent, or that it has made.
    async fn choose_grouped(
        &mut self,
        name: &str,
        info: Option<Arc<QueueInfo>>,
        asked: &Asked,
        session: SessionId,
        taken: &mut Popped,
    ) -> Result<Vec<u64>, PgError> {
        let now_us = to_pg(self.shared.broker.now_ms());
        let table = self.table(name, usize::MAX).await?;
        let condition = asked.condition.as_ref();
        let mut chosen: Vec<u64> = match asked.order {
            Order::OfQueue => {
                let wanted =
                    table.iter().filter(|row| row.vt_us <= now_us && is_wanted(row, condition));
                wanted.map(|row| row.seq).take(asked.qty).collect()
            }
            order => by_groups(&table, order, now_us, asked.qty),
        };
        let local = &self.changes(name)?.local;
        let others: Vec<u64> =
            chosen.iter().filter(|seq| !local.contains_key(seq)).copied().collect();
        if let Some(info) = info
            && !others.is_empty()
        {
            let rows = self.acquire_seqs(&info, others, Lease::Claim(session)).await?;
            self.note_read(name, asked, rows, taken)?;
        }
        let local = &self.changes(name)?.local;
        chosen.retain(|seq| local.contains_key(seq));
        Ok(chosen)
    }

    fn mark_read(
        &mut self,
        name: &str,
        asked: &Asked,
        chosen: &[u64],
        mut taken: Popped,
    ) -> Result<Vec<MessageRow>, PgError> {
        let now_ms = self.shared.broker.now_ms();
        let vt_us = asked.vt_us(now_ms);
        let changes = self.changes(name)?;
        let mut rows = Vec::with_capacity(chosen.len());
        for seq in chosen {
            let Some(local) = changes.local.get_mut(seq) else { continue };
            if asked.pop {
                local.end = End::Removed;
            } else {
                local.reads += 1;
                local.row.read_ct += 1;
                local.row.last_read_at_ms = now_ms;
                local.row.vt_us = vt_us;
            }
            rows.push(taken.remove(seq).unwrap_or_else(|| local.row.clone()));
        }
        Ok(rows)
    }

    /// The first visible messages, without reading them.
    pub(super) async fn peek(
        &mut self,
        name: Option<String>,
        qty: Option<i64>,
    ) -> Result<Vec<MessageRow>, PgError> {
        let qty = usize::try_from(qty.unwrap_or(i64::MAX)).map_err(|_| negative_limit())?;
        let qty = qty.min(MAX_READ_MESSAGES);
        let now_us = to_pg(self.shared.broker.now_ms());
        match self.find(name).await? {
            Found::Inside(name) => {
                let mut table = self.table(&name, usize::MAX).await?;
                table.retain(|row| row.vt_us <= now_us);
                table.truncate(qty);
                Ok(table)
            }
            Found::Outside(info) => {
                let mut rows = Vec::new();
                let mut next = Some(0);
                while let (Some(from), true) = (next, rows.len() < qty) {
                    let most = u32::try_from(qty - rows.len()).unwrap_or(u32::MAX);
                    let (page, after) =
                        self.browse(&info, from, most.min(MAX_ACQUIRE), true).await?;
                    rows.extend(page);
                    next = after;
                }
                Ok(rows)
            }
        }
    }
}

fn is_wanted(row: &MessageRow, condition: Option<&Json>) -> bool {
    let Some(condition) = condition else { return true };
    let body = row.message.as_deref().and_then(|text| json::parse(text).ok());
    // What is too large to be compared is left to a read without a condition.
    body.is_some_and(|body| body.contains(condition).unwrap_or(false))
}

/// pgmq's three orders by groups. Groups come in the order of their first messages; one that begins
/// with a hidden message is passed over, except that `read_grouped` only asks for what stands
/// before its first visible one.
fn by_groups(table: &[MessageRow], order: Order, now_us: i64, qty: usize) -> Vec<u64> {
    let mut groups: BTreeMap<&str, usize> = BTreeMap::new();
    let mut members: Vec<Vec<&MessageRow>> = Vec::new();
    for row in table {
        let key = row.lane.as_deref().unwrap_or(DEFAULT_GROUP);
        let at = *groups.entry(key).or_insert_with(|| {
            members.push(Vec::new());
            members.len() - 1
        });
        if let Some(group) = members.get_mut(at) {
            group.push(row);
        }
    }
    members.retain(|group| group.first().is_some_and(|row| row.vt_us <= now_us));
    for group in &mut members {
        group.retain(|row| row.vt_us <= now_us);
        if order == Order::LaneHeads {
            group.truncate(1);
        }
    }
    let mut ranked: Vec<(usize, usize, u64)> = Vec::new();
    for (number, group) in members.iter().enumerate() {
        for (rank, row) in group.iter().enumerate() {
            let layer = if order == Order::LaneByLane { 0 } else { rank };
            ranked.push((layer, number, row.seq));
        }
    }
    ranked.sort_unstable();
    ranked.into_iter().map(|(_, _, seq)| seq).take(qty).collect()
}
