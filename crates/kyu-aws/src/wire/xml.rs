//! XML answers of the Query protocol: a serde serializer for the few shapes that SQS has, with
//! lists and maps flattened.

use serde::ser::{
    Error as _, Impossible, Serialize, SerializeMap, SerializeSeq, SerializeStruct, Serializer,
};

use super::Response;
use super::members::{VALUE_NAME, flat_name, key_name};
use crate::error::Error;
use crate::request_id::RequestId;

const DECLARATION: &str = "<?xml version=\"1.0\"?>";
const NAMESPACE: &str = "http://queue.amazonaws.com/doc/2012-11-05/";

pub(super) fn success<R: Response>(
    action: &str,
    response: &R,
    id: &RequestId,
) -> Result<Vec<u8>, Error> {
    let mut out = format!("{DECLARATION}<{action}Response xmlns=\"{NAMESPACE}\">");
    if R::HAS_RESULT {
        let tag = format!("{action}Result");
        response.serialize(Element { out: &mut out, tag: &tag }).map_err(|_| Error::Internal)?;
    }
    let id = id.as_str();
    out.push_str("<ResponseMetadata><RequestId>");
    out.push_str(id);
    out.push_str("</RequestId></ResponseMetadata></");
    out.push_str(action);
    out.push_str("Response>");
    Ok(out.into())
}

pub(super) fn failure(error: &Error, id: &RequestId) -> Vec<u8> {
    let row = error.row();
    if row.bare_in_query {
        return format!("<{}/>\n", row.name).into();
    }
    let mut out = format!("{DECLARATION}<ErrorResponse xmlns=\"{NAMESPACE}\"><Error><Type>");
    out.push_str(row.fault());
    out.push_str("</Type>");
    push_element(&mut out, "Code", row.query_code);
    push_element(&mut out, "Message", &error.query_text());
    out.push_str("<Detail/></Error>");
    push_element(&mut out, "RequestId", id.as_str());
    out.push_str("</ErrorResponse>");
    out.into()
}

/// `<tag>text</tag>`, escaped.
pub(crate) fn push_element(out: &mut String, tag: &str, text: &str) {
    open(out, tag);
    push_escaped(out, text);
    close(out, tag);
}

fn open(out: &mut String, tag: &str) {
    out.push('<');
    out.push_str(tag);
    out.push('>');
}

fn close(out: &mut String, tag: &str) {
    out.push_str("</");
    out.push_str(tag);
    out.push('>');
}

/// Escapes what ends text, and `\r`, which a parser would turn into `\n`. Characters that XML 1.0
/// cannot carry at all become replacement characters.
fn push_escaped(out: &mut String, text: &str) {
    for c in text.chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '"' => out.push_str("&quot;"),
            '\r' => out.push_str("&#xD;"),
            '\t' | '\n' | ' '..='\u{FFFD}' | '\u{10000}'.. => out.push(c),
            _ => out.push('\u{FFFD}'),
        }
    }
}

type Failure = std::fmt::Error;

/// One value, to be written as `<tag>value</tag>`, as often as it has elements.
struct Element<'o, 't> {
    out: &'o mut String,
    tag: &'t str,
}

impl<'o, 't> Serializer for Element<'o, 't> {
    type Ok = ();
    type Error = Failure;
    type SerializeSeq = Elements<'o, 't>;
    type SerializeTuple = Impossible<(), Failure>;
    type SerializeTupleStruct = Impossible<(), Failure>;
    type SerializeTupleVariant = Impossible<(), Failure>;
    type SerializeMap = Entries<'o, 't>;
    type SerializeStruct = Members<'o, 't>;
    type SerializeStructVariant = Impossible<(), Failure>;

    fn serialize_str(self, text: &str) -> Result<(), Failure> {
        push_element(self.out, self.tag, text);
        Ok(())
    }

    fn serialize_bool(self, v: bool) -> Result<(), Failure> {
        self.serialize_str(if v { "true" } else { "false" })
    }

    fn serialize_u64(self, v: u64) -> Result<(), Failure> {
        self.serialize_str(&v.to_string())
    }

    fn serialize_u32(self, v: u32) -> Result<(), Failure> {
        self.serialize_u64(v.into())
    }

