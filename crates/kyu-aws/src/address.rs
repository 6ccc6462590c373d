//! The names of a queue: URLs, ARNs, and the rules for a queue's name.

use kyu_broker::QueueName;
use kyu_door::origin::Origin;

use crate::door::SqsOptions;
use crate::error::{Error, quoted};
use crate::limits::MAX_NAME_CHARS;

/// The suffix that tells FIFO queues; it counts as part of the name.
pub(crate) const FIFO_SUFFIX: &str = ".fifo";

/// Letters, digits, hyphen and underscore.
pub(crate) fn is_plain(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    (1..=MAX_NAME_CHARS).contains(&text.len()) && text.bytes().all(plain)
}

/// Checks the name of a queue to be created.
pub(crate) fn check_name(name: &str, fifo: bool) -> Result<(), Error> {
    let invalid = |text: &str| Err(Error::InvalidParameterValue(text.into()));
    if fifo {
        let stem = name.strip_suffix(FIFO_SUFFIX).filter(|_| name.len() <= MAX_NAME_CHARS);
        if !stem.is_some_and(is_plain) {
            return invalid(
                "The name of a FIFO queue can only include alphanumeric characters, hyphens, or \
                 underscores, must end with .fifo suffix and be 1 to 80 in length",
            );
        }
    } else if !is_plain(name) {
        return invalid(
            "Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length",
        );
    }
    Ok(())
}

/// The queue that a queue URL means. Only the path counts: the host is whatever way led here.
///
/// Understood: `http://HOST/ACCOUNT/NAME`, the same behind any prefix (`/queue/REGION/...`),
/// `/queue/NAME`, a bare path, and a bare name. A host `sqs.REGION...` names the region as AWS does;
/// otherwise it is that of the call.
pub(crate) fn of_url(url: &str, region: &str, options: &SqsOptions) -> Result<QueueName, Error> {
    let invalid = || Error::InvalidAddress(quoted(url).to_owned());
    let (host, path) = match url.split_once("://") {
        Some((_, rest)) => rest.split_once('/').ok_or_else(invalid)?,
        None => ("", url),
    };
    let named = host.strip_prefix("sqs.").and_then(|rest| rest.split_once('.'));
    let named = named.map(|(region, _)| region).filter(|_| !options.single_region);
    of_path(path, named.unwrap_or(region), options).ok_or_else(invalid)
}

/// The queue that the path of a request means; `None` for the root.
pub(crate) fn of_path(path: &str, region: &str, options: &SqsOptions) -> Option<QueueName> {
    let path = path.split(['?', '#']).next().unwrap_or_default();
    // As in a signed path, empty segments and dots mean nothing.
    let mut segments = path.rsplit('/').filter(|segment| !matches!(*segment, "" | "."));
    let name = segments.next()?;
    let account = segments.next().filter(|text| is_account(text)).unwrap_or(&options.account);
    Some(QueueName { namespace: namespace(account, region, options), name: name.to_owned() })
}

/// Tells whether a queue URL names an account before the queue.
pub(crate) fn has_account(url: &str) -> bool {
    let mut segments = url.rsplit('/').filter(|segment| !segment.is_empty()).skip(1);
    segments.next().is_some_and(is_account)
}

fn is_account(text: &str) -> bool {
    text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// The URL by which a client reaches a queue.
pub(crate) fn url_of(origin: &Origin, queue: &QueueName, options: &SqsOptions) -> String {
    let (account, _) = realm(&queue.namespace, options);
    format!("{origin}/{account}/{}", queue.name)
}

/// The namespace of an account's queues and topics in a region. That of the server's own region is
/// the account alone: it is what other doors use, and what there was before there were regions.
pub(crate) fn namespace(account: &str, region: &str, options: &SqsOptions) -> String {
    if region == options.region { account.to_owned() } else { format!("{account}:{region}") }
}

/// The account and the region that a namespace stands for.
pub(crate) fn realm<'n>(namespace: &'n str, options: &'n SqsOptions) -> (&'n str, &'n str) {
    namespace.split_once(':').unwrap_or((namespace, &options.region))
}

/// The name in the namespace of an ARN's account and region; `None` if there can be no such.
pub(crate) fn named(
    account: &str,
    region: &str,
    name: &str,
    options: &SqsOptions,
) -> Option<QueueName> {
    // Only accounts have other regions: namespaces with a colon of other doors are not theirs.
    if region != options.region && (!is_account(account) || options.single_region) {
        return None;
    }
    Some(QueueName { namespace: namespace(account, region, options), name: name.to_owned() })
}

/// `arn:aws:sqs:REGION:ACCOUNT:NAME`
pub(crate) fn arn_of(queue: &QueueName, options: &SqsOptions) -> String {
    let (account, region) = realm(&queue.namespace, options);
    format!("arn:aws:sqs:{region}:{account}:{}", queue.name)
}

/// The queue of an ARN; `None` if it is not the ARN of a queue.
pub(crate) fn of_arn(arn: &str, options: &SqsOptions) -> Option<QueueName> {
    let parts: Vec<&str> = arn.split(':').collect();
    match parts.as_slice() {
        ["arn", _, "sqs", region, account, name] if !region.is_empty() => {
            named(account, region, name, options)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(url: &str) -> Option<String> {
        let options = SqsOptions::default();
        let queue = of_url(url, &options.region, &options).ok()?;
        Some(format!("{}/{}", queue.namespace, queue.name))
    }

    #[test]
    fn url_styles_of_sdks_celery_and_emulators() {
        for url in [
            "http://localhost:9324/000000000000/q",
            "http://localhost:9324/000000000000/q/",
            "http://localhost:9324//000000000000//q",
            "http://localhost:9324/./000000000000/./q",
            "https://sqs.us-east-1.amazonaws.com/000000000000/q",
            "http://sqs.us-east-1.localhost:9324/000000000000/q",
            "http://localhost:9324/queue/us-east-1/000000000000/q",
            "http://localhost:9324/queue/q",
            "/000000000000/q",
            "000000000000/q",
            "q",
        ] {
            assert_eq!(named(url).as_deref(), Some("000000000000/q"), "{url}");
        }
        assert_eq!(named("http://h/123456789012/q").as_deref(), Some("123456789012/q"));
        for url in ["", "/", "http://localhost:9324", "http://localhost:9324/"] {
            assert_eq!(named(url), None, "{url}");
        }
    }

    #[test]
    fn names() {
        let long = "x".repeat(80);
        for (name, fifo, valid) in [
            ("a-Z_9", false, true),
            (&long, false, true),
            (&format!("{long}x"), false, false),
            ("", false, false),
            ("a.b", false, false),
            ("a.fifo", false, false),
            ("a.fifo", true, true),
            (".fifo", true, false),
            ("a", true, false),
            (&format!("{}.fifo", &long[..75]), true, true),
            (&format!("{}.fifo", &long[..76]), true, false),
        ] {
            assert_eq!(check_name(name, fifo).is_ok(), valid, "{name} {fifo}");
        }
    }

    #[test]
    fn arns() {
        let options = SqsOptions::default();
        let queue = QueueName { namespace: "000000000000".into(), name: "q".into() };
        assert_eq!(arn_of(&queue, &options), "arn:aws:sqs:us-east-1:000000000000:q");
        assert_eq!(of_arn(&arn_of(&queue, &options), &options), Some(queue));
        for bad in ["", "dummy", "arn:aws:sns:us-east-1:0:q", "arn:aws:sqs:eu-west-1:0:q"] {
            assert_eq!(of_arn(bad, &options), None);
        }
    }
}
