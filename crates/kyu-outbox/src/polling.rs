//! Polling: rows below the oldest transaction that runs, in the order of `(xid, id)`.

use std::time::Duration;

use crate::error::Error;
use crate::position::Place;
use crate::relay::{LOOK_AT_LAG_EVERY, Link, Relay};
use crate::source::{self, Within};

/// Rows that are kept for some time are not looked through every second.
const DELETE_KEPT_EVERY: Duration = Duration::from_secs(60);

impl Relay {
    /// Relays by polling until it is told to stop.
    pub(crate) async fn poll(&self, link: &mut Link) -> Result<(), Error> {
        self.hand_over_to_polling(link).await?;
        let (schema, within) = (&self.options.schema, Within::Finished);
        let keep = self.options.keep;
        let delete_every =
            if keep.is_zero() { LOOK_AT_LAG_EVERY } else { keep.min(DELETE_KEPT_EVERY) };
        let mut deleted: Option<tokio::time::Instant> = None;
        let mut stopping = self.stopping();
        while !*stopping.borrow() {
            let Place::Polling { xid, id } = link.position.place else {
                return Err(Error::Refused("the cursor is none of polling".into()));
            };
            if deleted.is_none_or(|at| at.elapsed() >= delete_every) {
                deleted = Some(tokio::time::Instant::now());
                source::delete_relayed(&link.source, schema, (xid, id), keep.as_secs_f64()).await?;
            }
            self.look_if_due(link).await?;
            let most = self.batch_rows() as i64;
            let rows = source::rows_after(&link.source, schema, (xid, id), within, most).await?;
            if rows.is_empty() {
                let told = stopping.wait_for(|stop| *stop);
                let _stop = tokio::time::timeout(self.options.poll, told).await;
            }
            self.deliver(link, &rows).await?;
        }
        Ok(())
    }
}
