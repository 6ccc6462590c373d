//! Message attributes: their wire shape, the rules for names, types and values, and the choice of
//! those that a receive asks for.

use std::borrow::Cow;

use kyu_broker::{Attribute, AttributeValue};
use serde::{Deserialize, Serialize};

use crate::error::{Error, quoted};
use crate::limits::{MAX_ATTRIBUTE_NAME_CHARS, MAX_MESSAGE_ATTRIBUTES};
use crate::message::is_xml_text;
use crate::wire::{Blob, List, Map, Text};

/// A value as clients send it.
#[derive(Debug, Deserialize)]
#[serde(rename = "MessageAttributeValue")]
pub(crate) struct SentValue<'a> {
    #[serde(rename = "StringValue", borrow)]
    string_value: Option<Text<'a>>,
    #[serde(rename = "BinaryValue")]
    binary_value: Option<Blob>,
    #[serde(rename = "StringListValues", borrow)]
    string_list_values: Option<List<Text<'a>, 1>>,
    #[serde(rename = "BinaryListValues")]
    binary_list_values: Option<List<Blob, 1>>,
    #[serde(rename = "DataType", borrow)]
    data_type: Option<Text<'a>>,
}

impl SentValue<'_> {
    /// Bytes that count against the size of a message.
    pub(crate) fn size_bytes(&self) -> usize {
        self.data_type.as_deref().map_or(0, str::len)
            + self.string_value.as_deref().map_or(0, str::len)
            + self.binary_value.as_ref().map_or(0, |value| value.0.len())
    }
}

/// Attributes by name, as clients send them.
pub(crate) type SentAttributes<'a> = Map<'a, SentValue<'a>, MAX_MESSAGE_ATTRIBUTES>;

/// A value as clients receive it.
#[derive(Debug, Serialize)]
#[serde(rename = "MessageAttributeValue")]
pub(crate) struct ReceivedValue {
    #[serde(rename = "StringValue", skip_serializing_if = "Option::is_none")]
    string_value: Option<String>,
    #[serde(rename = "BinaryValue", skip_serializing_if = "Option::is_none")]
    binary_value: Option<Blob>,
    #[serde(rename = "DataType")]
    data_type: String,
}

impl ReceivedValue {
    /// Name and value of an attribute.
    pub(crate) fn named(attribute: Attribute) -> (String, Self) {
        let (string_value, binary_value) = match attribute.value {
            AttributeValue::Text(text) => (Some(text), None),
            AttributeValue::Binary(bytes) => (None, Some(Blob(bytes))),
        };
        let data_type = attribute.data_type;
        (attribute.name, Self { string_value, binary_value, data_type })
    }
}

/// Checks the attributes of a message.
pub(crate) fn check(sent: Option<SentAttributes<'_>>) -> Result<Vec<Attribute>, Error> {
    let Some(sent) = sent else { return Ok(Vec::new()) };
    if sent.sent > MAX_MESSAGE_ATTRIBUTES {
        return Err(Error::InvalidParameterValue(format!(
            "Number of message attributes [{}] exceeds the allowed maximum [{MAX_MESSAGE_ATTRIBUTES}].",
            sent.sent
        )));
    }
    sent.kept.into_iter().map(|(name, value)| check_one(&name, value)).collect()
}

/// Bytes that attributes add to the size of their message.
pub(crate) fn size_bytes(attributes: &[Attribute]) -> usize {
    let size = |attribute: &Attribute| {
        let value = match &attribute.value {
            AttributeValue::Text(text) => text.len(),
            AttributeValue::Binary(bytes) => bytes.len(),
        };
        attribute.name.len() + attribute.data_type.len() + value
    };
    attributes.iter().map(size).sum()
}

fn check_one(name: &str, sent: SentValue<'_>) -> Result<Attribute, Error> {
    check_name(name)?;
    let data_type = check_type(name, sent.data_type.as_deref())?;
    if sent.string_list_values.is_some_and(|list| list.sent > 0)
        || sent.binary_list_values.is_some_and(|list| list.sent > 0)
    {
        return Err(invalid(
            "Message attribute list values in SendMessage operation are not supported.",
        ));
    }
    let kind = data_type.split('.').next().unwrap_or_default();
    let value = match kind {
        "Binary" => sent
            .binary_value
            .filter(|value| !value.0.is_empty())
            .map(|value| AttributeValue::Binary(value.0)),
        _ => sent
            .string_value
            .filter(|value| !value.is_empty())
            .map(|value| AttributeValue::Text(value.0.into_owned())),
    };
    let value = value.ok_or_else(|| {
        invalid(&format!(
            "Message (user) attribute '{name}' must contain a non-empty value of type '{kind}'."
        ))
    })?;
    if let AttributeValue::Text(text) = &value {
        if !is_xml_text(text) {
            // Not InvalidMessageContents: AWS keeps that for the body.
            return Err(invalid(&Error::InvalidMessageContents.to_string()));
        }
        if kind == "Number" && !is_number(text) {
            return Err(invalid(&format!(
                "Can't cast the value of message (user) attribute '{name}' to a number."
            )));
        }
    }
    Ok(Attribute { name: name.to_owned(), data_type, value })
}

