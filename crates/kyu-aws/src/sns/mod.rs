//! Amazon SNS on the same endpoint, Query protocol only (botocore 1.44, `sns/2010-03-31`: all of its
//! 42 actions). What would go to phones, mailboxes and apps goes to a list (`outbox`).
//!
//! A topic is an exchange of the engine, a subscription a binding of it, and a publish one command:
//! the engine routes and stores the message once, in one record. What SNS wraps around a message is
//! made when SQS hands it out (`envelope`).

mod address;
mod confirmation;
mod delivery_policy;
pub(crate) mod envelope;
mod error;
mod filter_policy;
mod http;
mod input;
mod letters;
mod outbox;
mod output;
mod pending;
mod people;
mod permissions;
mod platform;
mod protection;
mod publish;
mod signed_topics;
mod signing;
mod sms;
mod store;
mod subscription_attributes;
mod subscriptions;
mod tags;
mod topic_attributes;
mod topics;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;

use crate::call::Call;
use crate::request_id::RequestId;
use crate::wire::form::Node;

pub(crate) use error::Error;
pub use http::{Deliveries, DeliveryCounts, EndpointRule};
use output::Output;

/// The options of SNS that an operator may choose.
#[derive(Clone, Debug)]
pub struct SnsOptions {
    /// The endpoints that may subscribe by HTTP and HTTPS.
    pub endpoints: EndpointRule,
    /// The addresses on which this server listens: no subscriber can make it call itself.
    pub own_addresses: Vec<SocketAddr>,
    /// The directory of the key that messages are signed with; `None` for a new key at each start.
    pub key_dir: Option<PathBuf>,
    /// Sign the messages of every standard topic for SQS subscribers too, as AWS does, not only of
    /// those that were given a `SignatureVersion`. A signature takes 2.3 ms of a core in version 1
    /// and 0.6 ms in version 2, once for each message however many queues and deliveries it has.
    pub sign_all: bool,
}

impl Default for SnsOptions {
    fn default() -> Self {
        Self {
            endpoints: EndpointRule::default(),
            own_addresses: Vec::new(),
            key_dir: None,
            sign_all: true,
        }
    }
}

impl SnsOptions {
    fn reach(&self) -> http::Reach {
        http::Reach::new(self.endpoints, self.own_addresses.clone())
    }
}

/// The state of SNS that the door keeps beside the broker's.
pub(crate) struct Sns {
    pub(crate) signer: signing::Signer,
    pub(crate) signed: signed_topics::SignedTopics,
    pub(crate) deliveries: DeliveryCounts,
    posts: http::Posts,
}

impl Sns {
    pub(crate) fn new(options: &SnsOptions) -> Arc<Self> {
        Arc::new(Self {
            signer: signing::Signer::new(options.key_dir.clone()),
            signed: signed_topics::SignedTopics::default(),
            deliveries: DeliveryCounts::default(),
            posts: http::Posts::new(),
        })
    }
}

/// The path at which the messages for people are listed.
pub(crate) use outbox::PATH as OUTBOX_PATH;

/// The messages that would have gone to people, as JSON.
pub(crate) async fn outbox(call: &Call<'_>) -> Result<Bytes, Error> {
    outbox::list(call).await
}

/// Tells whether a request may come without a signature: the links in messages, whose secret is in
/// them.
pub(crate) fn is_link(parameters: &Node<'_>) -> bool {
    matches!(parameters.text("Action"), Some("ConfirmSubscription" | "Unsubscribe"))
}

/// The version of the API, which every SDK sends.
const VERSION: &str = "2010-03-31";

/// Tells whether a Query request is for SNS: it says so, or its action is known to SNS alone (links
/// in messages name no version), or it is about a topic.
pub(crate) fn is_addressed(parameters: &Node<'_>) -> bool {
    match (parameters.text("Version"), parameters.text("Action")) {
        (Some(version), _) => version == VERSION,
        (None, Some("AddPermission" | "RemovePermission")) => parameters.text("TopicArn").is_some(),
        (None, Some(action)) => ACTIONS.contains(&action),
        (None, None) => false,
    }
}

const ACTIONS: &[&str] = &[
    "AddPermission",
    "CheckIfPhoneNumberIsOptedOut",
    "ConfirmSubscription",
    "CreatePlatformApplication",
    "CreatePlatformEndpoint",
    "CreateSMSSandboxPhoneNumber",
    "CreateTopic",
    "DeleteEndpoint",
    "DeletePlatformApplication",
    "DeleteSMSSandboxPhoneNumber",
    "DeleteTopic",
    "GetDataProtectionPolicy",
    "GetEndpointAttributes",
    "GetPlatformApplicationAttributes",
    "GetSMSAttributes",
    "GetSMSSandboxAccountStatus",
    "GetSubscriptionAttributes",
    "GetTopicAttributes",
    "ListEndpointsByPlatformApplication",
    "ListOriginationNumbers",
    "ListPhoneNumbersOptedOut",
    "ListPlatformApplications",
    "ListSMSSandboxPhoneNumbers",
    "ListSubscriptions",
    "ListSubscriptionsByTopic",
    "ListTagsForResource",
    "ListTopics",
    "OptInPhoneNumber",
    "Publish",
    "PublishBatch",
    "PutDataProtectionPolicy",
    "RemovePermission",
    "SetEndpointAttributes",
    "SetPlatformApplicationAttributes",
    "SetSMSAttributes",
    "SetSubscriptionAttributes",
    "SetTopicAttributes",
    "Subscribe",
    "TagResource",
    "Unsubscribe",
    "UntagResource",
    "VerifySMSSandboxPhoneNumber",
];

