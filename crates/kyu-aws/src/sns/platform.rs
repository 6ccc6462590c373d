//! Mobile push: platform applications and their endpoints. Stored and answered; what is published to
//! them goes to the `outbox`.
//!
//! An application is a record ([`store`]), an endpoint a binding of it that never receives, with the
//! device's token as its address.

use std::collections::BTreeMap;
use std::sync::Arc;

use kyu_broker::{
    Bind, BindingConfig, BindingId, BindingInfo, ConfigureBinding, ExchangeInfo, ListBindings,
    ListExchanges, Matcher, QueueName, Refusal,
};

use super::error::{Code, Error};
use super::output::Output;
use super::{input, pending, store};
use crate::address::named;
use crate::call::Call;
use crate::limits::MAX_RECONFIGURE_TRIES;
use crate::wire::form::Node;

/// The prefix of the namespace of an account and region.
const NAMESPACE: &str = "sns:app:";
/// The services that AWS pushes through (SNS API reference, CreatePlatformApplication).
const PLATFORMS: &[&str] = &[
    "ADM",
    "APNS",
    "APNS_SANDBOX",
    "APNS_VOIP",
    "APNS_VOIP_SANDBOX",
    "BAIDU",
    "FCM",
    "GCM",
    "MACOS",
    "MACOS_SANDBOX",
    "MPNS",
    "WNS",
];
/// Secrets, which are not shown again.
const SECRETS: &[&str] = &["PlatformCredential", "PlatformPrincipal"];
const ENDPOINT_ATTRIBUTES: &[&str] = &["CustomUserData", "Enabled", "Token"];
const MAX_NAME_CHARS: usize = 256;
const MAX_USER_DATA_BYTES: usize = 2_048;
/// Attributes of one request.
const MAX_ATTRIBUTES: usize = 100;
/// Applications or endpoints of one page (SNS API reference).
const PAGE: usize = 100;

fn not_found(what: &str) -> Error {
    Error::new(Code::NotFound, format!("{what} does not exist"))
}

fn required_attributes(parameters: &Node<'_>) -> Result<BTreeMap<String, String>, Error> {
    let attributes = input::map(parameters, "Attributes", MAX_ATTRIBUTES)?;
    if attributes.is_empty() {
        let text = "1 validation error detected: Value null at 'attributes' failed to satisfy \
                    constraint: Member must not be null";
        return Err(Error::new(Code::Validation, text));
    }
    Ok(attributes)
}

fn check_name(name: &str) -> Result<(), Error> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    let reason = if name.is_empty() {
        "cannot be empty"
    } else if name.chars().count() > MAX_NAME_CHARS {
        "must be at most 256 characters long"
    } else if !name.chars().all(plain) {
        "must contain only characters 'a'-'z', 'A'-'Z', '0'-'9', '_', '-', and '.'"
    } else {
        return Ok(());
    };
    Err(Error::invalid(format!("{} Reason: {reason}", crate::error::quoted(name))))
}

/// CreatePlatformApplication: a new one, or new attributes for the one of that name.
pub(super) async fn create(
    call: &Call<'_>,
    parameters: &Node<'_>,
    out: &mut Output,
) -> Result<(), Error> {
    let name = parameters.text("Name").unwrap_or_default();
    let platform = input::required(parameters, "Platform")?;
    check_name(name)?;
    if !PLATFORMS.contains(&platform) {
        let platform = crate::error::quoted(platform);
        return Err(Error::invalid(format!("Platform Reason: {platform} is not supported")));
    }
    let attributes = required_attributes(parameters)?;
    // Google's keys have no principal.
    let is_pair = !matches!(platform, "GCM" | "FCM");
    let [credential, principal] =
        ["PlatformCredential", "PlatformPrincipal"].map(|name| attributes.contains_key(name));
    if is_pair && credential && !principal {
        return Err(Error::invalid(
            "Attributes Reason: PlatformCredential attribute provided without PlatformPrincipal",
        ));
    }
    if principal && !credential {
        return Err(Error::invalid(
            "Attributes Reason: PlatformPrincipal attribute provided without PlatformCredential",
        ));
    }
    let application = QueueName {
        namespace: format!("{NAMESPACE}{}", call.namespace()),
        name: format!("{platform}/{name}"),
    };
    let change = store::change(call, &application, |config| {
        config.attributes.entry("Enabled".into()).or_insert_with(|| "true".into());
        config.attributes.extend(attributes.clone());
        Ok(())
    });
    change.await?;
    out.element("PlatformApplicationArn", &application_arn(call, &application));
    Ok(())
}

fn arn(call: &Call<'_>, kind: &str, application: &QueueName) -> String {
    let (region, account) = (call.region, &call.options.account);
    format!("arn:aws:sns:{region}:{account}:{kind}/{}", application.name)
}

fn application_arn(call: &Call<'_>, application: &QueueName) -> String {
    arn(call, "app", application)
}

fn endpoint_arn(call: &Call<'_>, endpoint: &BindingInfo) -> String {
    format!("{}/{}", arn(call, "endpoint", &endpoint.exchange), endpoint.id)
}

