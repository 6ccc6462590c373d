//! Rows as COPY data: text and CSV (PostgreSQL manual, "COPY", File Formats).

use kyu_pgsql::error::PgError;
use kyu_pgsql::value::{Column, Row, Value};
use kyu_pgsql::{CopyFormat, CopyOut};

use super::backend::write_text;
use super::style::ValueStyle;

/// The form in which rows are written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Style {
    csv: bool,
    delimiter: char,
    null: String,
    pub(super) header: bool,
}

impl Style {
    /// The style that the statement asks for, defaults filled in.
    pub(super) fn of(copy: &CopyOut) -> Result<Self, PgError> {
        let (csv, delimiter, null) = match copy.format {
            CopyFormat::Text => (false, '\t', "\\N"),
            CopyFormat::Csv => (true, ',', ""),
            CopyFormat::Binary => {
                let message = "COPY in binary format is not supported; use text or csv";
                return Err(PgError::new("0A000", message));
            }
        };
        let delimiter = copy.delimiter.unwrap_or(delimiter);
        let null = copy.null.clone().unwrap_or_else(|| null.to_owned());
        Ok(Self { csv, delimiter, null, header: copy.header })
    }

    /// The first line, with the columns' names.
    pub(super) fn names(&self, columns: &[Column]) -> Vec<u8> {
        let mut line = Vec::new();
        for (index, column) in columns.iter().enumerate() {
            self.separate(&mut line, index);
            self.field(&mut line, &column.name);
        }
        line.push(b'\n');
        line
    }

    /// One row and its end of line.
    pub(super) fn row(&self, columns: &[Column], row: &Row, values: &ValueStyle) -> Vec<u8> {
        let (mut line, mut text, mut scratch) = (Vec::new(), Vec::new(), String::new());
        for (index, (column, value)) in columns.iter().zip(row).enumerate() {
            self.separate(&mut line, index);
            if *value == Value::Null {
                line.extend(self.null.as_bytes());
                continue;
            }
            text.clear();
            write_text(&mut text, column.ty, value, values, &mut scratch);
            self.field(&mut line, &String::from_utf8_lossy(&text));
        }
        line.push(b'\n');
        line
    }

    fn separate(&self, line: &mut Vec<u8>, index: usize) {
        if index > 0 {
            push(line, self.delimiter);
        }
    }

    fn field(&self, line: &mut Vec<u8>, text: &str) {
        if self.csv {
            self.quoted(line, text);
        } else {
            self.escaped(line, text);
        }
    }

    fn escaped(&self, line: &mut Vec<u8>, text: &str) {
        for c in text.chars() {
            let letter = match c {
                '\\' => '\\',
                '\u{8}' => 'b',
                '\u{c}' => 'f',
                '\n' => 'n',
                '\r' => 'r',
                '\t' => 't',
                '\u{b}' => 'v',
                c if c == self.delimiter => c,
                c => {
                    push(line, c);
                    continue;
                }
            };
            line.push(b'\\');
            push(line, letter);
        }
    }

    fn quoted(&self, line: &mut Vec<u8>, text: &str) {
        let special = |c: char| matches!(c, '"' | '\n' | '\r') || c == self.delimiter;
        let needed = text == self.null || text == "\\." || text.contains(special);
        if !needed {
            line.extend(text.as_bytes());
            return;
        }
        line.push(b'"');
        line.extend(text.replace('"', "\"\"").as_bytes());
        line.push(b'"');
    }
}

fn push(line: &mut Vec<u8>, c: char) {
    line.extend(c.encode_utf8(&mut [0; 4]).as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use kyu_pgsql::types::Type;

    fn lines(style: &Style, fields: &[Option<&str>]) -> String {
        let column = |_: &Option<&str>| Column { name: "a b".into(), ty: Type::Text };
        let columns: Vec<Column> = fields.iter().map(column).collect();
        let value =
            |field: &Option<&str>| field.map_or(Value::Null, |text| Value::Text(text.into()));
        let row = fields.iter().map(value).collect();
        String::from_utf8(style.row(&columns, &row, &ValueStyle::default())).unwrap()
    }

    #[test]
    fn text_escapes_and_csv_quotes() {
        let text = Style { csv: false, delimiter: '\t', null: "\\N".into(), header: false };
        assert_eq!(lines(&text, &[Some("a\tb\\\n"), None, Some("")]), "a\\tb\\\\\\n\t\\N\t\n");
        let csv = Style { csv: true, delimiter: ',', null: String::new(), header: true };
        let fields = [Some("a,b"), None, Some(""), Some("say \"x\""), Some("plain")];
        assert_eq!(lines(&csv, &fields), "\"a,b\",,\"\",\"say \"\"x\"\"\",plain\n");
        let names = csv.names(&[Column { name: "n,m".into(), ty: Type::Text }]);
        assert_eq!(names, b"\"n,m\"\n");
    }
}
