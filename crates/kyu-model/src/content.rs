//! A message's content: body and attributes, in one encoding that every door reads, so that a
//! message sent through one door can be received through another.

use bytes::Bytes;

use crate::ids::UnixMs;
use crate::wire::{Malformed, Reader, Write};

/// Body and attributes of a message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Content {
    /// The payload.
    pub body: Bytes,
    /// Attributes that the sender gave, in the sender's order.
    pub attributes: Vec<Attribute>,
    /// Facts that doors add, at most one each.
    pub properties: Vec<(Property, String)>,
}

/// A named, typed value beside the body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attribute {
    /// Name.
    pub name: String,
    /// The sender's name of the type, such as `String`, `Number.int`, `Binary`.
    pub data_type: String,
    /// Value.
    pub value: AttributeValue,
}

/// Value of an [`Attribute`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AttributeValue {
    /// Text and numbers, as the sender wrote them.
    Text(String),
    /// Bytes.
    Binary(Bytes),
}

/// Facts about a message beside its attributes. Numbers are frozen: they are on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Property {
    /// The sender (SQS SenderId).
    SenderId = 16,
    /// Trace context (SQS AWSTraceHeader).
    TraceHeader = 17,
    /// The topic that it was published to (SNS TopicArn).
    Topic = 18,
    /// Its subject (SNS Subject).
    Subject = 19,
    /// Its number in the order of its topic, decimal (SNS SequenceNumber).
    Sequence = 20,
    /// The text for subscribers by HTTP, where it is another (SNS MessageStructure).
    HttpBody = 21,
    /// The text for subscribers by HTTPS, where it is another (SNS MessageStructure).
    HttpsBody = 22,
    /// The time at which a schedule's run was due, Unix time in milliseconds, decimal.
    ScheduledAt = 23,
}

/// The name of the attribute that shows [`Property::ScheduledAt`] at doors that have no field for
/// it.
pub const SCHEDULED_AT: &str = "kyu.scheduled_at_ms";

const VERSION: u8 = 1;
const TAG_BODY: u8 = 0;
const TAG_TEXT: u8 = 1;
const TAG_BINARY: u8 = 2;

impl Content {
    /// Makes content with a body and nothing else.
    pub fn of(body: impl Into<Bytes>) -> Self {
        Self { body: body.into(), ..Self::default() }
    }

    /// Returns a property's value.
    pub fn property(&self, property: Property) -> Option<&str> {
        self.properties.iter().find(|(p, _)| *p == property).map(|(_, v)| v.as_str())
    }

    /// Returns the time at which the schedule's run that sent the message was due, in Unix
    /// milliseconds; `None` if no schedule sent it. Runs that are caught up late are told apart by
    /// it.
    pub fn scheduled_at_ms(&self) -> Option<UnixMs> {
        self.property(Property::ScheduledAt)?.parse().ok()
    }

    /// Adds the attribute [`SCHEDULED_AT`] where a schedule sent the message, unless the sender gave
    /// one of that name.
    pub fn show_scheduled_at(&mut self) {
        if let Some(at_ms) = self.scheduled_at_ms()
            && self.attributes.iter().all(|attribute| attribute.name != SCHEDULED_AT)
        {
            self.attributes.push(Attribute {
                name: SCHEDULED_AT.to_owned(),
                data_type: "Number".to_owned(),
                value: AttributeValue::Text(at_ms.to_string()),
            });
        }
    }

    /// Encodes the content in its frozen binary form: version, tagged fields, and last the body to
    /// the end.
    pub fn encode(&self) -> Bytes {
        let mut out = Vec::with_capacity(self.body.len() + 16 + 64 * self.attributes.len());
        out.u8(VERSION);
        for attribute in &self.attributes {
            match &attribute.value {
                AttributeValue::Text(text) => {
                    out.u8(TAG_TEXT);
                    out.str(&attribute.name);
                    out.str(&attribute.data_type);
                    out.str(text);
                }
                AttributeValue::Binary(bytes) => {
                    out.u8(TAG_BINARY);
                    out.str(&attribute.name);
                    out.str(&attribute.data_type);
                    out.bytes(bytes);
                }
            }
        }
        for (property, value) in &self.properties {
            out.u8(*property as u8);
            out.str(value);
        }
        out.u8(TAG_BODY);
        out.extend_from_slice(&self.body);
        out.into()
    }

    /// Returns the binary form with one property added.
    pub fn add_property(encoded: &Bytes, property: Property, value: &str) -> Bytes {
        let Some((version, rest)) = encoded.split_first() else { return encoded.clone() };
        let mut out = Vec::with_capacity(encoded.len() + value.len() + 4);
        out.u8(*version);
        out.u8(property as u8);
        out.str(value);
        out.extend_from_slice(rest);
        out.into()
    }

