//! The system catalogue, as far as clients ask for it: relations made from static lists and from the relations
//! that exist now. It is a shim, incomplete on purpose.

mod objects;
mod relations;

pub(crate) use objects::{
    function_arguments, function_by_text, function_result, function_text, type_by_text,
};
pub(crate) use relations::{columns, rows, schemas};

use super::functions::{Argument, FUNCTIONS, Function};
use super::resolve::{relation_columns, relation_named};
use crate::host::Relation;
use crate::types::{Composite, Type};
use crate::value::Column;
use crate::wire::oid;

/// Schemas with their ids (`pg_namespace`).
pub(crate) const PG_CATALOG: u32 = 11;
pub(crate) const PUBLIC: u32 = 2_200;
pub(crate) const INFORMATION_SCHEMA: u32 = 13_000;
pub(crate) const PGMQ_PUBLIC: u32 = 16_386;
/// The only role.
pub(crate) const OWNER: u32 = 10;
/// `pg_am`: heap and btree.
pub(crate) const HEAP: u32 = 2;
pub(crate) const BTREE: u32 = 403;
/// `pg_proc.oid` of `array_in`.
const ARRAY_IN: u32 = 750;
/// Of the names of FIFO indexes.
const FIFO_SUFFIX: &str = "_fifo_idx";
/// Ids of functions: this and the function's number.
const FUNCTION_BASE: u32 = 17_000;

/// What exists now.
#[derive(Clone, Debug, Default)]
pub(crate) struct Facts {
    pub(crate) relations: Vec<Relation>,
    /// Queues that have asked for a FIFO index: it is listed, and does nothing.
    pub(crate) fifo_indexed: Vec<String>,
}

/// A table, index or composite type.
pub(crate) struct Class {
    pub(crate) oid: u32,
    pub(crate) schema: u32,
    pub(crate) name: String,
    /// `r`, `i`, `c`.
    pub(crate) kind: char,
    pub(crate) columns: Vec<Column>,
    /// Of an index: its table and the column it is on (from 1), and whether it is the primary key.
    pub(crate) index: Option<(u32, String, usize, bool)>,
}

/// Ids of catalogue tables that clients write as `'pg_class'::regclass`.
const CATALOG_CLASSES: &[(&str, u32)] = &[
    ("pg_type", 1247),
    ("pg_attribute", 1249),
    ("pg_proc", 1255),
    ("pg_class", 1259),
    ("pg_authid", 1260),
    ("pg_database", 1262),
    ("pg_constraint", 2606),
    ("pg_index", 2610),
    ("pg_namespace", 2615),
    ("pg_extension", 3079),
    ("pg_trigger", 2620),
    ("pg_description", 2609),
    ("pg_rewrite", 2618),
    ("pg_attrdef", 2604),
    ("pg_roles", 12_000),
    ("pg_language", 2612),
    ("pg_operator", 2617),
    ("pg_cast", 2605),
    ("pg_collation", 3456),
    ("pg_tablespace", 1213),
];

/// The id of an object with this name: the same in every process.
fn id_of(name: &str) -> u32 {
    let hash = name
        .bytes()
        .fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    100_000 + (hash & 0x3fff_ffff)
}

pub(crate) fn table_name(relation: &Relation) -> String {
    match relation {
        Relation::Queue(name) => format!("q_{name}"),
        Relation::Archive(name) => format!("a_{name}"),
        Relation::Meta => "meta".to_owned(),
        Relation::TopicBindings => "topic_bindings".to_owned(),
        Relation::NotifyInsertThrottle => "notify_insert_throttle".to_owned(),
    }
}

