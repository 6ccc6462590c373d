//! Statements, JSON, and texts of values.
#![no_main]

use kyu_pgsql::types::{Composite, Element, Type};

const TYPES: [Type; 8] = [
    Type::Timestamptz,
    Type::Interval,
    Type::Numeric,
    Type::Bytea,
    Type::Jsonb,
    Type::Array(Element::Text),
    Type::Array(Element::Jsonb),
    Type::Composite(Composite::MessageRecord),
];

libfuzzer_sys::fuzz_target!(|text: &str| {
    let _ = kyu_pgsql::parse(text, &mut kyu_pgsql::work::Work::alone());
    // The canonical text reads back as itself.
    if let Ok(canonical) = kyu_pgsql::json::canonical(text) {
        assert_eq!(kyu_pgsql::json::canonical(&canonical).as_deref(), Ok(canonical.as_str()));
    }
    for ty in TYPES {
        if let Ok(value) = kyu_pgsql::text::input(ty, text) {
            let mut shown = String::new();
            kyu_pgsql::text::output(ty, &value, &mut shown);
        }
    }
});
