//! Subscribers that this server does not reach: mailboxes, phones, apps. Their subscriptions are taken
//! as AWS takes them, and what they would get goes to the [`outbox`]. A mailbox must confirm; the
//! question stands there as well, with its link.

use kyu_broker::{BindingConfig, BindingInfo, QueueName};

use super::error::{Code, Error};
use super::outbox::{self, Letter};
use super::{address, confirmation, platform, sms, subscriptions};
use crate::address::FIFO_SUFFIX;
use crate::call::Call;

/// The binding of such a subscriber.
pub(super) async fn binding(
    call: &Call<'_>,
    topic: &QueueName,
    protocol: &str,
    endpoint: Option<&str>,
) -> Result<BindingConfig, Error> {
    let endpoint = endpoint.unwrap_or_default();
    match protocol {
        "sms" if !sms::is_phone_number(endpoint) => {
            let endpoint = crate::error::quoted(endpoint);
            let text = format!("Invalid SMS endpoint: {endpoint}");
            return Err(Error::new(Code::InvalidParameter, text));
        }
        "application" if !platform::is_endpoint(call, endpoint) => {
            return Err(Error::invalid("Application endpoint arn invalid"));
        }
        "email" | "email-json" if !is_mailbox(endpoint) => {
            return Err(Error::invalid("Email address"));
        }
        _ => {}
    }
    if topic.name.ends_with(FIFO_SUFFIX) {
        return Err(Error::invalid(format!(
            "Invalid parameter: Protocol Reason: {protocol} endpoints can not be subscribed to FIFO \
             SNS topics"
        )));
    }
    let target = outbox::open(call).await?.name.clone();
    let mut config = subscriptions::binding(protocol, endpoint, target);
    if matches!(protocol, "email" | "email-json") {
        let secret = confirmation::new_secret().map_err(|_| Error::internal())?;
        config.active = false;
        config.attributes.insert(confirmation::SECRET.to_owned(), secret);
    }
    Ok(config)
}

/// A name, an `@` and a host. What else an address may be, only its owner knows.
fn is_mailbox(text: &str) -> bool {
    let plain = |part: &str| !part.is_empty() && !part.contains(char::is_whitespace);
    text.rsplit_once('@').is_some_and(|(name, host)| plain(name) && plain(host))
}

/// Asks a mailbox to confirm, as far as that goes here.
pub(super) async fn ask(call: &Call<'_>, info: &BindingInfo) -> Result<(), Error> {
    let token = confirmation::token(info.id, &info.config).ok_or_else(Error::internal)?;
    let topic = address::topic_arn(&info.exchange, call.options);
    let origin = call.origin;
    let text = &format!(
        "You have chosen to subscribe to the topic:\n{topic}\n\nTo confirm this subscription, visit \
         {origin}/?Action=ConfirmSubscription&TopicArn={topic}&Token={token}\n"
    );
    let letter = Letter {
        protocol: &info.config.protocol,
        endpoint: &info.config.address,
        subject: Some("AWS Notification - Subscription Confirmation"),
        text,
    };
    outbox::record(call, letter).await.map(drop)
}