impl Facts {
    /// Tables, their indexes, and composite types.
    pub(crate) fn classes(&self) -> Vec<Class> {
        let mut relations =
            vec![Relation::Meta, Relation::NotifyInsertThrottle, Relation::TopicBindings];
        relations.extend(
            self.relations
                .iter()
                .filter(|r| matches!(r, Relation::Queue(_) | Relation::Archive(_)))
                .cloned(),
        );
        let mut classes = Vec::new();
        for relation in &relations {
            let name = table_name(relation);
            let table = id_of(&name);
            let columns = relation_columns(relation);
            let mut index = |name: String, column: &str, primary: bool| {
                let at = columns.iter().position(|have| have.name == column).unwrap_or(0) + 1;
                let index = Some((table, table_name(relation), at, primary));
                let columns = columns.get(at - 1).cloned().into_iter().collect();
                classes.push(Class {
                    oid: id_of(&name),
                    schema: oid::PGMQ_SCHEMA,
                    name,
                    kind: 'i',
                    columns,
                    index,
                });
            };
            match relation {
                Relation::Queue(queue) => {
                    index(format!("{name}_pkey"), "msg_id", true);
                    index(format!("{name}_vt_idx"), "vt", false);
                    if self.fifo_indexed.contains(queue) {
                        index(format!("{name}{FIFO_SUFFIX}"), "headers", false);
                    }
                }
                Relation::Archive(queue) => {
                    index(format!("{name}_pkey"), "msg_id", true);
                    index(format!("archived_at_idx_{queue}"), "archived_at", false);
                }
                Relation::Meta => index("meta_queue_name_key".to_owned(), "queue_name", false),
                _ => {}
            }
            classes.push(Class {
                oid: table,
                schema: oid::PGMQ_SCHEMA,
                name,
                kind: 'r',
                columns,
                index: None,
            });
        }
        for composite in
            [Composite::MessageRecord, Composite::QueueRecord, Composite::MetricsResult]
        {
            let columns = composite
                .columns()
                .iter()
                .map(|(name, ty)| Column { name: (*name).to_owned(), ty: *ty });
            classes.push(Class {
                oid: oid::of_composite_class(composite),
                schema: oid::PGMQ_SCHEMA,
                name: composite.name().to_owned(),
                kind: 'c',
                columns: columns.collect(),
                index: None,
            });
        }
        classes
    }

    /// `'pgmq.q_x'::regclass`.
    pub(crate) fn class_by_text(&self, text: &str) -> Option<u32> {
        let plain = text.replace('"', "");
        let (schema, name) = plain
            .split_once('.')
            .map_or((None, plain.as_str()), |(schema, name)| (Some(schema), name));
        let catalog = CATALOG_CLASSES.iter().find(|(have, _)| *have == name).map(|(_, oid)| *oid);
        if schema.is_none_or(|schema| schema == "pg_catalog") && catalog.is_some() {
            return catalog;
        }
        relation_named(name).filter(|_| schema.is_none_or(|schema| schema == "pgmq"))?;
        self.classes().into_iter().find(|class| class.name == name).map(|class| class.oid)
    }

    /// The name, with its schema where the search path does not have it.
    pub(crate) fn class_text(&self, oid: u32) -> Option<String> {
        if let Some((name, _)) = CATALOG_CLASSES.iter().find(|(_, have)| *have == oid) {
            return Some((*name).to_owned());
        }
        let class = self.classes().into_iter().find(|class| class.oid == oid)?;
        Some(format!("pgmq.{}", super::builtins::quote_ident(&class.name)))
    }

    /// `CREATE INDEX ...`.
    pub(crate) fn index_definition(&self, oid: i64) -> Option<String> {
        let class = self.classes().into_iter().find(|class| i64::from(class.oid) == oid)?;
        definition(&class)
    }

    /// The name of an index's column, counted from 1.
    pub(crate) fn index_column(&self, oid: i64, number: i64) -> Option<String> {
        let class = self.classes().into_iter().find(|class| i64::from(class.oid) == oid)?;
        class.index.as_ref()?;
        let at = usize::try_from(number).ok()?.checked_sub(1)?;
        class.columns.get(at).map(|column| super::builtins::quote_ident(&column.name))
    }
}

pub(crate) fn definition(class: &Class) -> Option<String> {
    let (_, table, _, primary) = class.index.as_ref()?;
    let column = class.columns.first().map_or("", |column| column.name.as_str());
    let unique = if *primary { "UNIQUE " } else { "" };
    let quote = super::builtins::quote_ident;
    let method = if class.name.ends_with(FIFO_SUFFIX) { "gin" } else { "btree" };
    Some(format!(
        "CREATE {unique}INDEX {} ON pgmq.{} USING {method} ({column})",
        quote(&class.name),
        quote(table)
    ))
}

/// The id of a function.
pub(crate) fn function_oid(function: &Function) -> u32 {
    FUNCTION_BASE + u32::from(function.id.0)
}

fn function_of(oid: i64) -> Option<&'static Function> {
    FUNCTIONS.iter().find(|function| i64::from(function_oid(function)) == oid)
}

/// `integer DEFAULT 1`.
fn argument_text(argument: &Argument) -> String {
    let default = argument.default.map(|default| match argument.ty {
        Type::Int4 => format!(" DEFAULT {default}"),
        ty => format!(" DEFAULT '{default}'::{}", super::names::display(ty)),
    });
    format!(
        "{} {}{}",
        argument.name,
        super::names::display(argument.ty),
        default.unwrap_or_default()
    )
}

/// Whether a plan may look at the catalogue: asking for all relations costs more than a send.
pub(crate) fn is_needed(plan: &super::plan::Plan) -> bool {
    plan.catalog
}
