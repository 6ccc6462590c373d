//! Messages to a client, gathered until they are written at once.

use kyu_pgsql::error::{Notice, PgError};
use kyu_pgsql::oid;
use kyu_pgsql::text;
use kyu_pgsql::types::Type;
use kyu_pgsql::value::{Column, Row, Value};

use super::frontend::{Format, Formats};
use super::{binary, style::ValueStyle};

/// The severity of an ErrorResponse.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Severity {
    /// The statement failed.
    Error,
    /// The session ends.
    Fatal,
}

/// The status of a session, as ReadyForQuery tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Status {
    /// No transaction block.
    Idle,
    /// In a transaction block.
    Open,
    /// In a block that failed.
    Failed,
}

/// Answers that wait to be written.
#[derive(Debug, Default)]
pub(super) struct Backend {
    bytes: Vec<u8>,
    /// Text of one value, kept so that its memory is used again.
    scratch: String,
}

impl Backend {
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        // One huge answer must not cost its memory for the life of the connection.
        self.bytes.shrink_to(4 * super::limits::WRITE_BYTES);
        self.scratch.shrink_to(super::limits::WRITE_BYTES);
    }

    /// One message: type byte, length, body.
    fn message(&mut self, kind: u8, body: impl FnOnce(&mut Vec<u8>, &mut String)) {
        self.bytes.push(kind);
        let at = self.bytes.len();
        self.bytes.extend([0; 4]);
        body(&mut self.bytes, &mut self.scratch);
        set_length(&mut self.bytes, at, 0);
    }

    fn empty(&mut self, kind: u8) {
        self.message(kind, |_, _| {});
    }

    pub(super) fn authentication_ok(&mut self) {
        self.message(b'R', |out, _| out.extend(0_u32.to_be_bytes()));
    }

    pub(super) fn sasl_mechanisms(&mut self, mechanisms: &[&str]) {
        self.message(b'R', |out, _| {
            out.extend(10_u32.to_be_bytes());
            for mechanism in mechanisms {
                zero_ended(out, mechanism);
            }
            out.push(0);
        });
    }

    pub(super) fn sasl_continue(&mut self, data: &str) {
        self.message(b'R', |out, _| {
            out.extend(11_u32.to_be_bytes());
            out.extend(data.as_bytes());
        });
    }

    pub(super) fn sasl_final(&mut self, data: &str) {
        self.message(b'R', |out, _| {
            out.extend(12_u32.to_be_bytes());
            out.extend(data.as_bytes());
        });
    }

    /// The newest minor version that is spoken, and extensions that are not known.
    pub(super) fn negotiate_protocol(&mut self, minor: u16, unknown: &[String]) {
        self.message(b'v', |out, _| {
            out.extend((0x0003_0000 | u32::from(minor)).to_be_bytes());
            out.extend(count_32(unknown.len()).to_be_bytes());
            for name in unknown {
                zero_ended(out, name);
            }
        });
    }

    pub(super) fn parameter_status(&mut self, name: &str, value: &str) {
        self.message(b'S', |out, _| {
            zero_ended(out, name);
            zero_ended(out, value);
        });
    }

    pub(super) fn key_data(&mut self, process: u32, secret: u32) {
        self.message(b'K', |out, _| {
            out.extend(process.to_be_bytes());
            out.extend(secret.to_be_bytes());
        });
    }

    pub(super) fn ready(&mut self, status: Status) {
        let status = match status {
            Status::Idle => b'I',
            Status::Open => b'T',
            Status::Failed => b'E',
        };
        self.message(b'Z', |out, _| out.push(status));
    }

    pub(super) fn error(&mut self, severity: Severity, error: &PgError) {
        let severity = match severity {
            Severity::Error => "ERROR",
            Severity::Fatal => "FATAL",
        };
        self.message(b'E', |out, _| {
            field(out, b'S', severity);
            field(out, b'V', severity);
            field(out, b'C', error.code);
            field(out, b'M', &error.message);
            for (kind, text) in [(b'D', &error.detail), (b'H', &error.hint), (b'W', &error.context)]
            {
                if let Some(text) = text {
                    field(out, kind, text);
                }
            }
            if let Some(position) = error.position {
                field(out, b'P', &position.to_string());
            }
            out.push(0);
        });
    }

    pub(super) fn notice(&mut self, notice: &Notice) {
        self.message(b'N', |out, _| {
            field(out, b'S', notice.severity);
            field(out, b'V', notice.severity);
            field(out, b'C', notice.code);
            field(out, b'M', &notice.message);
            out.push(0);
        });
    }

    pub(super) fn notification(&mut self, process: u32, channel: &str, payload: &str) {
        self.message(b'A', |out, _| {
            out.extend(process.to_be_bytes());
            zero_ended(out, channel);
            zero_ended(out, payload);
        });
    }

    pub(super) fn parse_complete(&mut self) {
        self.empty(b'1');
    }

    pub(super) fn bind_complete(&mut self) {
        self.empty(b'2');
    }

    pub(super) fn close_complete(&mut self) {
        self.empty(b'3');
    }

    pub(super) fn no_data(&mut self) {
        self.empty(b'n');
    }

    pub(super) fn portal_suspended(&mut self) {
        self.empty(b's');
    }

    pub(super) fn empty_query(&mut self) {
        self.empty(b'I');
    }

    pub(super) fn complete(&mut self, tag: &str) {
        self.message(b'C', |out, _| zero_ended(out, tag));
    }

    pub(super) fn parameters(&mut self, oids: &[u32]) {
        self.message(b't', |out, _| {
            out.extend(count_16(oids.len()).to_be_bytes());
            for oid in oids {
                out.extend(oid.to_be_bytes());
            }
        });
    }

    pub(super) fn row_description(&mut self, columns: &[Column], formats: &Formats) {
        self.message(b'T', |out, _| {
            out.extend(count_16(columns.len()).to_be_bytes());
            for (index, column) in columns.iter().enumerate() {
                zero_ended(out, &column.name);
                // No column is one of a table: its number would promise a look-up.
                out.extend([0; 6]);
                out.extend(oid::of_type(column.ty).to_be_bytes());
                out.extend(oid::type_length(column.ty).to_be_bytes());
                out.extend((-1_i32).to_be_bytes());
                out.extend(code(formats.at(index)).to_be_bytes());
            }
        });
    }

    pub(super) fn row(
        &mut self,
        columns: &[Column],
        row: &Row,
        formats: &Formats,
        style: &ValueStyle,
    ) {
        self.message(b'D', |out, scratch| {
            out.extend(count_16(columns.len()).to_be_bytes());
            for (index, (column, value)) in columns.iter().zip(row).enumerate() {
                let at = out.len();
                out.extend((-1_i32).to_be_bytes());
                if *value == Value::Null {
                    continue;
                }
                match formats.at(index) {
                    Format::Text => write_text(out, column.ty, value, style, scratch),
                    Format::Binary => binary::write(out, column.ty, value),
                }
                set_length(out, at, 4);
            }
        });
    }

    pub(super) fn copy_out(&mut self, columns: usize, format: Format) {
        self.message(b'H', |out, _| {
            out.push(if format == Format::Binary { 1 } else { 0 });
            out.extend(count_16(columns).to_be_bytes());
            for _ in 0..columns {
                out.extend(code(format).to_be_bytes());
            }
        });
    }

    pub(super) fn copy_data(&mut self, data: &[u8]) {
        self.message(b'd', |out, _| out.extend(data));
    }

    pub(super) fn copy_done(&mut self) {
        self.empty(b'c');
    }

    /// A byte outside of any message: the answer to SSLRequest.
    pub(super) fn byte(&mut self, byte: u8) {
        self.bytes.push(byte);
    }
}

