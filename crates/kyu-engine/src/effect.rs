//! Effects: the facts of which the log consists. A record is the effects of one command, each
//! written as `number, fields`; numbers ([`crate::machines`]) and fields never change, because an
//! old log must replay. A new fact gets a new number; a field is never added to an old one.

use bytes::Bytes;
use kyu_model::wire::{Malformed, Reader, Write};

use crate::exchange::record::ExchangeFact;
use crate::ledger::record::LedgerFact;
use crate::machines::{FactNumber, FrameNumber};
use crate::move_task::record::MoveTaskFact;
use crate::queue::claim::ClaimFact;
use crate::queue::message_record::{FramePlace, MessageFact};
use crate::queue::record::QueueFact;
use crate::retries::record::RetryFact;
use crate::schedule::record::ScheduleFact;

/// One fact, by the concept that it belongs to.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Effect {
    Queue(QueueFact),
    Message(MessageFact),
    Claim(ClaimFact),
    Retry(RetryFact),
    MoveTask(MoveTaskFact),
    Exchange(ExchangeFact),
    Ledger(Box<LedgerFact>),
    Schedule(Box<ScheduleFact>),
}

/// Lets a machine's fact be pushed as it is.
macro_rules! effect_from {
    ($( $machine:ident($fact:ident) $(, $boxed:ident)?; )*) => { $(
        impl From<$fact> for Effect {
            fn from(fact: $fact) -> Self {
                Self::$machine($($boxed::new)?(fact))
            }
        }
    )* };
}

effect_from! {
    Queue(QueueFact);
    Message(MessageFact);
    Claim(ClaimFact);
    Retry(RetryFact);
    MoveTask(MoveTaskFact);
    Exchange(ExchangeFact);
    Ledger(LedgerFact), Box;
    Schedule(ScheduleFact), Box;
}

impl Effect {
    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Queue(fact) => fact.encode(out),
            Self::Message(fact) => fact.encode(out),
            Self::Claim(fact) => fact.encode(out),
            Self::Retry(fact) => fact.encode(out),
            Self::MoveTask(fact) => fact.encode(out),
            Self::Exchange(fact) => fact.encode(out),
            Self::Ledger(fact) => fact.encode(out),
            Self::Schedule(fact) => fact.encode(out),
        }
    }

    /// Reads the next fact of a record; `None` if it is a frame's bytes, which are passed over.
    fn decode(r: &mut Reader) -> Result<Option<Self>, Malformed> {
        let number = FactNumber::of(r.u8()?).ok_or(Malformed("effect number"))?;
        Ok(Some(match number {
            FactNumber::Queue(number) => QueueFact::decode(number, r)?.into(),
            FactNumber::Message(number) => MessageFact::decode(number, r)?.into(),
            FactNumber::Claim(number) => ClaimFact::decode(number, r)?.into(),
            FactNumber::Retry(number) => RetryFact::decode(number, r)?.into(),
            FactNumber::MoveTask(number) => MoveTaskFact::decode(number, r)?.into(),
            FactNumber::Exchange(number) => ExchangeFact::decode(number, r)?.into(),
            FactNumber::Ledger(number) => LedgerFact::decode(number, r)?.into(),
            FactNumber::Schedule(number) => ScheduleFact::decode(number, r)?.into(),
            FactNumber::Frame(FrameNumber::Bytes) => {
                let length = r.u32()? as usize;
                r.take(length)?;
                return Ok(None);
            }
        }))
    }

    /// Returns true if the effect adds to what is stored: see [`Effects::grows`].
    fn grows(&self) -> bool {
        match self {
            Self::Queue(fact) => fact.grows(),
            Self::Message(fact) => fact.grows(),
            Self::Claim(fact) => fact.grows(),
            Self::Retry(fact) => fact.grows(),
            Self::MoveTask(fact) => fact.grows(),
            Self::Exchange(fact) => fact.grows(),
            Self::Ledger(fact) => fact.grows(),
            Self::Schedule(fact) => fact.grows(),
        }
    }

    fn frame(&self) -> Option<FramePlace> {
        match self {
            Self::Message(fact) => fact.frame(),
            Self::Queue(_)
            | Self::Claim(_)
            | Self::Retry(_)
            | Self::MoveTask(_)
            | Self::Exchange(_)
            | Self::Ledger(_)
            | Self::Schedule(_) => None,
        }
    }
}

/// The facts of one command, both as values and as the record's bytes.
#[derive(Clone, Debug, Default)]
pub struct Effects {
    pub(crate) list: Vec<Effect>,
    bytes: Vec<u8>,
    grows: bool,
}

impl Effects {
    /// Returns true if there is nothing to log.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// The record for the log.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Returns true if the record adds to what is stored; the log may refuse such records when
    /// space is short.
    pub fn grows(&self) -> bool {
        self.grows
    }

    /// The number of facts.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Reserves memory for a number of facts in a record of about the given length, so that they
    /// are not copied as it grows.
    pub(crate) fn reserve(&mut self, facts: usize, bytes: usize) {
        self.list.reserve(facts);
        self.bytes.reserve(bytes);
    }

    /// Adds a fact.
    pub(crate) fn push(&mut self, effect: impl Into<Effect>) {
        let effect = effect.into();
        effect.encode(&mut self.bytes);
        self.grows |= effect.grows();
        self.list.push(effect);
    }

    /// Writes a frame into the record and says where.
    pub(crate) fn frame(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> FramePlace {
        self.bytes.u8(FrameNumber::Bytes.into());
        self.bytes.u32(0);
        let start = self.bytes.len();
        write(&mut self.bytes);
        let bytes = (self.bytes.len() - start) as u32;
        if let Some(length) = self.bytes.get_mut(start - 4..start) {
            length.copy_from_slice(&bytes.to_le_bytes());
        }
        FramePlace { offset: start as u32, bytes }
    }

    /// Reads a record.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(Bytes::copy_from_slice(bytes));
        let mut list = Vec::new();
        while reader.remaining() > 0 {
            let Some(effect) = Effect::decode(&mut reader)? else { continue };
            if let Some(frame) = effect.frame()
                && u64::from(frame.offset) + u64::from(frame.bytes) > bytes.len() as u64
            {
                return Err(Malformed("frame place"));
            }
            list.push(effect);
        }
        Ok(Self { list, bytes: Vec::new(), grows: false })
    }
}
