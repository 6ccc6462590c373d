//! Effects that must happen once, on the ledger.

use std::marker::PhantomData;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::backend::{ClaimRequest, Completion, LedgerClaimed};
use crate::context::Context;
use crate::error::{Error, JobError};

/// The time for which a claim holds others off while its holder says nothing.
const CLAIM_LEASE: Duration = Duration::from_secs(60);
/// The time for which a result is remembered: longer than any message lives by default (4 days).
const KEEP: Duration = Duration::from_secs(30 * 86_400);

/// Answer to [`Context::claim`].
#[derive(Debug)]
pub enum Claimed<T> {
    /// Nobody has done it: do it, then complete the claim.
    Run(Claim<T>),
    /// It has been done, with this result.
    Done(T),
}

/// The right to do the work of a key. Dropped without completion, it lapses after a minute.
#[derive(Debug)]
pub struct Claim<T> {
    context: Context,
    key: String,
    token: u64,
    result: PhantomData<fn(T)>,
}

impl Context {
    /// Does `effect` unless the ledger says that it has been done under this key, and returns its
    /// result: the new one or the recorded one. The key names the effect, such as
    /// `charge/order-17`; it is shared by all jobs, so that a second job for the same order finds
    /// the first one's result. A key that was used for another input (another job value) ends in
    /// [`JobError::Dead`].
    ///
    /// **What it prevents**: doing the effect again after its result was recorded, whatever crashed
    /// since; doing it twice at the same time. **What nobody can prevent**: a crash after the effect
    /// happened outside and before its result was recorded. Then it is done again a minute later.
    /// Where that matters, pass the key on to the outside as its idempotency key.
    pub async fn once<T, E>(
        &self,
        key: &str,
        effect: impl AsyncFnOnce() -> Result<T, E>,
    ) -> Result<T, JobError>
    where
        T: Serialize + DeserializeOwned,
        E: Into<JobError>,
    {
        let claim = match self.claim::<T>(key).await? {
            Claimed::Done(result) => return Ok(result),
            Claimed::Run(claim) => claim,
        };
        match effect().await {
            Ok(result) => {
                claim.complete(&result).await?;
                Ok(result)
            }
            Err(error) => {
                // The next attempt need not wait for the claim to lapse. If this fails, it does.
                if let Err(error) = claim.release().await {
                    tracing::debug!(%error, key, "a claim was not released");
                }
                Err(error.into())
            }
        }
    }

    /// Claims the work of a key. Somebody else holding it, or another job input under the same
    /// key, is an error for the handler to return.
    pub async fn claim<T: DeserializeOwned>(&self, key: &str) -> Result<Claimed<T>, JobError> {
        let attempt = &self.shared;
        let request = ClaimRequest {
            key: key.to_owned(),
            fingerprint: attempt.fingerprint.to_vec().into(),
            holder: format!("{}/{}", attempt.id, attempt.number),
            lease_ms: crate::backend::millis(CLAIM_LEASE),
        };
        match attempt.backend.claim(&request).await.map_err(Error::from)? {
            LedgerClaimed::Run { token } => Ok(Claimed::Run(Claim {
                context: self.clone(),
                key: request.key,
                token,
                result: PhantomData,
            })),
            LedgerClaimed::Done { result } => Ok(Claimed::Done(serde_json::from_slice(&result)?)),
            LedgerClaimed::Held { for_ms } => {
                Err(JobError::NotYet(Duration::from_millis(for_ms.clamp(100, 60_000))))
            }
            LedgerClaimed::Reused => {
                Err(JobError::Dead(format!("the ledger key {key:?} stands for another input")))
            }
        }
    }
}

impl<T: Serialize> Claim<T> {
    /// Grows with every claim of any key: what is fenced outside can compare it.
    pub fn token(&self) -> u64 {
        self.token
    }

    /// Records the result now: when this returns, it is on disk.
    pub async fn complete(self, result: &T) -> Result<(), Error> {
        let completion = self.completion(result)?;
        Ok(self.context.shared.backend.complete(&completion).await?)
    }

    /// Records the result in the same step as the job's acknowledgement.
    pub fn complete_with_ack(self, result: &T) -> Result<(), Error> {
        let completion = self.completion(result)?;
        self.context.stage(|staged| staged.completions.push(completion));
        Ok(())
    }

    /// Gives the claim back: it was not done.
    pub async fn release(self) -> Result<(), Error> {
        Ok(self.context.shared.backend.release_claim(&self.key, self.token).await?)
    }

    fn completion(&self, result: &T) -> Result<Completion, Error> {
        Ok(Completion {
            key: self.key.clone(),
            token: self.token,
            result: serde_json::to_vec(result)?.into(),
            keep_ms: crate::backend::millis(KEEP),
        })
    }
}