fn check_name(name: &str) -> Result<(), Error> {
    // Letters of any language: AWS takes `øßä` (recorded), though its text does not say so.
    let allowed = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-' | '_');
    if name.is_empty() || !name.chars().all(allowed) {
        return Err(invalid(
            "Message (user) attributes name can only contain upper and lower score characters, \
             digits, periods, hyphens and underscores. ",
        ));
    }
    if name.len() > MAX_ATTRIBUTE_NAME_CHARS {
        return Err(invalid("Message (user) attribute names must be shorter than 256 Bytes"));
    }
    let reserved = |prefix: &str| {
        name.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
    };
    if reserved("aws.") || reserved("amazon.") || name.starts_with('.') || name.ends_with('.') {
        return Err(invalid(
            "You can't use message attribute names beginning with 'AWS.' or 'Amazon.'. \
             These strings are reserved for internal use. \
             Additionally, they cannot start or end with '.'.",
        ));
    }
    if name.contains("..") {
        return Err(invalid("Message (user) attribute name can not contain successive periods."));
    }
    Ok(())
}

fn check_type(name: &str, data_type: Option<&str>) -> Result<String, Error> {
    let data_type = data_type.filter(|data_type| !data_type.is_empty()).ok_or_else(|| {
        invalid(&format!(
            "The message attribute '{name}' must contain non-empty message attribute type."
        ))
    })?;
    if data_type.len() > MAX_ATTRIBUTE_NAME_CHARS {
        return Err(invalid("Message (user) attribute types must be shorter than 256 Bytes"));
    }
    let kind = data_type.split('.').next().unwrap_or_default();
    if !matches!(kind, "String" | "Number" | "Binary") || !is_xml_text(data_type) {
        return Err(invalid(&format!(
            "The message attribute '{name}' has an invalid message attribute type, \
             the set of supported type prefixes is Binary, Number, and String."
        )));
    }
    Ok(data_type.to_owned())
}

/// Significant digits of a number, and the powers of ten between which it lies (SQS developer guide,
/// "Message attribute data types"). More digits lose precision there and are refused here.
const MAX_NUMBER_DIGITS: usize = 38;
const NUMBER_POWERS: std::ops::RangeInclusive<i64> = -128..=126;

/// Tells whether a text is a decimal number, perhaps with sign, fraction and exponent, within AWS'
/// bounds.
pub(crate) fn is_number(text: &str) -> bool {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let (decimal, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((decimal, exponent)) => (decimal, exponent.parse::<i64>().ok()),
        None => (unsigned, Some(0)),
    };
    let (whole, fraction) = decimal.split_once('.').unwrap_or((decimal, ""));
    let digits = [whole, fraction].concat();
    let Some(exponent) = exponent else { return false };
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return false;
    }
    let significant = digits.trim_start_matches('0');
    if significant.is_empty() {
        return true;
    }
    // The power of ten of the first digit that counts.
    let before_point = whole.len() as i64 - (digits.len() - significant.len()) as i64;
    let power = exponent.saturating_add(before_point - 1);
    let significant = significant.trim_end_matches('0');
    let is_largest = power == *NUMBER_POWERS.end();
    significant.len() <= MAX_NUMBER_DIGITS
        && NUMBER_POWERS.contains(&power)
        && (!is_largest || significant == "1")
}

fn invalid(text: &str) -> Error {
    Error::InvalidParameterValue(text.to_owned())
}

/// The attributes that a receive asks for.
#[derive(Debug, Default)]
pub(crate) struct Selection<'a> {
    all: bool,
    names: Vec<Cow<'a, str>>,
    prefixes: Vec<Cow<'a, str>>,
}

impl<'a> Selection<'a> {
    /// `All`, `.*` and `*` for all, `foo.*` for a prefix, else a name. Names that no attribute can have
    /// select nothing.
    pub(crate) fn of(names: Vec<Text<'a>>) -> Self {
        let mut selection = Self::default();
        for Text(name) in names {
            match name.strip_suffix(".*") {
                _ if name == "All" || name == "*" => selection.all = true,
                Some("") => selection.all = true,
                Some(prefix) => selection.prefixes.push(Cow::Owned(prefix.to_owned())),
                None => selection.names.push(name),
            }
        }
        selection
    }

    /// Tells whether an attribute is asked for.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.all
            || self.names.iter().any(|wanted| wanted == name)
            || self.prefixes.iter().any(|prefix| name.starts_with(&**prefix))
    }
}

