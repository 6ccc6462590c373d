//! Data protection policies of topics: stored and returned. Nothing looks into messages for what they
//! name.

use super::error::{Code, Error};
use super::output::Output;
use super::{address, input, topics};
use crate::call::Call;
use crate::wire::form::Node;

/// The attribute of a topic that holds its policy; it is not shown among the others.
pub(super) const ATTRIBUTE: &str = "kyu:dataProtectionPolicy";
/// Longest policy (SNS API reference).
const MAX_BYTES: usize = 30 << 10;

/// GetDataProtectionPolicy: the policy, if there is one.
pub(super) async fn get(
    call: &Call<'_>,
    parameters: &Node<'_>,
    out: &mut Output,
) -> Result<(), Error> {
    let arn = input::required(parameters, "ResourceArn")?;
    let topic = address::topic_of(arn, "ResourceArn", call)?;
    let (topic, _) = topics::find(call, topic).await?;
    out.optional(
        "DataProtectionPolicy",
        topic.config.attributes.get(ATTRIBUTE).map(String::as_str),
    );
    Ok(())
}

/// PutDataProtectionPolicy: a new one; the empty text takes it away.
pub(super) async fn put(call: &Call<'_>, parameters: &Node<'_>) -> Result<(), Error> {
    let arn = input::required(parameters, "ResourceArn")?;
    let topic = address::topic_of(arn, "ResourceArn", call)?;
    let policy = parameters.text("DataProtectionPolicy").unwrap_or_default();
    check(policy)?;
    let change = topics::reconfigure(call, topic, |config| {
        if policy.is_empty() {
            config.attributes.remove(ATTRIBUTE);
        } else {
            config.attributes.insert(ATTRIBUTE.to_owned(), policy.to_owned());
        }
        Ok(())
    });
    change.await
}

/// Checks the form of a policy.
pub(super) fn check(policy: &str) -> Result<(), Error> {
    let is_object =
        || serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(policy).is_ok();
    if policy.len() > MAX_BYTES || !(policy.is_empty() || is_object()) {
        let text = "Invalid parameter: DataProtectionPolicy Reason: failed to parse JSON";
        return Err(Error::new(Code::InvalidParameter, text));
    }
    Ok(())
}
