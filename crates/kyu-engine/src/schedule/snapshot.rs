//! The snapshot blocks of schedules: one block each, because a content may be long. The last
//! identifier that was given comes first, and is left out while none was given.

use std::io;
use std::sync::Arc;

use kyu_model::ScheduleInfo;
use kyu_model::wire::{Malformed, Reader, Write};

use crate::machines::StateBlock;
use crate::schedule::record::{decode_schedule, encode_schedule};
use crate::snapshot::blocks::Blocks;
use crate::state::State;

/// The schedules at one moment.
pub(crate) struct FrozenSchedules {
    last_id: u64,
    schedules: Vec<Arc<ScheduleInfo>>,
}

impl FrozenSchedules {
    pub(crate) fn of(state: &State) -> Self {
        let schedules = state.schedules.by_name.values().cloned().collect();
        Self { last_id: *state.last_schedule, schedules }
    }

    pub(crate) fn write(&self, blocks: &mut Blocks<'_, impl io::Write>) -> io::Result<()> {
        if self.last_id > 0 {
            blocks.write(StateBlock::Schedule, |b| {
                b.u8(0);
                b.varint(self.last_id);
            })?;
        }
        for info in &self.schedules {
            blocks.write(StateBlock::Schedule, |b| {
                b.u8(1);
                encode_schedule(info, b);
            })?;
        }
        Ok(())
    }
}

pub(crate) fn load(state: &mut State, r: &mut Reader) -> Result<(), Malformed> {
    if r.bool()? {
        let info = Arc::new(decode_schedule(r)?);
        state.schedules.insert(&info.name.clone(), info);
    } else {
        *state.last_schedule = r.varint()?;
    }
    Ok(())
}
