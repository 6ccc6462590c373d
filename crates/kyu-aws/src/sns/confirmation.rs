//! Tokens: what an endpoint proves with that it got the question whether it wants to be subscribed.

use kyu_broker::{BindingConfig, BindingId, BindingInfo};

use crate::door::SqsOptions;

/// Attributes of a binding that are the door's own and not shown.
pub(super) const OWN: &str = "kyu:";
/// The secret half of the token.
pub(super) const SECRET: &str = "kyu:secret";
/// The origin by which the subscriber reaches this server; before there were others than `http`,
/// its host.
pub(super) const ORIGIN: &str = "kyu:host";
/// There if the confirmation was signed by somebody who may call this server.
pub(super) const AUTHENTICATED: &str = "kyu:authenticated";
/// The ARN of whoever subscribed.
pub(super) const PRINCIPAL: &str = "kyu:principal";
/// There if Unsubscribe must be signed.
pub(super) const GUARDED: &str = "kyu:guarded";

/// The beginning of the URLs in messages to an endpoint: the configured origin, or else that of the
/// call that subscribed it, for nobody calls when a message is delivered.
pub(super) fn origin(stored: Option<&str>, options: &SqsOptions) -> String {
    if let Some(origin) = &options.origins.public_url {
        return origin.to_string();
    }
    match stored {
        Some(origin) if origin.contains("://") => origin.to_owned(),
        Some(host) => format!("http://{host}"),
        None => "http://localhost".to_owned(),
    }
}

/// The time that an endpoint may take, in milliseconds; then the subscription that waits for it
/// ends, as AWS ends it.
pub(super) const PENDING_MS: u64 = 48 * 3_600_000;

const SECRET_BYTES: usize = 32;
/// Hexadecimal digits of the binding in a token.
const ID_DIGITS: usize = 16;

/// Hexadecimal digits that nobody can guess.
pub(super) fn random_hex(bytes: usize) -> Result<String, getrandom::Error> {
    let mut random = vec![0; bytes];
    getrandom::fill(&mut random)?;
    Ok(random.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Six decimal digits that nobody can guess.
pub(super) fn random_number() -> Result<String, getrandom::Error> {
    let mut random = [0; 4];
    getrandom::fill(&mut random)?;
    Ok(format!("{:06}", u32::from_le_bytes(random) % 1_000_000))
}

/// A new secret.
pub(super) fn new_secret() -> Result<String, getrandom::Error> {
    random_hex(SECRET_BYTES)
}

/// The token of a subscription; `None` if it never waited for a confirmation.
pub(super) fn token(id: BindingId, config: &BindingConfig) -> Option<String> {
    let secret = config.attributes.get(SECRET)?;
    Some(format!("{:0width$x}{secret}", id.get(), width = ID_DIGITS))
}

/// The subscription that a token is about, still to be asked whether the token is its own.
pub(super) fn subscription_of(token: &str) -> Option<BindingId> {
    let digits = token.get(..ID_DIGITS)?;
    BindingId::new(u64::from_str_radix(digits, 16).ok()?)
}

/// Tells whether a token is the one of a subscription.
pub(super) fn is_token_of(token: &str, info: &BindingInfo) -> bool {
    let Some(expected) = self::token(info.id, &info.config) else { return false };
    // In a time that says nothing of where they differ.
    let differences = expected.bytes().zip(token.bytes()).fold(0, |found, (a, b)| found | (a ^ b));
    expected.len() == token.len() && differences == 0
}

/// Tells whether a subscription has waited too long.
pub(super) fn has_lapsed(info: &BindingInfo, now_ms: u64) -> bool {
    !info.config.active && now_ms >= info.created_at_ms.saturating_add(PENDING_MS)
}
