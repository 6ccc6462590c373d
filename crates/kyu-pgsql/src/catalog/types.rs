//! The rows of `pg_type`: the facts of each type, and the names of its functions.

use std::sync::OnceLock;

use crate::types::oid;
use crate::types::{Composite, Element, Type};

/// The types of Postgres 15, as `tests/sql/types.sql` writes them.
const TYPES: &str = include_str!("types15.txt");

/// `input output receive send modin modout analyze subscript`.
const FUNCTIONS: usize = 8;

/// The facts of one type.
pub(super) struct TypeFacts {
    oid: u32,
    pub(super) preferred: bool,
    pub(super) alignment: &'static str,
    pub(super) storage: &'static str,
    /// Ids of its functions, by [`FUNCTIONS`]; 0 for none.
    pub(super) functions: [u32; FUNCTIONS],
    names: [&'static str; FUNCTIONS],
}

fn all() -> &'static [TypeFacts] {
    static ALL: OnceLock<Vec<TypeFacts>> = OnceLock::new();
    ALL.get_or_init(|| TYPES.lines().filter_map(facts).collect())
}

fn facts(line: &'static str) -> Option<TypeFacts> {
    let mut words = line.split(' ');
    let oid = words.next()?.parse().ok()?;
    let (_name, _category) = (words.next()?, words.next()?);
    let preferred = words.next()? == "t";
    let (alignment, storage) = (words.next()?, words.next()?);
    let (mut functions, mut names) = ([0; FUNCTIONS], [""; FUNCTIONS]);
    for ((function, name), word) in functions.iter_mut().zip(&mut names).zip(words) {
        if let Some((called, oid)) = word.split_once('=') {
            *function = oid.parse().ok()?;
            *name = called;
        }
    }
    Some(TypeFacts { oid, preferred, alignment, storage, functions, names })
}

/// The facts of a type. Composites are as `record` is, and arrays of them as any array.
pub(super) fn type_facts(ty: Type) -> Option<&'static TypeFacts> {
    let like = match ty {
        Type::Composite(_) => Type::Record,
        Type::Array(Element::MessageRecord) => Type::Array(Element::Text),
        ty => ty,
    };
    all().iter().find(|facts| facts.oid == oid::of_type(like))
}

/// The function of a type with this id, such as `array_in`.
pub(crate) fn function_name(oid: u32) -> Option<&'static str> {
    let named = |facts: &'static TypeFacts| facts.functions.iter().zip(facts.names);
    all().iter().flat_map(named).find(|(have, _)| **have == oid && oid != 0).map(|(_, name)| name)
}

/// Every function of a type, once.
pub(super) fn functions() -> &'static [(u32, &'static str)] {
    static FUNCTIONS: OnceLock<Vec<(u32, &'static str)>> = OnceLock::new();
    FUNCTIONS.get_or_init(|| {
        let named = |facts: &'static TypeFacts| facts.functions.iter().copied().zip(facts.names);
        let all = all().iter().flat_map(named).filter(|(oid, _)| *oid != 0);
        all.collect::<std::collections::BTreeMap<_, _>>().into_iter().collect()
    })
}

/// The id of a function of a type, by its name.
pub(crate) fn function_id(name: &str) -> Option<u32> {
    let named = |facts: &'static TypeFacts| facts.functions.iter().zip(facts.names);
    all().iter().flat_map(named).find(|(_, have)| *have == name).map(|(oid, _)| *oid)
}

/// The composite types that pgmq has.
pub(super) const COMPOSITES: [Composite; 3] =
    [Composite::MessageRecord, Composite::QueueRecord, Composite::MetricsResult];
