//! Parameters as SNS names them: lists are `X.member.N`, maps `X.entry.N.key` and `.value`.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE as BASE64;

use super::error::{Code, Error};
use crate::limits::MAX_TAGS;
use crate::wire::form::Node;

/// A parameter that must be there.
pub(super) fn required<'n>(parameters: &'n Node<'_>, name: &str) -> Result<&'n str, Error> {
    parameters.text(name).ok_or_else(|| Error::missing(name))
}

/// The elements of a list, at most `max`.
pub(super) fn list<'n, 'a>(
    parameters: &'n Node<'a>,
    name: &str,
    max: usize,
) -> Result<Vec<&'n Node<'a>>, Error> {
    members(parameters, name, "member", max)
}

fn members<'n, 'a>(
    parameters: &'n Node<'a>,
    name: &str,
    member: &str,
    max: usize,
) -> Result<Vec<&'n Node<'a>>, Error> {
    let Some(elements) = parameters.child(name).and_then(|list| list.child(member)) else {
        return Ok(Vec::new());
    };
    let elements = elements
        .elements()
        .map_err(|problem| Error::new(Code::Validation, format!("Parameter {name}: {problem}")))?;
    if elements.len() > max {
        let text = format!("Parameter {name} has {} elements, at most {max}.", elements.len());
        return Err(Error::new(Code::Validation, text));
    }
    Ok(elements)
}

/// The texts of a list.
pub(super) fn texts(parameters: &Node<'_>, name: &str, max: usize) -> Result<Vec<String>, Error> {
    let elements = list(parameters, name, max)?;
    Ok(elements.into_iter().filter_map(Node::leaf).map(str::to_owned).collect())
}

/// A map of texts.
pub(super) fn map(
    parameters: &Node<'_>,
    name: &str,
    max: usize,
) -> Result<BTreeMap<String, String>, Error> {
    let entries = members(parameters, name, "entry", max)?;
    let pairs = entries.into_iter().filter_map(|entry| {
        Some((entry.text("key")?.to_owned(), entry.text("value").unwrap_or_default().to_owned()))
    });
    Ok(pairs.collect())
}

/// The entries of a map of structures, with `Name` and `Value`.
pub(super) fn named<'n, 'a>(
    parameters: &'n Node<'a>,
    name: &str,
    max: usize,
) -> Result<Vec<(&'n str, &'n Node<'a>)>, Error> {
    let entries = members(parameters, name, "entry", max)?;
    Ok(entries
        .into_iter()
        .filter_map(|entry| Some((entry.text("Name")?, entry.child("Value")?)))
        .collect())
}

/// Tags, each key once.
pub(super) fn tags(parameters: &Node<'_>) -> Result<BTreeMap<String, String>, Error> {
    let elements = list(parameters, "Tags", 2 * MAX_TAGS)?;
    let mut tags = BTreeMap::new();
    for element in elements {
        let key = required(element, "Key")?.to_owned();
        let value = element.text("Value").unwrap_or_default().to_owned();
        if tags.insert(key, value).is_some() {
            return Err(Error::invalid("Duplicated keys are not allowed."));
        }
    }
    Ok(tags)
}

/// A page's token: the name that ended the page before.
pub(super) fn make_token(name: &str) -> String {
    BASE64.encode(name)
}

/// The text that [`make_token`] was given.
pub(super) fn token(token: &str) -> Result<String, Error> {
    let name = BASE64.decode(token).ok().and_then(|name| String::from_utf8(name).ok());
    name.ok_or_else(|| Error::invalid("NextToken"))
}
