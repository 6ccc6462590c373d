//! Columns and rows of the catalogue's relations.

use std::sync::OnceLock;

use crate::types::value::{Column, Value};
use crate::types::{Element, Type};

/// Every relation of Postgres 15's catalogues, as `tests/sql/relations.sql` writes them.
const RELATIONS: &str = include_str!("postgres15.txt");

pub(super) struct CatalogTable {
    pub(super) schema: &'static str,
    pub(super) name: &'static str,
    oid: u32,
    pub(super) columns: Vec<(&'static str, Type)>,
}

pub(super) fn tables() -> &'static [CatalogTable] {
    static TABLES: OnceLock<Vec<CatalogTable>> = OnceLock::new();
    TABLES.get_or_init(|| RELATIONS.lines().filter_map(table).collect())
}

fn table(line: &'static str) -> Option<CatalogTable> {
    let mut words = line.split(' ');
    let (schema, name, _kind) = (words.next()?, words.next()?, words.next()?);
    let oid = words.next()?.parse().ok()?;
    let columns = words.filter_map(|column| column.split_once(':'));
    Some(CatalogTable {
        schema,
        name,
        oid,
        columns: columns.map(|(n, ty)| (n, type_of(ty))).collect(),
    })
}

fn type_of(code: &str) -> Type {
    match code {
        "o" => Type::Oid,
        "n" => Type::Name,
        "b" => Type::Bool,
        "c" => Type::Char,
        "s" => Type::Int2,
        "i" => Type::Int4,
        "l" => Type::Int8,
        "f" => Type::Float8,
        "m" => Type::Numeric,
        "y" => Type::Bytea,
        "I" => Type::Interval,
        "z" => Type::Timestamptz,
        "r" => Type::Regproc,
        "e" => Type::Regtype,
        "w" => Type::Varchar,
        "T" => Type::Array(Element::Text),
        "O" => Type::Array(Element::Oid),
        "S" => Type::Array(Element::Int2),
        "B" => Type::Array(Element::Bool),
        "C" => Type::Array(Element::Char),
        "N" => Type::Array(Element::Name),
        "F" => Type::Array(Element::Float8),
        "v" => Type::Array(Element::OidVector),
        "V" => Type::Array(Element::Int2Vector),
        _ => Type::Text,
    }
}

/// The relation of a name, and its columns. Without schema, `pg_catalog` is meant.
pub(crate) fn columns(schema: Option<&str>, name: &str) -> Option<(&'static str, Vec<Column>)> {
    let schema = schema.unwrap_or("pg_catalog");
    let table = tables().iter().find(|table| table.schema == schema && table.name == name)?;
    let columns =
        table.columns.iter().map(|(name, ty)| Column { name: (*name).to_owned(), ty: *ty });
    Some((table.name, columns.collect()))
}

/// The id of a relation of the catalogue.
pub(crate) fn relation_oid(schema: Option<&str>, name: &str) -> Option<u32> {
    let schema = schema.unwrap_or("pg_catalog");
    let found = tables().iter().find(|table| table.schema == schema && table.name == name);
    found.map(|table| table.oid)
}

/// The name of a relation of the catalogue, with its schema where it needs one.
pub(crate) fn relation_text(oid: u32) -> Option<String> {
    let table = tables().iter().find(|table| table.oid == oid)?;
    Some(match table.schema {
        "pg_catalog" => table.name.to_owned(),
        schema => format!("{schema}.{}", table.name),
    })
}

/// The values of some columns that the reader of a relation asks for. Rows with others may be left
/// out; the evaluator asks its conditions again.
#[derive(Debug, Default)]
pub(crate) struct Wanted(Vec<(usize, Vec<Value>)>);

impl Wanted {
    /// Only rows with this value; of an array, with one of its elements.
    pub(crate) fn add(&mut self, column: usize, value: Value) {
        let values = match value {
            Value::Array(_, values) => values,
            value => vec![value],
        };
        self.0.push((column, values));
    }

    /// The values that a column may have, if they are known.
    pub(super) fn of(&self, columns: &[(&str, Type)], name: &str) -> Option<&[Value]> {
        let (_, values) = self
            .0
            .iter()
            .find(|(at, _)| columns.get(*at).is_some_and(|(have, _)| *have == name))?;
        Some(values)
    }
}

/// The columns by which rows are looked up.
const KEYS: &[(&str, &[&str])] = &[
    ("pg_class", &["oid", "relname", "reltype"]),
    ("pg_attribute", &["attrelid"]),
    ("pg_index", &["indexrelid", "indrelid"]),
    ("pg_tables", &["tablename"]),
    ("pg_indexes", &["tablename"]),
    ("tables", &["table_name"]),
    ("columns", &["table_name"]),
];

/// True if rows of a relation can be looked up by a column.
pub(crate) fn is_keyed(relation: &str, column: usize) -> bool {
    let Some((_, keys)) = KEYS.iter().find(|(name, _)| *name == relation) else { return false };
    let columns = tables().iter().find(|table| table.name == relation).map(|table| &table.columns);
    let name = columns.and_then(|columns| columns.get(column)).map(|(name, _)| *name);
    name.is_some_and(|name| keys.contains(&name))
}