/// The text form of a value in a time style.
pub(super) fn write_text(
    out: &mut Vec<u8>,
    ty: Type,
    value: &Value,
    style: &ValueStyle,
    scratch: &mut String,
) {
    match value {
        Value::Text(text) => return out.extend(text.as_bytes()),
        Value::Json(text) => return out.extend(text.as_bytes()),
        Value::Null | Value::Void => return,
        _ => {}
    }
    scratch.clear();
    style.output(ty, value, scratch, text::output);
    out.extend(scratch.as_bytes());
}

/// Writes the length of what follows `at`: with the four bytes of itself less `less`.
fn set_length(out: &mut [u8], at: usize, less: usize) {
    let length = i32::try_from(out.len() - at - less).unwrap_or(i32::MAX);
    if let Some(four) = out.get_mut(at..at + 4) {
        four.copy_from_slice(&length.to_be_bytes());
    }
}

fn code(format: Format) -> i16 {
    match format {
        Format::Text => 0,
        Format::Binary => 1,
    }
}

fn count_16(count: usize) -> u16 {
    u16::try_from(count).unwrap_or(u16::MAX)
}

fn count_32(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

/// A text up to its first zero, which the protocol could not carry, and a zero.
fn zero_ended(out: &mut Vec<u8>, text: &str) {
    let text = text.split('\0').next().unwrap_or_default();
    out.extend(text.as_bytes());
    out.push(0);
}

fn field(out: &mut Vec<u8>, kind: u8, text: &str) {
    out.push(kind);
    zero_ended(out, text);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(write: impl FnOnce(&mut Backend)) -> Vec<u8> {
        let mut backend = Backend::default();
        write(&mut backend);
        backend.bytes
    }

    #[test]
    fn golden_bytes() {
        assert_eq!(written(Backend::authentication_ok), b"R\0\0\0\x08\0\0\0\0");
        assert_eq!(written(|b| b.ready(Status::Failed)), b"Z\0\0\0\x05E");
        assert_eq!(written(|b| b.complete("SELECT 1")), b"C\0\0\0\x0dSELECT 1\0");
        let negotiated = written(|b| b.negotiate_protocol(0, &["_pq_.x".into()]));
        assert_eq!(negotiated, b"v\0\0\0\x13\0\x03\0\0\0\0\0\x01_pq_.x\0");
        let error = PgError { position: Some(8), ..PgError::new("42601", "no") };
        let expected = b"E\0\0\0\x21SERROR\0VERROR\0C42601\0Mno\0P8\0\0";
        assert_eq!(written(|b| b.error(Severity::Error, &error)), expected);
        assert_eq!(written(|b| b.notification(7, "c", "p")), b"A\0\0\0\x0c\0\0\0\x07c\0p\0");
        assert_eq!(written(|b| b.parameters(&[23])), b"t\0\0\0\x0a\0\x01\0\0\0\x17");
    }

    #[test]
    fn a_row_of_both_formats() {
        let column = |name: &str, ty| Column { name: name.into(), ty };
        let columns = [column("a", Type::Int8), column("b", Type::Jsonb), column("c", Type::Text)];
        let formats = Formats::Each(vec![Format::Binary, Format::Binary, Format::Text]);
        let described = written(|b| b.row_description(&columns, &formats));
        let first = b"a\0\0\0\0\0\0\0\0\0\0\x14\0\x08\xff\xff\xff\xff\0\x01";
        assert_eq!(described[7..7 + first.len()], first[..]);
        let row = vec![Value::Int(5), Value::Json("{}".into()), Value::Null];
        let expected =
            b"D\0\0\0\x1d\0\x03\0\0\0\x08\0\0\0\0\0\0\0\x05\0\0\0\x03\x01{}\xff\xff\xff\xff";
        assert_eq!(written(|b| b.row(&columns, &row, &formats, &ValueStyle::default())), expected);
    }
}
