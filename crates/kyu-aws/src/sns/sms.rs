//! SMS settings, phone numbers that opted out, and the sandbox of new accounts. No message leaves for
//! a phone: see [`outbox`].

use kyu_broker::QueueName;

use super::confirmation::random_number;
use super::error::{Code, Error};
use super::outbox::{self, Letter};
use super::output::Output;
use super::{input, store};
use crate::call::Call;
use crate::wire::form::Node;

/// The namespace of the settings of accounts. No account and no ARN can have a colon in it.
const NAMESPACE: &str = "sns:sms";
/// Attributes of SetSMSAttributes (SNS API reference).
const NAMES: &[&str] = &[
    "MonthlySpendLimit",
    "DeliveryStatusIAMRole",
    "DeliveryStatusSuccessSamplingRate",
    "DefaultSenderID",
    "DefaultSMSType",
    "UsageReportS3Bucket",
];
/// The settings that hold if nobody has set them.
const DEFAULTS: &[(&str, &str)] = &[("MonthlySpendLimit", "1")];
/// The prefixes of the names of settings, and of phone numbers in the sandbox.
const SETTING: &str = "setting:";
const SANDBOX: &str = "sandbox:";
/// The state of a number in the sandbox that was verified; otherwise its code.
const VERIFIED: &str = "verified";
/// Numbers in the sandbox (SNS developer guide, "SMS sandbox").
const MAX_SANDBOX_NUMBERS: usize = 10;
/// Digits of a number (E.164).
const MAX_DIGITS: usize = 15;
/// Settings of one request.
const MAX_SETTINGS: usize = 100;

fn record(call: &Call<'_>) -> QueueName {
    QueueName { namespace: NAMESPACE.into(), name: call.namespace() }
}

/// A plus and digits, with single dots, slashes and hyphens between them.
pub(super) fn is_phone_number(text: &str) -> bool {
    let number = text.strip_prefix('+').unwrap_or(text);
    let digits = number.bytes().filter(u8::is_ascii_digit).count();
    let mut parts = number.split(['.', '/', '-']);
    let plain = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    digits <= MAX_DIGITS && parts.all(plain)
}

/// SetSMSAttributes: some settings, all or none.
pub(super) async fn set_attributes(call: &Call<'_>, parameters: &Node<'_>) -> Result<(), Error> {
    let settings = input::map(parameters, "attributes", MAX_SETTINGS)?;
    let refused = |text: String| Err(Error::new(Code::InvalidParameter, text));
    for (name, value) in &settings {
        if !NAMES.contains(&name.as_str()) {
            return refused(format!("{} is not a valid attribute", crate::error::quoted(name)));
        }
        if name == "DefaultSMSType" && !matches!(value.as_str(), "Promotional" | "Transactional") {
            return refused("DefaultSMSType is invalid".into());
        }
    }
    let name = record(call);
    let change = store::change(call, &name, |config| {
        for (name, value) in &settings {
            config.attributes.insert(format!("{SETTING}{name}"), value.clone());
        }
        Ok(())
    });
    change.await
}

/// GetSMSAttributes: the settings that were asked for, or all.
pub(super) async fn get_attributes(
    call: &Call<'_>,
    parameters: &Node<'_>,
    out: &mut Output,
) -> Result<(), Error> {
    let wanted = input::texts(parameters, "attributes", MAX_SETTINGS)?;
    let record = store::read(call, &record(call)).await?;
    let stored = |name: &str| {
        let record = record.as_ref()?;
        record.config.attributes.get(&format!("{SETTING}{name}")).cloned()
    };
    let default = |name: &str| {
        DEFAULTS.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
    };
    let is_wanted = |name: &str| wanted.is_empty() || wanted.iter().any(|one| one == name);
    let settings = NAMES.iter().filter(|name| is_wanted(name));
    let settings = settings.filter_map(|name| Some((*name, stored(name).or(default(name))?)));
    out.map("attributes", settings);
    Ok(())
}