    fn serialize_none(self) -> Result<(), Failure> {
        Ok(())
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), Failure> {
        value.serialize(self)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<(), Failure> {
        value.serialize(self)
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Elements<'o, 't>, Failure> {
        Ok(Elements(self))
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Entries<'o, 't>, Failure> {
        Ok(Entries(self))
    }

    fn serialize_struct(
        self,
        structure: &'static str,
        _: usize,
    ) -> Result<Members<'o, 't>, Failure> {
        open(self.out, self.tag);
        Ok(Members { element: self, structure })
    }

    fn collect_str<T: std::fmt::Display + ?Sized>(self, value: &T) -> Result<(), Failure> {
        self.serialize_str(&value.to_string())
    }

    // No response has a value of the kinds below.

    fn serialize_i8(self, _: i8) -> Result<(), Failure> {
        Err(Failure::custom("i8"))
    }
    fn serialize_i16(self, _: i16) -> Result<(), Failure> {
        Err(Failure::custom("i16"))
    }
    fn serialize_i32(self, _: i32) -> Result<(), Failure> {
        Err(Failure::custom("i32"))
    }
    fn serialize_i64(self, _: i64) -> Result<(), Failure> {
        Err(Failure::custom("i64"))
    }
    fn serialize_u8(self, _: u8) -> Result<(), Failure> {
        Err(Failure::custom("u8"))
    }
    fn serialize_u16(self, _: u16) -> Result<(), Failure> {
        Err(Failure::custom("u16"))
    }
    fn serialize_f32(self, _: f32) -> Result<(), Failure> {
        Err(Failure::custom("f32"))
    }
    fn serialize_f64(self, _: f64) -> Result<(), Failure> {
        Err(Failure::custom("f64"))
    }
    fn serialize_char(self, _: char) -> Result<(), Failure> {
        Err(Failure::custom("char"))
    }
    fn serialize_bytes(self, _: &[u8]) -> Result<(), Failure> {
        Err(Failure::custom("bytes"))
    }
    fn serialize_unit(self) -> Result<(), Failure> {
        Err(Failure::custom("unit"))
    }
    fn serialize_unit_struct(self, _: &'static str) -> Result<(), Failure> {
        Err(Failure::custom("unit struct"))
    }
    fn serialize_unit_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
    ) -> Result<(), Failure> {
        self.serialize_str(variant)
    }
    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: &T,
    ) -> Result<(), Failure> {
        Err(Failure::custom("variant"))
    }
    fn serialize_tuple(self, _: usize) -> Result<Self::SerializeTuple, Failure> {
        Err(Failure::custom("tuple"))
    }
    fn serialize_tuple_struct(
        self,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeTupleStruct, Failure> {
        Err(Failure::custom("tuple struct"))
    }
    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeTupleVariant, Failure> {
        Err(Failure::custom("variant"))
    }
    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeStructVariant, Failure> {
        Err(Failure::custom("variant"))
    }
}

/// A list: the element again for each value.
struct Elements<'o, 't>(Element<'o, 't>);

impl SerializeSeq for Elements<'_, '_> {
    type Ok = ();
    type Error = Failure;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Failure> {
        value.serialize(Element { out: self.0.out, tag: self.0.tag })
    }

    fn end(self) -> Result<(), Failure> {
        Ok(())
    }
}

/// A map: the element again for each entry, with key and value inside.
struct Entries<'o, 't>(Element<'o, 't>);

impl SerializeMap for Entries<'_, '_> {
    type Ok = ();
    type Error = Failure;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), Failure> {
        open(self.0.out, self.0.tag);
        key.serialize(Element { out: self.0.out, tag: key_name(self.0.tag) })
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Failure> {
        value.serialize(Element { out: self.0.out, tag: VALUE_NAME })?;
        close(self.0.out, self.0.tag);
        Ok(())
    }

    fn end(self) -> Result<(), Failure> {
        Ok(())
    }
}

struct Members<'o, 't> {
    element: Element<'o, 't>,
    structure: &'static str,
}

impl SerializeStruct for Members<'_, '_> {
    type Ok = ();
    type Error = Failure;

    fn serialize_field<T: Serialize + ?Sized>(
        &mut self,
        member: &'static str,
        value: &T,
    ) -> Result<(), Failure> {
        value.serialize(Element { out: self.element.out, tag: flat_name(self.structure, member) })
    }

    fn end(self) -> Result<(), Failure> {
        close(self.element.out, self.element.tag);
        Ok(())
    }
}