/// Checks the trace header, the one system attribute that a sender may give.
pub(crate) fn check_trace_header(
    sent: Option<SentAttributes<'_>>,
) -> Result<Option<Attribute>, Error> {
    const TRACE_HEADER: &str = "AWSTraceHeader";
    let Some(sent) = sent else { return Ok(None) };
    let mut found = None;
    for (name, value) in sent.kept {
        if &*name != TRACE_HEADER {
            let name = quoted(&name);
            return Err(invalid(&format!("Message system attribute name '{name}' is invalid.")));
        }
        let attribute = check_one(&name, value)?;
        if attribute.data_type != "String" {
            return Err(invalid("The message system attribute 'AWSTraceHeader' must be a String."));
        }
        found = Some(attribute);
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(json: &str) -> Result<Vec<Attribute>, String> {
        check(Some(serde_json::from_str(json).unwrap())).map_err(|error| error.to_string())
    }

    fn one(name: &str, data_type: &str, value: &str) -> Result<Vec<Attribute>, String> {
        let field = if data_type.starts_with("Binary") { "BinaryValue" } else { "StringValue" };
        let value = serde_json::json!({ name: { "DataType": data_type, field: value } });
        checked(&value.to_string())
    }

    #[test]
    fn valid_attributes() {
        for (name, data_type, value) in [
            ("a", "String", "x"),
            ("a.b-c_D9", "String.label", "é"),
            ("attr.1øßä", "String", "x"),
            ("n", "Number", "-1.5e3"),
            ("n", "Number.int", "12345678901234567890123456789012345678"),
            ("b", "Binary.png", "AAE="),
        ] {
            assert!(one(name, data_type, value).is_ok(), "{name} {data_type} {value}");
        }
    }

    #[test]
    fn invalid_attributes_and_what_aws_says() {
        let empty = "Message (user) attribute 'a' must contain a non-empty value of type 'String'.";
        assert_eq!(one("a", "String", ""), Err(empty.into()));
        let reserved = "You can't use message attribute names beginning with 'AWS.' or 'Amazon.'.";
        for name in ["AWS.x", "aws.x", "Amazon.x", ".x", "x."] {
            assert!(one(name, "String", "v").unwrap_err().starts_with(reserved), "{name}");
        }
        let long = "x".repeat(257);
        for (name, data_type, value) in [
            ("", "String", "x"),
            ("a b", "String", "x"),
            ("a\u{2028}b", "String", "x"),
            ("a..b", "String", "x"),
            (&*long, "String", "x"),
            ("a", "", "x"),
            ("a", "Text", "x"),
            ("a", "Strings", "x"),
            ("a", "Number", "one"),
            ("a", "Number", "inf"),
            ("a", "Number", "123456789012345678901234567890123456789"),
            ("a", "Binary", ""),
            ("a", "String", "\u{1}"),
        ] {
            assert!(one(name, data_type, value).is_err(), "{name} {data_type} {value}");
        }
        assert!(checked(r#"{"a":{"DataType":"Binary","StringValue":"x"}}"#).is_err());
        assert!(checked(r#"{"a":{"StringValue":"x"}}"#).is_err());
        let list = checked(r#"{"a":{"DataType":"String","StringListValues":["x"]}}"#);
        assert!(list.unwrap_err().contains("list values"));
    }

    /// Digits were counted with the zeros of 10^126 written out, and 1e999 was taken.
    #[test]
    fn numbers_have_38_digits_and_126_powers_of_ten() {
        let huge = format!("1{}", "0".repeat(126));
        let tiny = format!("-0.{}1", "0".repeat(127));
        for number in [
            "0",
            "-1",
            "+1.50",
            ".5",
            "5.",
            "007",
            "1e126",
            "1E+126",
            "-1e-128",
            "0e999",
            &huge,
            &tiny,
            "99999999999999999999999999999999999999",
            "000099999999999999999999999999999999999999000",
        ] {
            assert!(is_number(number), "{number}");
        }
        let beyond = format!("{huge}0");
        for other in [
            "",
            "-",
            ".",
            "e5",
            "1e",
            "1e1.5",
            "--1",
            "1_0",
            "0x1",
            "inf",
            "NaN",
            " 1",
            "1e127",
            "2e126",
            "1.1e126",
            "1e-129",
            "1e99999999999999999999",
            &beyond,
            "999999999999999999999999999999999999999",
        ] {
            assert!(!is_number(other), "{other}");
        }
    }

    #[test]
    fn at_most_ten() {
        let many = |count: usize| {
            let value = serde_json::json!({ "DataType": "String", "StringValue": "x" });
            let map: serde_json::Map<_, _> =
                (0..count).map(|at| (format!("a{at}"), value.clone())).collect();
            checked(&serde_json::Value::Object(map).to_string())
        };
        assert!(many(10).is_ok());
        let text = "Number of message attributes [11] exceeds the allowed maximum [10].";
        assert_eq!(many(11), Err(text.into()));
    }

    #[test]
    fn selections() {
        let selected = |wanted: &[&str]| {
            let names = wanted.iter().map(|name| Text((*name).into())).collect();
            let selection = Selection::of(names);
            ["Hello", "Help.Me", "General"].map(|name| selection.has(name))
        };
        assert_eq!(selected(&[]), [false; 3]);
        assert_eq!(selected(&["All"]), [true; 3]);
        assert_eq!(selected(&[".*"]), [true; 3]);
        assert_eq!(selected(&["*"]), [true; 3]);
        assert_eq!(selected(&["Hel.*"]), [true, true, false]);
        assert_eq!(selected(&["Hello", "Nope"]), [true, false, false]);
        assert_eq!(selected(&["AWS.", "..foo"]), [false; 3]);
    }
}
