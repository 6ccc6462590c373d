//! SNS' envelope, in which SQS hands out a message that came by a subscription without raw
//! delivery. The message is stored once and bare; it is wrapped when it is received, for the
//! binding it came by.

use std::sync::Arc;

use kyu_broker::{BindingId, Content, Frame, Property, Received};
use tokio::task::JoinSet;

use super::letters::{Addressee, Notification};
use super::signing::Hash;
pub(crate) use super::signing::Signature;
use crate::call::Call;

/// Wraps a message that came by a binding. One that no topic of SNS sent stays bare.
pub(crate) fn wrap(
    call: &Call<'_>,
    via: BindingId,
    message: &Frame,
    content: &mut Content,
    signature: Option<&Signature>,
) {
    let Some(topic_arn) = content.property(Property::Topic) else { return };
    let text = String::from_utf8_lossy(&content.body);
    let subscription_arn = format!("{topic_arn}:{via}");
    let to =
        Addressee { origin: call.origin.as_str(), topic_arn, subscription_arn: &subscription_arn };
    let wrapped = Notification { message, content, text: &text }.wrapped(to, signature);
    content.body = wrapped.into();
    content.attributes.clear();
}

/// The signatures of what was received: one for each message whose topic wants its messages signed.
/// They are made side by side, as far as the signer has turns. Nobody waits for a message because it
/// cannot be signed: it goes out without, and the log says so.
pub(crate) async fn sign(call: &Call<'_>, received: &[Received]) -> Vec<Option<Signature>> {
    let mut signatures = vec![None; received.len()];
    let mut making = JoinSet::new();
    for (at, one) in received.iter().enumerate().filter(|(_, one)| one.delivery.via.is_some()) {
        let Some((text, hash)) = to_be_signed(call, one).await else { continue };
        let sns = Arc::clone(call.sns);
        making.spawn(async move { (at, sns.signer.sign(text, hash).await) });
    }
    while let Some(made) = making.join_next().await {
        match made {
            Ok((at, Ok(signature))) => {
                if let Some(place) = signatures.get_mut(at) {
                    *place = Some(signature);
                }
            }
            Ok((_, Err(error))) => tracing::warn!(%error, "a message is handed out unsigned"),
            Err(error) => tracing::warn!(%error, "a message is handed out unsigned"),
        }
    }
    signatures
}

/// The text to sign, if this message is to be signed. As with AWS, those of FIFO topics are not.
async fn to_be_signed(call: &Call<'_>, received: &Received) -> Option<(String, Hash)> {
    let content = received.message.content().ok()?;
    let topic_arn = content.property(Property::Topic)?;
    if content.property(Property::Sequence).is_some() {
        return None;
    }
    let stated = call.sns.signed.of(call, topic_arn).await.unwrap_or_else(|error| {
        tracing::warn!(%error, "how a topic is signed is not known");
        None
    });
    let hash = stated.or(call.options.sns.sign_all.then_some(Hash::Sha1))?;
    let text = String::from_utf8_lossy(&content.body);
    let notification = Notification { message: &received.message, content: &content, text: &text };
    Some((notification.text_to_sign(topic_arn), hash))
}
