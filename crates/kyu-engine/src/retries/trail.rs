//! The memory of a message's past attempts. Only messages of queues that keep a history have one,
//! so that others pay nothing.

use kyu_model::limits::{MAX_ATTEMPT_TEXT_BYTES, MAX_ATTEMPTS_KEPT};
use kyu_model::wire::{Malformed, Reader, Write};
use kyu_model::{AttemptEnd, PastAttempt};

/// The attempts of one message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Trail {
    /// The attempts, oldest first.
    pub(crate) attempts: Vec<PastAttempt>,
    /// The number of forgotten attempts before these.
    pub(crate) forgotten: u64,
    /// The consumer that has the message under lease.
    pub(crate) consumer: Option<String>,
}

impl Trail {
    /// Adds an attempt, and forgets the oldest beyond the bounds. The bounds are part of what a
    /// record means.
    pub(crate) fn add(&mut self, attempt: PastAttempt) {
        self.attempts.push(attempt);
        if self.attempts.len() > MAX_ATTEMPTS_KEPT {
            self.attempts.remove(0);
            self.forgotten += 1;
        }
        let texts = self.attempts.iter().map(text_bytes);
        let mut too_much = texts.sum::<usize>().saturating_sub(MAX_ATTEMPT_TEXT_BYTES);
        for attempt in &mut self.attempts {
            if too_much == 0 {
                break;
            }
            too_much = too_much.saturating_sub(text_bytes(attempt));
            attempt.error = None;
            attempt.consumer = None;
        }
    }

    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        out.varint(self.forgotten);
        out.opt_str(self.consumer.as_deref());
        out.varint(self.attempts.len() as u64);
        for attempt in &self.attempts {
            out.varint(attempt.started_at_ms);
            out.varint(attempt.ended_at_ms);
            out.u8(attempt.end as u8);
            out.opt_str(attempt.consumer.as_deref());
            out.opt_str(attempt.error.as_deref());
        }
    }

    pub(crate) fn decode(r: &mut Reader) -> Result<Self, Malformed> {
        let (forgotten, consumer) = (r.varint()?, r.opt_string()?);
        let attempts = (0..r.count()?).map(|_| {
            Ok(PastAttempt {
                started_at_ms: r.varint()?,
                ended_at_ms: r.varint()?,
                end: decode_end(r)?,
                consumer: r.opt_string()?,
                error: r.opt_string()?,
            })
        });
        Ok(Self { attempts: attempts.collect::<Result<_, Malformed>>()?, forgotten, consumer })
    }
}

fn text_bytes(attempt: &PastAttempt) -> usize {
    [&attempt.error, &attempt.consumer].into_iter().flatten().map(String::len).sum()
}

pub(crate) fn decode_end(r: &mut Reader) -> Result<AttemptEnd, Malformed> {
    Ok(match r.u8()? {
        0 => AttemptEnd::Failed,
        1 => AttemptEnd::Rejected,
        2 => AttemptEnd::TimedOut,
        3 => AttemptEnd::Disconnected,
        4 => AttemptEnd::GivenBack,
        5 => AttemptEnd::Expired,
        _ => return Err(Malformed("end of an attempt")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attempt(n: u64, error: &str) -> PastAttempt {
        PastAttempt {
            started_at_ms: n,
            ended_at_ms: n + 1,
            end: AttemptEnd::Failed,
            consumer: None,
            error: Some(error.to_owned()),
        }
    }

    #[test]
    fn the_oldest_attempts_and_texts_are_forgotten_first() {
        let mut trail = Trail::default();
        for n in 0..40 {
            trail.add(attempt(n, "short"));
        }
        assert_eq!((trail.attempts.len(), trail.forgotten), (MAX_ATTEMPTS_KEPT, 8));
        assert_eq!(trail.attempts[0].started_at_ms, 8);
        for n in 40..45 {
            trail.add(attempt(n, &"x".repeat(1_024)));
        }
        let texts: usize = trail.attempts.iter().map(text_bytes).sum();
        assert_eq!(texts, 4 * 1_024, "only as many of the last ones as fit");
        assert!(trail.attempts.last().unwrap().error.is_some());
        assert_eq!(trail.attempts.len(), MAX_ATTEMPTS_KEPT, "the attempts themselves stay");
    }
}
