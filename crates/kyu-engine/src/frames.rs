//! The bookkeeping of the log's frames: how many messages need each frame, and how many bytes of
//! each segment are needed.

use std::collections::BTreeMap;

use kyu_machine::{JournaledMap, Trial};
use kyu_model::Address;

use crate::queue::message::FrameRef;

pub(crate) struct Frames {
    segment_bytes: u64,
    /// The frames that several messages share, with their number; any other live frame has one.
    shared: JournaledMap<BTreeMap<Address, u32>>,
    /// Bytes of live frames by log segment. Follows from the messages.
    live: JournaledMap<BTreeMap<u64, u64>>,
}

impl Trial for Frames {
    fn begin_trial(&mut self) {
        let Self { segment_bytes: _, shared, live } = self;
        shared.begin_trial();
        live.begin_trial();
    }

    fn roll_back(&mut self) {
        let Self { segment_bytes: _, shared, live } = self;
        shared.roll_back();
        live.roll_back();
    }
}

impl Frames {
    /// Makes empty books for a log whose segments have this length.
    pub(crate) fn new(segment_bytes: u64) -> Self {
        Self {
            segment_bytes: segment_bytes.max(1),
            shared: JournaledMap::default(),
            live: JournaledMap::default(),
        }
    }

    /// Returns the frames that several messages share, with their number.
    pub(crate) fn shared(&self) -> &BTreeMap<Address, u32> {
        &self.shared
    }

    /// The messages that share a frame.
    pub(crate) fn shares(&self, at: Address) -> u32 {
        self.shared.get(&at).copied().unwrap_or(1)
    }

    /// Notes how many messages share a frame, without counting it as live.
    pub(crate) fn share(&mut self, at: Address, shares: u32) {
        self.shared.insert(&at, shares);
    }

    /// Counts a frame as live, for `shares` messages.
    pub(crate) fn hold(&mut self, frame: FrameRef, shares: u32) {
        if shares > 1 {
            if self.shared.contains_key(&frame.at) {
                return;
            }
            self.share(frame.at, shares);
        }
        self.count_live(frame);
    }

    /// Counts a frame as live, once.
    pub(crate) fn count_live(&mut self, frame: FrameRef) {
        let segment = self.segment_of(frame);
        self.set_live(segment, self.live_bytes(segment) + u64::from(frame.bytes));
    }

    /// Notes that one message less needs the frame.
    pub(crate) fn free(&mut self, frame: FrameRef) {
        if let Some(shares) = self.shared.get(&frame.at).copied() {
            self.shared.replace(&frame.at, (shares > 2).then(|| shares - 1));
            return;
        }
        self.free_bytes(self.segment_of(frame), u64::from(frame.bytes));
    }

    /// Notes that none of these messages needs its frame any more. Neighbours lie in the same
    /// segment, so the books are changed once a run and not once a message.
    pub(crate) fn free_all(&mut self, frames: impl Iterator<Item = FrameRef>) {
        let (mut segment, mut bytes) = (0, 0);
        for frame in frames {
            if !self.shared.is_empty() && self.shared.contains_key(&frame.at) {
                self.free(frame);
                continue;
            }
            let of = self.segment_of(frame);
            if of != segment {
                self.free_bytes(segment, std::mem::take(&mut bytes));
                segment = of;
            }
            bytes += u64::from(frame.bytes);
        }
        self.free_bytes(segment, bytes);
    }

    /// The frame now stands somewhere else, for all that share it.
    pub(crate) fn shift(&mut self, from: FrameRef, to: FrameRef) {
        let shares = self.shared.remove(&from.at);
        self.free(from);
        self.hold(to, shares.unwrap_or(1));
    }

    /// Returns the bytes of a segment that messages need.
    pub(crate) fn live_bytes(&self, segment: u64) -> u64 {
        self.live.get(&segment).copied().unwrap_or(0)
    }

    /// Returns the addresses at which a segment and the next one begin.
    pub(crate) fn segment_range(&self, segment: u64) -> (Address, Address) {
        let from = segment.saturating_mul(self.segment_bytes);
        (from, from.saturating_add(self.segment_bytes))
    }

    fn segment_of(&self, frame: FrameRef) -> u64 {
        frame.at / self.segment_bytes
    }

    fn free_bytes(&mut self, segment: u64, bytes: u64) {
        if bytes > 0 {
            self.set_live(segment, self.live_bytes(segment).saturating_sub(bytes));
        }
    }

    fn set_live(&mut self, segment: u64, bytes: u64) {
        self.live.replace(&segment, (bytes > 0).then_some(bytes));
    }
}
