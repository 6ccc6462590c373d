//! The circumstances that every action is given beside its request.

use std::sync::Arc;

use bytes::Bytes;
use kyu_broker::{Broker, ConfigureQueue, QueueConfig, QueueInfo, QueueName, Refusal};
use kyu_door::access::Principal;
use kyu_door::http::Client;
use kyu_door::origin::Origin;

use crate::address;
use crate::door::SqsOptions;
use crate::error::{Error, quoted};
use crate::limits::MAX_RECONFIGURE_TRIES;
use crate::sns::Sns;
use crate::wire::Protocol;

/// The circumstances of one request.
pub(crate) struct Call<'r> {
    pub(crate) broker: &'r Broker,
    pub(crate) options: &'r SqsOptions,
    pub(crate) principal: &'r Principal,
    /// The connection of the caller: it tells whether the caller is still there, and pays for what
    /// is loaded for the answer.
    pub(crate) client: &'r Client,
    pub(crate) protocol: Protocol,
    /// The origin at which the client reaches this server, for the URLs in its answers.
    pub(crate) origin: &'r Origin,
    /// The region that the client signs for: it has queues and topics of its own.
    pub(crate) region: &'r str,
    /// The queue that the request's own path names: Query allows that instead of `QueueUrl`.
    pub(crate) path_queue: Option<QueueName>,
    /// The HTTP header in which X-Ray names the trace that the request belongs to.
    pub(crate) trace_header: Option<&'r str>,
    /// The request is signed by somebody; the signature need not have been checked.
    pub(crate) signed: bool,
    /// The request has no right to be here but that it is a link from a message.
    pub(crate) is_stranger: bool,
    /// The state of SNS beside the broker's.
    pub(crate) sns: &'r Arc<Sns>,
    /// The request's body; what the broker keeps of it is sliced from here.
    pub(crate) body: &'r Bytes,
}

impl Call<'_> {
    /// The namespace of new queues and topics, and of those that a name alone means.
    pub(crate) fn namespace(&self) -> String {
        address::namespace(&self.options.account, self.region, self.options)
    }

    /// The queue of a `QueueUrl` parameter, or of the request's path.
    pub(crate) fn queue(&self, url: Option<&str>) -> Result<Arc<QueueInfo>, Error> {
        let directory = self.broker.directory();
        match (url, &self.path_queue) {
            (Some(url), _) => {
                let name = address::of_url(url, self.region, self.options)?;
                directory.by_name(&name).ok_or_else(|| match address::has_account(url) {
                    true => Error::QueueDoesNotExist,
                    // What is no URL of AWS' form is no wrong name, but a wrong address.
                    false => Error::InvalidAddress(quoted(url).to_owned()),
                })
            }
            (None, Some(name)) => directory.by_name(name).ok_or(Error::QueueDoesNotExist),
            (None, None) => Err(Error::missing("QueueUrl")),
        }
    }

    /// The queue of an ARN, if there is one.
    pub(crate) fn queue_of_arn(&self, arn: &str) -> Option<Arc<QueueInfo>> {
        self.broker.directory().by_name(&address::of_arn(arn, self.options)?)
    }

    /// The ARN of a queue.
    pub(crate) fn arn_of(&self, queue: &QueueName) -> String {
        address::arn_of(queue, self.options)
    }

    /// The URL of a queue, as this client reaches it.
    pub(crate) fn url_of(&self, queue: &QueueName) -> String {
        address::url_of(self.origin, queue, self.options)
    }

    /// Changes a queue's settings: reads, lets `change` edit, and writes only if nobody else wrote
    /// in between, else tries again.
    pub(crate) async fn reconfigure(
        &self,
        mut queue: Arc<QueueInfo>,
        mut change: impl FnMut(&QueueInfo, &mut QueueConfig) -> Result<(), Error>,
    ) -> Result<(), Error> {
        for _ in 0..MAX_RECONFIGURE_TRIES {
            let mut config = queue.config.clone();
            change(&queue, &mut config)?;
            if config == queue.config {
                return Ok(());
            }
            let expected_version = queue.version;
            let command =
                ConfigureQueue { queue: queue.id, config: config.into(), expected_version };
            match self.broker.ask(command).await {
                Ok(_) => return Ok(()),
                Err(kyu_broker::Error::Refused(Refusal::VersionConflict)) => {
                    let newer = self.broker.directory().by_id(queue.id);
                    queue = newer.ok_or(Error::QueueDoesNotExist)?;
                }
                Err(error) => return Err(error.into()),
            }
        }
        Err(Error::RequestThrottled)
    }
}