/// Carries out a request and writes its answer.
pub(crate) async fn run(
    call: &Call<'_>,
    parameters: &Node<'_>,
    id: &RequestId,
) -> Result<Bytes, Error> {
    let action = parameters.text("Action").unwrap_or_default();
    let mut output = Output::new(action, HAS_NO_RESULT.contains(&action));
    let out = &mut output;
    match action {
        "Publish" => publish::one(call, parameters, out).await,
        "PublishBatch" => publish::batch(call, parameters, out).await,
        "CreateTopic" => topics::create(call, parameters, out).await,
        "DeleteTopic" => topics::delete(call, parameters).await,
        "ListTopics" => topics::list(call, parameters, out).await,
        "GetTopicAttributes" => topics::get_attributes(call, parameters, out).await,
        "SetTopicAttributes" => topics::set_attributes(call, parameters).await,
        "Subscribe" => subscriptions::subscribe(call, parameters, out).await,
        "ConfirmSubscription" => pending::confirm(call, parameters, out).await,
        "Unsubscribe" => subscriptions::unsubscribe(call, parameters).await,
        "ListSubscriptions" => subscriptions::list(call, parameters, out).await,
        "ListSubscriptionsByTopic" => subscriptions::list_by_topic(call, parameters, out).await,
        "GetSubscriptionAttributes" => subscriptions::get_attributes(call, parameters, out).await,
        "SetSubscriptionAttributes" => subscriptions::set_attributes(call, parameters).await,
        "TagResource" => tags::tag(call, parameters).await,
        "UntagResource" => tags::untag(call, parameters).await,
        "ListTagsForResource" => tags::list(call, parameters, out).await,
        "AddPermission" => permissions::add(call, parameters).await,
        "RemovePermission" => permissions::remove(call, parameters).await,
        other => of_people(other, call, parameters, out).await,
    }?;
    Ok(output.finish(id))
}

/// The actions about recipients outside: phones and apps.
async fn of_people(
    action: &str,
    call: &Call<'_>,
    parameters: &Node<'_>,
    out: &mut Output,
) -> Result<(), Error> {
    match action {
        "GetDataProtectionPolicy" => protection::get(call, parameters, out).await,
        "PutDataProtectionPolicy" => protection::put(call, parameters).await,
        "SetSMSAttributes" => sms::set_attributes(call, parameters).await,
        "GetSMSAttributes" => sms::get_attributes(call, parameters, out).await,
        "CheckIfPhoneNumberIsOptedOut" => sms::is_opted_out(parameters, out),
        "OptInPhoneNumber" => sms::opt_in(parameters),
        "ListPhoneNumbersOptedOut" => {
            out.nested("phoneNumbers", |_| {});
            Ok(())
        }
        "ListOriginationNumbers" => {
            out.nested("PhoneNumbers", |_| {});
            Ok(())
        }
        "GetSMSSandboxAccountStatus" => {
            out.element("IsInSandbox", "true");
            Ok(())
        }
        "CreateSMSSandboxPhoneNumber" => sms::create_sandbox(call, parameters).await,
        "VerifySMSSandboxPhoneNumber" => sms::verify_sandbox(call, parameters).await,
        "DeleteSMSSandboxPhoneNumber" => sms::delete_sandbox(call, parameters).await,
        "ListSMSSandboxPhoneNumbers" => sms::list_sandbox(call, out).await,
        "CreatePlatformApplication" => platform::create(call, parameters, out).await,
        "DeletePlatformApplication" => platform::delete(call, parameters).await,
        "ListPlatformApplications" => platform::list(call, parameters, out).await,
        "GetPlatformApplicationAttributes" => platform::get_attributes(call, parameters, out).await,
        "SetPlatformApplicationAttributes" => platform::set_attributes(call, parameters).await,
        "CreatePlatformEndpoint" => platform::create_endpoint(call, parameters, out).await,
        "DeleteEndpoint" => platform::delete_endpoint(call, parameters).await,
        "ListEndpointsByPlatformApplication" => {
            platform::list_endpoints(call, parameters, out).await
        }
        "GetEndpointAttributes" => platform::get_endpoint_attributes(call, parameters, out).await,
        "SetEndpointAttributes" => platform::set_endpoint_attributes(call, parameters).await,
        other => Err(Error::invalid_action(other)),
    }
}

/// The actions whose answer has no `...Result` element.
const HAS_NO_RESULT: &[&str] = &[
    "AddPermission",
    "DeleteEndpoint",
    "DeletePlatformApplication",
    "DeleteTopic",
    "PutDataProtectionPolicy",
    "RemovePermission",
    "SetEndpointAttributes",
    "SetPlatformApplicationAttributes",
    "SetSubscriptionAttributes",
    "SetTopicAttributes",
    "Unsubscribe",
];

#[cfg(test)]
mod parity_tests;
#[cfg(test)]
mod people_tests;
#[cfg(test)]
mod tests;