/// The part of an ARN behind the kind of resource, in the namespace of applications.
fn resource<'n>(call: &Call<'_>, arn: &'n str, kind: &str) -> Option<(String, &'n str)> {
    let parts: Vec<&str> = arn.splitn(6, ':').collect();
    match parts.as_slice() {
        ["arn", _, "sns", region, account, rest] if *region == call.region => {
            let rest = rest.strip_prefix(kind)?.strip_prefix('/')?;
            let name = named(account, region, rest, call.options)?;
            Some((format!("{NAMESPACE}{}", name.namespace), rest))
        }
        _ => None,
    }
}

fn application(call: &Call<'_>, parameters: &Node<'_>) -> Result<QueueName, Error> {
    let arn = input::required(parameters, "PlatformApplicationArn")?;
    let count = arn.split(':').count();
    if count < 6 {
        return Err(Error::invalid(format!(
            "PlatformApplicationArn Reason: An ARN must have at least 6 elements, not {count}"
        )));
    }
    let found = resource(call, arn, "app").filter(|(_, rest)| rest.split('/').count() == 2);
    let (namespace, name) = found.ok_or_else(|| Error::invalid("PlatformApplicationArn"))?;
    Ok(QueueName { namespace, name: name.to_owned() })
}

async fn found(call: &Call<'_>, parameters: &Node<'_>) -> Result<Arc<ExchangeInfo>, Error> {
    let application = application(call, parameters)?;
    let record = store::read(call, &application).await?;
    record.ok_or_else(|| not_found("PlatformApplication"))
}

/// DeletePlatformApplication: with its endpoints. Deleting what is not there succeeds.
pub(super) async fn delete(call: &Call<'_>, parameters: &Node<'_>) -> Result<(), Error> {
    let exchange = application(call, parameters)?;
    store::delete(call, exchange).await
}

/// ListPlatformApplications: 100 at a time.
pub(super) async fn list(
    call: &Call<'_>,
    parameters: &Node<'_>,
    out: &mut Output,
) -> Result<(), Error> {
    let after = parameters.text("NextToken").map(input::token).transpose()?;
    let namespace = format!("{NAMESPACE}{}", call.namespace());
    let page = ListExchanges { namespace, after, max: PAGE + 1 };
    let mut applications = call.broker.look_up(page).await?;
    let more = applications.len() > PAGE;
    applications.truncate(PAGE);
    out.nested("PlatformApplications", |out| {
        for one in &applications {
            out.nested("member", |out| {
                out.element("PlatformApplicationArn", &application_arn(call, &one.name));
                out.map("Attributes", shown(&one.config.attributes));
            });
        }
    });
    if let Some(last) = applications.last().filter(|_| more) {
        out.element("NextToken", &input::make_token(&last.name.name));
    }
    Ok(())
}

fn shown(attributes: &BTreeMap<String, String>) -> impl Iterator<Item = (&String, &String)> {
    attributes.iter().filter(|(name, _)| !SECRETS.contains(&name.as_str()))
}

/// GetPlatformApplicationAttributes: all but the secrets.
pub(super) async fn get_attributes(
    call: &Call<'_>,
    parameters: &Node<'_>,
    out: &mut Output,
) -> Result<(), Error> {
    let record = found(call, parameters).await?;
    out.map("Attributes", shown(&record.config.attributes));
    Ok(())
}

/// SetPlatformApplicationAttributes: some of them.
pub(super) async fn set_attributes(call: &Call<'_>, parameters: &Node<'_>) -> Result<(), Error> {
    application(call, parameters)?;
    let attributes = required_attributes(parameters)?;
    let record = found(call, parameters).await?;
    let change = store::change(call, &record.name, |config| {
        config.attributes.extend(attributes.clone());
        Ok(())
    });
    change.await
}

fn check_endpoint_attributes(attributes: &BTreeMap<String, String>) -> Result<(), Error> {
    if let Some(name) = attributes.keys().find(|name| !ENDPOINT_ATTRIBUTES.contains(&name.as_str()))
    {
        let name = crate::error::quoted(name);
        return Err(Error::invalid(format!("Attributes Reason: Invalid attribute name: {name}")));
    }
    if attributes.get("CustomUserData").is_some_and(|data| data.len() > MAX_USER_DATA_BYTES) {
        return Err(Error::invalid(
            "Attributes Reason: Invalid value for attribute: CustomUserData: must be at most 2048 \
             bytes long in UTF-8 encoding",
        ));
    }
    Ok(())
}

