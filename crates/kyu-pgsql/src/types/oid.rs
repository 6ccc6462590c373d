//! Object ids of types: Postgres' own (`pg_type.dat`), and ours for the types of the extension.

use crate::types::{Composite, Element, Type};

/// `pg_namespace.oid` of the schema `pgmq`.
pub const PGMQ_SCHEMA: u32 = 16_385;
/// `pg_extension.oid` of the extension `pgmq`.
pub const PGMQ_EXTENSION: u32 = 16_384;

const COMPOSITES: [Composite; 3] =
    [Composite::MessageRecord, Composite::QueueRecord, Composite::MetricsResult];
const ELEMENTS: [Element; 16] = [
    Element::Bool,
    Element::Int2,
    Element::Int4,
    Element::Int8,
    Element::Float8,
    Element::Text,
    Element::Varchar,
    Element::Name,
    Element::Json,
    Element::Jsonb,
    Element::Timestamptz,
    Element::Oid,
    Element::OidVector,
    Element::Int2Vector,
    Element::Char,
    Element::MessageRecord,
];
const SCALARS: [Type; 25] = [
    Type::Bool,
    Type::Int2,
    Type::Int4,
    Type::Int8,
    Type::Float8,
    Type::Numeric,
    Type::Text,
    Type::Varchar,
    Type::Name,
    Type::Char,
    Type::Json,
    Type::Jsonb,
    Type::Timestamptz,
    Type::Timestamp,
    Type::Date,
    Type::Interval,
    Type::Oid,
    Type::Regclass,
    Type::Regtype,
    Type::Regproc,
    Type::Bytea,
    Type::Uuid,
    Type::Void,
    Type::Unknown,
    Type::Record,
];

/// `pg_type.oid` of a type.
pub const fn of_type(ty: Type) -> u32 {
    match ty {
        Type::Bool => 16,
        Type::Bytea => 17,
        Type::Char => 18,
        Type::Name => 19,
        Type::Int8 => 20,
        Type::Int2 => 21,
        Type::Int4 => 23,
        Type::Text => 25,
        Type::Regproc => 24,
        Type::Oid => 26,
        Type::Json => 114,
        Type::Float8 => 701,
        Type::Unknown => 705,
        Type::Varchar => 1_043,
        Type::Date => 1_082,
        Type::Timestamp => 1_114,
        Type::Timestamptz => 1_184,
        Type::Interval => 1_186,
        Type::Numeric => 1_700,
        Type::Regclass => 2_205,
        Type::Regtype => 2_206,
        Type::Record => 2_249,
        Type::Void => 2_278,
        Type::Uuid => 2_950,
        Type::Jsonb => 3_802,
        Type::Composite(composite) => of_composite(composite),
        Type::Array(element) => of_array(element),
    }
}

/// `pg_type.oid` of a composite type of pgmq.
pub const fn of_composite(composite: Composite) -> u32 {
    match composite {
        Composite::MessageRecord => 16_392,
        Composite::QueueRecord => 16_395,
        Composite::MetricsResult => 16_398,
        Composite::Numbered => of_type(Type::Record),
    }
}

/// `pg_type.typarray` of a composite type of pgmq.
pub const fn of_composite_array(composite: Composite) -> u32 {
    of_composite(composite) - 1
}

/// `pg_type.typrelid` of a composite type of pgmq: its columns are in `pg_attribute`.
pub const fn of_composite_class(composite: Composite) -> u32 {
    of_composite(composite) - 2
}

/// `pg_type.oid` of an array type.
pub const fn of_array(element: Element) -> u32 {
    match element {
        Element::Json => 199,
        Element::Bool => 1_000,
        Element::Char => 1_002,
        Element::Name => 1_003,
        Element::Int2 => 1_005,
        Element::Int4 => 1_007,
        Element::Text => 1_009,
        Element::Varchar => 1_015,
        Element::Int8 => 1_016,
        Element::Float8 => 1_022,
        Element::Oid => 1_028,
        Element::OidVector => 30,
        Element::Int2Vector => 22,
        Element::Timestamptz => 1_185,
        Element::Jsonb => 3_807,
        Element::MessageRecord => of_composite_array(Composite::MessageRecord),
    }
}

/// Every type that has an object id.
pub fn all() -> impl Iterator<Item = Type> {
    let composites = COMPOSITES.into_iter().map(Type::Composite);
    SCALARS.into_iter().chain(composites).chain(ELEMENTS.into_iter().map(Type::Array))
}

/// The type of an object id, if it is one of ours.
pub fn to_type(oid: u32) -> Option<Type> {
    all().find(|ty| of_type(*ty) == oid)
}

/// `pg_type.typlen`: bytes of a value, -1 if they vary, -2 for C strings.
pub const fn type_length(ty: Type) -> i16 {
    match ty {
        Type::Bool | Type::Char => 1,
        Type::Int2 => 2,
        Type::Int4
        | Type::Oid
        | Type::Regclass
        | Type::Regtype
        | Type::Regproc
        | Type::Date
        | Type::Void => 4,
        Type::Int8 | Type::Float8 | Type::Timestamp | Type::Timestamptz => 8,
        Type::Interval | Type::Uuid => 16,
        Type::Name => 64,
        Type::Unknown => -2,
        Type::Numeric
        | Type::Text
        | Type::Varchar
        | Type::Json
        | Type::Jsonb
        | Type::Bytea
        | Type::Record
        | Type::Composite(_)
        | Type::Array(_) => -1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_is_found_by_its_oid_and_no_oid_is_used_twice() {
        let mut seen: Vec<u32> = all().map(of_type).collect();
        for ty in all() {
            assert_eq!(to_type(of_type(ty)), Some(ty));
        }
        for composite in COMPOSITES {
            seen.extend([of_composite_class(composite), of_composite_array(composite)]);
        }
        // The array of message records stands in both lists.
        let count = seen.len() - 1;
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len(), count);
        assert_eq!(to_type(0), None);
    }
}
