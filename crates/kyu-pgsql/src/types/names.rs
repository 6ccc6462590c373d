//! Names of types, as SQL writes them and as Postgres prints them.

use crate::error::PgError;
use crate::parser::ast::TypeName;
use crate::parser::lexer::position;
use crate::types::{Composite, Element, Type};

/// The type that a name stands for; 42704 if there is none.
pub(crate) fn to_type(written: &TypeName, text: &str) -> Result<Type, PgError> {
    let name = written.name.last().map_or("", String::as_str);
    let (name, array) = match name.strip_prefix('_') {
        Some(element) if !written.array => (element, true),
        _ => (name, written.array),
    };
    let ty = by_name(name).filter(|_| schema_fits(written));
    let ty = if array { ty.and_then(array_of) } else { ty };
    ty.ok_or_else(|| {
        let name = written.name.join(".");
        let brackets = if written.array { "[]" } else { "" };
        let error = PgError::new("42704", format!("type \"{name}{brackets}\" does not exist"));
        PgError { position: Some(position(text, written.pos)), ..error }
    })
}

fn schema_fits(written: &TypeName) -> bool {
    match written.name.as_slice() {
        [_] => true,
        [schema, name] => {
            let ours =
                matches!(name.as_str(), "message_record" | "queue_record" | "metrics_result");
            schema == if ours { "pgmq" } else { "pg_catalog" }
        }
        _ => false,
    }
}

fn by_name(name: &str) -> Option<Type> {
    Some(match name {
        "bool" | "boolean" => Type::Bool,
        "int2" | "smallint" => Type::Int2,
        "int4" | "integer" | "int" => Type::Int4,
        "int8" | "bigint" => Type::Int8,
        "float8" | "double" | "float" | "float4" | "real" => Type::Float8,
        "numeric" | "decimal" | "dec" => Type::Numeric,
        "text" | "citext" | "cstring" | "xid" | "xid8" | "tid" | "inet" => Type::Text,
        "varchar" | "character" | "bpchar" | "char" => Type::Varchar,
        "name" => Type::Name,
        "\"char\"" => Type::Char,
        "json" => Type::Json,
        "jsonb" => Type::Jsonb,
        "timestamptz" => Type::Timestamptz,
        "timestamp" => Type::Timestamp,
        "date" => Type::Date,
        "interval" => Type::Interval,
        "oid" => Type::Oid,
        "regclass" => Type::Regclass,
        "regtype" => Type::Regtype,
        "regproc" | "regprocedure" | "regoper" => Type::Regproc,
        "regnamespace" | "regrole" => Type::Regclass,
        "bytea" => Type::Bytea,
        "uuid" => Type::Uuid,
        "void" => Type::Void,
        "oidvector" => Type::Array(Element::OidVector),
        "int2vector" => Type::Array(Element::Int2Vector),
        "unknown" => Type::Unknown,
        "record" => Type::Record,
        "message_record" => Type::Composite(Composite::MessageRecord),
        "queue_record" => Type::Composite(Composite::QueueRecord),
        "metrics_result" => Type::Composite(Composite::MetricsResult),
        _ => return None,
    })
}

/// The array type of an element type, if there is one here.
pub(crate) fn array_of(ty: Type) -> Option<Type> {
    element_of(ty).map(Type::Array)
}

/// A type as an element.
pub(crate) fn element_of(ty: Type) -> Option<Element> {
    Some(match ty {
        Type::Bool => Element::Bool,
        Type::Int2 => Element::Int2,
        Type::Int4 => Element::Int4,
        Type::Int8 => Element::Int8,
        Type::Float8 | Type::Numeric => Element::Float8,
        Type::Text | Type::Unknown | Type::Uuid => Element::Text,
        Type::Varchar => Element::Varchar,
        Type::Name => Element::Name,
        Type::Json => Element::Json,
        Type::Jsonb => Element::Jsonb,
        Type::Timestamptz | Type::Timestamp | Type::Date => Element::Timestamptz,
        Type::Oid | Type::Regclass | Type::Regtype | Type::Regproc => Element::Oid,
        Type::Char => Element::Char,
        Type::Composite(Composite::MessageRecord) => Element::MessageRecord,
        _ => return None,
    })
}

/// The name that messages and `format_type` use.
pub(crate) fn display(ty: Type) -> &'static str {
    match ty {
        Type::Bool => "boolean",
        Type::Int2 => "smallint",
        Type::Int4 => "integer",
        Type::Int8 => "bigint",
        Type::Float8 => "double precision",
        Type::Numeric => "numeric",
        Type::Text => "text",
        Type::Varchar => "character varying",
        Type::Name => "name",
        Type::Char => "\"char\"",
        Type::Json => "json",
        Type::Jsonb => "jsonb",
        Type::Timestamptz => "timestamp with time zone",
        Type::Timestamp => "timestamp without time zone",
        Type::Date => "date",
        Type::Interval => "interval",
        Type::Oid => "oid",
        Type::Regclass => "regclass",
        Type::Regtype => "regtype",
        Type::Regproc => "regproc",
        Type::Bytea => "bytea",
        Type::Uuid => "uuid",
        Type::Void => "void",
        Type::Unknown => "unknown",
        Type::Record => "record",
        Type::Composite(Composite::MessageRecord) => "pgmq.message_record",
        Type::Composite(Composite::QueueRecord) => "pgmq.queue_record",
        Type::Composite(Composite::MetricsResult) => "pgmq.metrics_result",
        Type::Composite(Composite::Numbered) => "record",
        Type::Array(element) => display_array(element),
    }
}

fn display_array(element: Element) -> &'static str {
    match element {
        Element::Bool => "boolean[]",
        Element::Int2 => "smallint[]",
        Element::Int4 => "integer[]",
        Element::Int8 => "bigint[]",
        Element::Float8 => "double precision[]",
        Element::Text => "text[]",
        Element::Varchar => "character varying[]",
        Element::Name => "name[]",
        Element::Json => "json[]",
        Element::Jsonb => "jsonb[]",
        Element::Timestamptz => "timestamp with time zone[]",
        Element::Oid => "oid[]",
        Element::OidVector => "oidvector",
        Element::Int2Vector => "int2vector",
        Element::Char => "\"char\"[]",
        Element::MessageRecord => "pgmq.message_record[]",
    }
}

/// `pg_type.typname`.
pub(crate) fn catalog_name(ty: Type) -> String {
    match ty {
        Type::Array(Element::OidVector | Element::Int2Vector) => display(ty).to_owned(),
        Type::Array(element) => format!("_{}", catalog_name(element.ty())),
        Type::Composite(composite) => composite.name().to_owned(),
        Type::Bool => "bool".to_owned(),
        Type::Int2 => "int2".to_owned(),
        Type::Int4 => "int4".to_owned(),
        Type::Int8 => "int8".to_owned(),
        Type::Float8 => "float8".to_owned(),
        Type::Varchar => "varchar".to_owned(),
        Type::Char => "char".to_owned(),
        Type::Timestamptz => "timestamptz".to_owned(),
        Type::Timestamp => "timestamp".to_owned(),
        other => display(other).to_owned(),
    }
}