    /// Reads one text attribute's value from the binary form, and nothing else.
    pub fn attribute_in(encoded: &Bytes, name: &str) -> Option<String> {
        let mut reader = Reader::new(encoded.clone());
        reader.u8().ok()?;
        loop {
            match reader.u8().ok()? {
                TAG_BODY => return None,
                tag @ (TAG_TEXT | TAG_BINARY) => {
                    let found = reader.bytes().ok()? == name.as_bytes();
                    let (_, value) = (reader.bytes().ok()?, reader.bytes().ok()?);
                    if found {
                        let text = String::from_utf8(value.to_vec()).ok();
                        return text.filter(|_| tag == TAG_TEXT);
                    }
                }
                _ => {
                    reader.bytes().ok()?;
                }
            }
        }
    }

    /// Reads the binary form; the body is not copied.
    pub fn decode(bytes: Bytes) -> Result<Self, Malformed> {
        let mut reader = Reader::new(bytes);
        if reader.u8()? != VERSION {
            return Err(Malformed("content version"));
        }
        let mut content = Self::default();
        loop {
            match reader.u8()? {
                TAG_BODY => {
                    content.body = reader.rest();
                    return Ok(content);
                }
                tag @ (TAG_TEXT | TAG_BINARY) => {
                    let name = reader.string()?;
                    let data_type = reader.string()?;
                    let value = if tag == TAG_TEXT {
                        AttributeValue::Text(reader.string()?)
                    } else {
                        AttributeValue::Binary(reader.bytes()?)
                    };
                    content.attributes.push(Attribute { name, data_type, value });
                }
                tag => {
                    let property = Property::from_number(tag)?;
                    content.properties.push((property, reader.string()?));
                }
            }
        }
    }
}

impl Property {
    fn from_number(number: u8) -> Result<Self, Malformed> {
        match number {
            16 => Ok(Self::SenderId),
            17 => Ok(Self::TraceHeader),
            18 => Ok(Self::Topic),
            19 => Ok(Self::Subject),
            20 => Ok(Self::Sequence),
            21 => Ok(Self::HttpBody),
            22 => Ok(Self::HttpsBody),
            23 => Ok(Self::ScheduledAt),
            _ => Err(Malformed("content tag")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Content {
        Content {
            body: Bytes::from_static(b"body"),
            attributes: vec![
                Attribute {
                    name: "n".into(),
                    data_type: "Number".into(),
                    value: AttributeValue::Text("1".into()),
                },
                Attribute {
                    name: "b".into(),
                    data_type: "Binary".into(),
                    value: AttributeValue::Binary(Bytes::from_static(&[0, 255])),
                },
            ],
            properties: vec![(Property::SenderId, "AIDA".into())],
        }
    }

    #[test]
    fn the_time_of_a_schedule_is_an_attribute_that_senders_may_have_named_before() {
        let mut content = Content::of("x");
        content.show_scheduled_at();
        assert_eq!(content, Content::of("x"));
        content.properties.push((Property::ScheduledAt, "1700".into()));
        content.show_scheduled_at();
        content.show_scheduled_at();
        let shown: Vec<&str> = content.attributes.iter().map(|one| one.name.as_str()).collect();
        assert_eq!((content.scheduled_at_ms(), shown), (Some(1700), vec![SCHEDULED_AT]));
    }

    #[test]
    fn golden_bytes() {
        let golden =
            b"\x01\x01\x01n\x06Number\x011\x02\x01b\x06Binary\x02\x00\xff\x10\x04AIDA\x00body";
        assert_eq!(sample().encode(), Bytes::from_static(golden));
        assert_eq!(Content::decode(Bytes::from_static(golden)), Ok(sample()));
    }

    #[test]
    fn a_property_can_be_added_to_what_is_encoded() {
        let added = Content::add_property(&sample().encode(), Property::Sequence, "7");
        let mut expected = sample();
        expected.properties.insert(0, (Property::Sequence, "7".into()));
        let mut read = Content::decode(added).unwrap();
        read.properties.sort_by_key(|(property, _)| std::cmp::Reverse(*property as u8));
        assert_eq!(read, expected);
        assert_eq!(Content::add_property(&Bytes::new(), Property::Sequence, "7"), Bytes::new());
    }

    #[test]
    fn one_attribute_is_found_in_what_is_encoded() {
        let encoded = sample().encode();
        let found = |name| Content::attribute_in(&encoded, name);
        assert_eq!(found("n").as_deref(), Some("1"));
        assert_eq!((found("b"), found("body"), found("")), (None, None, None));
        for end in 0..encoded.len() {
            Content::attribute_in(&encoded.slice(..end), "none");
        }
    }

    #[test]
    fn every_truncation_before_the_body_is_refused() {
        let bytes = sample().encode();
        for end in 0..bytes.len() - 4 {
            assert!(Content::decode(bytes.slice(..end)).is_err(), "cut at {end}");
        }
    }
}
