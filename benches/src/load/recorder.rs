//! Counts and latencies of one run, kept only for its measured window.

use crate::histogram::Histogram;

/// One latency series.
#[derive(Clone)]
pub(crate) struct Latency {
    /// The operation's name.
    pub operation: &'static str,
    /// Nanoseconds.
    pub histogram: Histogram,
}

/// Collects what happens inside the window and drops the rest.
pub(crate) struct Recorder {
    /// Nanoseconds since the run began, as of the event being handled.
    pub now: u64,
    window_start: u64,
    window_end: u64,
    /// Answers in the window.
    pub requests: u64,
    /// Messages in the window.
    pub messages: u64,
    /// Refusals, in the window or not: any refusal taints the row.
    pub refused: u64,
    /// The first refusal's bytes.
    pub first_refusal: Option<String>,
    latencies: Vec<Latency>,
}

impl Recorder {
    /// A recorder whose window is still closed.
    pub(crate) fn new(operations: &[&'static str]) -> Self {
        let series =
            |operation: &&'static str| Latency { operation, histogram: Histogram::default() };
        Self {
            now: 0,
            window_start: u64::MAX,
            window_end: u64::MAX,
            requests: 0,
            messages: 0,
            refused: 0,
            first_refusal: None,
            latencies: operations.iter().map(series).collect(),
        }
    }

    /// Starts to count.
    pub(crate) fn open_window(&mut self) {
        self.window_start = self.now;
    }

    /// Stops counting answers; requests that were due before now still record their latency.
    pub(crate) fn close_window(&mut self) {
        self.window_end = self.now;
    }

    /// Counts an answer that arrived now.
    pub(crate) fn count(&mut self, messages: u64) {
        if self.window_start <= self.now && self.now < self.window_end {
            self.requests += 1;
            self.messages += messages;
        }
    }

    /// Records the latency of something that was due at `due` and is complete now.
    pub(crate) fn record(&mut self, operation: usize, due: u64) {
        if due < self.window_start || due >= self.window_end {
            return;
        }
        if let Some(series) = self.latencies.get_mut(operation) {
            series.histogram.record(self.now.saturating_sub(due));
        }
    }

    /// Notes a refusal and keeps the first one's bytes.
    pub(crate) fn refuse(&mut self, answer: &[u8]) {
        const SHOWN_BYTES: usize = 600;
        self.refused += 1;
        let shown = answer.get(..SHOWN_BYTES.min(answer.len())).unwrap_or_default();
        self.first_refusal.get_or_insert_with(|| shown.escape_ascii().to_string());
    }

    /// The series, when the run is over.
    pub(crate) fn into_latencies(self) -> Vec<Latency> {
        self.latencies
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_due_inside_the_window_is_recorded_even_when_it_completes_later() {
        let mut recorder = Recorder::new(&["op"]);
        recorder.now = 5;
        recorder.record(0, 1);
        recorder.count(1);
        recorder.now = 10;
        recorder.open_window();
        recorder.count(1);
        recorder.record(0, 9);
        recorder.now = 20;
        recorder.close_window();
        recorder.count(1);
        recorder.now = 90;
        recorder.record(0, 19);
        recorder.record(0, 20);
        assert_eq!((recorder.requests, recorder.messages), (1, 1));
        let latencies = recorder.into_latencies();
        assert_eq!(latencies[0].histogram.count(), 1);
        assert_eq!(latencies[0].histogram.max(), 71);
    }
}