/// CreatePlatformEndpoint: a device of an application; the same one again gives what there is.
pub(super) async fn create_endpoint(
    call: &Call<'_>,
    parameters: &Node<'_>,
    out: &mut Output,
) -> Result<(), Error> {
    let token = input::required(parameters, "Token")?;
    let record = found(call, parameters).await?;
    let mut attributes = input::map(parameters, "Attributes", MAX_ATTRIBUTES)?;
    check_endpoint_attributes(&attributes)?;
    // What stands in the attributes goes before the parameter of that name.
    if let Some(data) = parameters.text("CustomUserData") {
        attributes.entry("CustomUserData".into()).or_insert_with(|| data.to_owned());
    }
    attributes.entry("Enabled".into()).or_insert_with(|| "true".into());
    attributes.entry("Token".into()).or_insert_with(|| token.to_owned());
    let config = BindingConfig {
        protocol: "endpoint".into(),
        address: token.to_owned(),
        target: QueueName { namespace: NAMESPACE.into(), name: String::new() },
        matcher: Matcher::Everything,
        bare: false,
        active: false,
        dead_letter: None,
        attributes: attributes.clone(),
    };
    let bind = Bind { exchange: record.name.clone(), config };
    let info = match call.broker.ask(bind).await {
        Ok(info) => info,
        Err(kyu_broker::Error::Refused(Refusal::BindingExists(existing))) => existing,
        Err(error) => return Err(error.into()),
    };
    let arn = endpoint_arn(call, &info);
    if info.config.attributes != attributes {
        return Err(Error::invalid(format!(
            "Token Reason: Endpoint {arn} already exists with the same Token, but different \
             attributes."
        )));
    }
    out.element("EndpointArn", &arn);
    Ok(())
}

/// The endpoint of an ARN, if it is there.
pub(super) async fn endpoint(
    call: &Call<'_>,
    arn: &str,
) -> Result<Option<Arc<BindingInfo>>, Error> {
    let Some((namespace, rest)) = resource(call, arn, "endpoint") else { return Ok(None) };
    let Some((name, id)) = rest.rsplit_once('/') else { return Ok(None) };
    let Some(id) = BindingId::from_uuid(id) else { return Ok(None) };
    let info = pending::binding(call, id).await?;
    Ok(info.filter(|info| info.exchange.namespace == namespace && info.exchange.name == name))
}

/// Tells whether an ARN has the form of an endpoint's.
pub(super) fn is_endpoint(call: &Call<'_>, arn: &str) -> bool {
    resource(call, arn, "endpoint").is_some_and(|(_, rest)| rest.split('/').count() == 3)
}

async fn named_endpoint(call: &Call<'_>, parameters: &Node<'_>) -> Result<Arc<BindingInfo>, Error> {
    let arn = input::required(parameters, "EndpointArn")?;
    endpoint(call, arn).await?.ok_or_else(|| not_found("Endpoint"))
}

/// DeleteEndpoint: deleting what is not there succeeds.
pub(super) async fn delete_endpoint(call: &Call<'_>, parameters: &Node<'_>) -> Result<(), Error> {
    let arn = input::required(parameters, "EndpointArn")?;
    let Some(info) = endpoint(call, arn).await? else { return Ok(()) };
    store::unbind(call, info.id).await
}

/// ListEndpointsByPlatformApplication: 100 at a time.
pub(super) async fn list_endpoints(
    call: &Call<'_>,
    parameters: &Node<'_>,
    out: &mut Output,
) -> Result<(), Error> {
    let record = found(call, parameters).await?;
    let token = parameters.text("NextToken").map(input::token).transpose()?;
    let after = token.map(|uuid| BindingId::from_uuid(&uuid).ok_or(Error::invalid("NextToken")));
    let exchange = Some(record.name.clone());
    let page = ListBindings { exchange, after: after.transpose()?, max: PAGE + 1 };
    let mut endpoints = call.broker.look_up(page).await?;
    let more = endpoints.len() > PAGE;
    endpoints.truncate(PAGE);
    out.nested("Endpoints", |out| {
        for info in &endpoints {
            out.nested("member", |out| {
                out.element("EndpointArn", &endpoint_arn(call, info));
                out.map("Attributes", &info.config.attributes);
            });
        }
    });
    if let Some(last) = endpoints.last().filter(|_| more) {
        out.element("NextToken", &input::make_token(&last.id.to_string()));
    }
    Ok(())
}

/// GetEndpointAttributes: all of them.
pub(super) async fn get_endpoint_attributes(
    call: &Call<'_>,
    parameters: &Node<'_>,
    out: &mut Output,
) -> Result<(), Error> {
    let info = named_endpoint(call, parameters).await?;
    out.map("Attributes", &info.config.attributes);
    Ok(())
}

/// SetEndpointAttributes: some of them.
pub(super) async fn set_endpoint_attributes(
    call: &Call<'_>,
    parameters: &Node<'_>,
) -> Result<(), Error> {
    for _ in 0..MAX_RECONFIGURE_TRIES {
        let info = named_endpoint(call, parameters).await?;
        let attributes = required_attributes(parameters)?;
        check_endpoint_attributes(&attributes)?;
        let mut config = info.config.clone();
        config.attributes.extend(attributes);
        let expected_version = info.version;
        let command = ConfigureBinding { binding: info.id, config, expected_version };
        match call.broker.ask(command).await {
            Ok(()) => return Ok(()),
            Err(kyu_broker::Error::Refused(Refusal::VersionConflict)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(Error::new(Code::Throttled, "Rate exceeded"))
}