fn number<'n>(parameters: &'n Node<'_>, parameter: &str) -> Result<&'n str, Error> {
    let number = input::required(parameters, parameter)?;
    if is_phone_number(number) {
        return Ok(number);
    }
    let number = crate::error::quoted(number);
    Err(Error::invalid(format!("PhoneNumber Reason: {number} is not valid")))
}

/// CheckIfPhoneNumberIsOptedOut: no number is. Only the owner of a phone can opt it out, by an
/// answer to a message, and no message gets there.
pub(super) fn is_opted_out(parameters: &Node<'_>, out: &mut Output) -> Result<(), Error> {
    number(parameters, "phoneNumber")?;
    out.element("isOptedOut", "false");
    Ok(())
}

/// OptInPhoneNumber: they all are.
pub(super) fn opt_in(parameters: &Node<'_>) -> Result<(), Error> {
    number(parameters, "phoneNumber").map(drop)
}

/// CreateSMSSandboxPhoneNumber: a number that is to be verified with the code that it is sent.
pub(super) async fn create_sandbox(call: &Call<'_>, parameters: &Node<'_>) -> Result<(), Error> {
    let number = number(parameters, "PhoneNumber")?;
    let code = random_number().map_err(|_| Error::internal())?;
    let name = record(call);
    let change = store::change(call, &name, |config| {
        let numbers = config.attributes.keys().filter(|name| name.starts_with(SANDBOX)).count();
        let entry = format!("{SANDBOX}{number}");
        match config.attributes.get(&entry) {
            Some(state) if state == VERIFIED => {
                Err(Error::new(Code::UserError, "The phone number is already verified"))
            }
            None if numbers >= MAX_SANDBOX_NUMBERS => Err(Error::invalid(
                "PhoneNumber Reason: the sandbox has as many phone numbers as it can have",
            )),
            _ => {
                config.attributes.insert(entry, code.clone());
                Ok(())
            }
        }
    });
    change.await?;
    let text = &format!("Your verification code is {code}");
    let letter = Letter { protocol: "sms", endpoint: number, subject: None, text };
    outbox::record(call, letter).await.map(drop)
}

/// VerifySMSSandboxPhoneNumber: takes the code that the number was sent.
pub(super) async fn verify_sandbox(call: &Call<'_>, parameters: &Node<'_>) -> Result<(), Error> {
    let number = number(parameters, "PhoneNumber")?;
    let code = input::required(parameters, "OneTimePassword")?;
    let name = record(call);
    let change = store::change(call, &name, |config| {
        match config.attributes.get_mut(&format!("{SANDBOX}{number}")) {
            None => Err(Error::new(Code::ResourceNotFound, "Phone number does not exist")),
            Some(state) if state == VERIFIED => Ok(()),
            Some(state) if state == code => {
                VERIFIED.clone_into(state);
                Ok(())
            }
            Some(_) => {
                Err(Error::new(Code::Verification, "The one-time password is not the right one"))
            }
        }
    });
    change.await
}

/// DeleteSMSSandboxPhoneNumber: forgets a number.
pub(super) async fn delete_sandbox(call: &Call<'_>, parameters: &Node<'_>) -> Result<(), Error> {
    let number = number(parameters, "PhoneNumber")?;
    let name = record(call);
    let change = store::change(call, &name, |config| {
        let gone = config.attributes.remove(&format!("{SANDBOX}{number}"));
        let missing = || Error::new(Code::ResourceNotFound, "Phone number does not exist");
        gone.map(drop).ok_or_else(missing)
    });
    change.await
}

/// ListSMSSandboxPhoneNumbers: all of them, which are few.
pub(super) async fn list_sandbox(call: &Call<'_>, out: &mut Output) -> Result<(), Error> {
    let record = store::read(call, &record(call)).await?;
    out.nested("PhoneNumbers", |out| {
        for (name, state) in record.iter().flat_map(|record| &record.config.attributes) {
            let Some(number) = name.strip_prefix(SANDBOX) else { continue };
            out.nested("member", |out| {
                out.element("PhoneNumber", number);
                out.element("Status", if state == VERIFIED { "Verified" } else { "Pending" });
            });
        }
    });
    Ok(())
}
