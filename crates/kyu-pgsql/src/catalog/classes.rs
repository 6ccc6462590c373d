//! The objects that exist now: tables, their indexes, composite types; found by id, by name, by
//! table.

use std::collections::HashSet;
use std::ops::Range;
use std::sync::{Arc, OnceLock};

use super::relations::{relation_oid, relation_text};
use crate::builtins::quote_ident;
use crate::functions::Functions;
use crate::host::Relation;
use crate::types::Composite;
use crate::types::oid;
use crate::types::value::Column;

/// The end of the names of FIFO indexes.
const FIFO_SUFFIX: &str = "_fifo_idx";

/// The functions and relations of a host, as the catalogue shows them. Everything but the list of
/// relations is made when it is first asked for.
#[derive(Debug, Default)]
pub(crate) struct Facts {
    functions: Functions,
    relations: Vec<Relation>,
    /// Queues that have asked for a FIFO index: it is listed, and does nothing.
    fifo_indexed: Vec<String>,
    classes: OnceLock<Classes>,
}

/// A table, index or composite type.
#[derive(Debug)]
pub(crate) struct Class {
    pub(crate) oid: u32,
    pub(crate) schema: u32,
    pub(crate) name: String,
    /// `r`, `i`, `c`.
    pub(crate) kind: char,
    pub(crate) columns: Arc<[Column]>,
    pub(crate) index: Option<IndexOf>,
}

/// The table and the column that an index is on.
#[derive(Debug)]
pub(crate) struct IndexOf {
    /// The id of its table, and the table's place among the classes.
    pub(crate) table: u32,
    table_at: usize,
    /// The column it is on, from 1.
    pub(crate) column: usize,
    pub(crate) primary: bool,
}

/// All classes. Indexes of a table stand in front of it.
#[derive(Debug, Default)]
struct Classes {
    all: Vec<Class>,
    /// Ids and places, by id.
    by_oid: Vec<(u32, usize)>,
}

/// Columns of each kind of table, and of an index on each of them.
struct Shape {
    columns: Arc<[Column]>,
    single: Vec<Arc<[Column]>>,
}

impl Shape {
    fn of(relation: &Relation) -> &'static Self {
        static SHAPES: [OnceLock<Shape>; 5] = [const { OnceLock::new() }; 5];
        let at = match relation {
            Relation::Queue(_) => 0,
            Relation::Archive(_) => 1,
            Relation::Meta => 2,
            Relation::TopicBindings => 3,
            Relation::NotifyInsertThrottle => 4,
        };
        static NONE: OnceLock<Shape> = OnceLock::new();
        SHAPES.get(at).unwrap_or(&NONE).get_or_init(|| {
            let columns = relation.columns();
            let single = columns.iter().map(|column| Arc::from([column.clone()]));
            Self { single: single.collect(), columns: columns.into() }
        })
    }
}

/// The id of an object with this name: the same in every process.
fn id_of(name: &str) -> u32 {
    let hash = name
        .bytes()
        .fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    100_000 + (hash & 0x3fff_ffff)
}

/// The id of a relation's table.
pub(crate) fn relation_id(relation: &Relation) -> u32 {
    id_of(&table_name(relation))
}

fn table_name(relation: &Relation) -> String {
    match relation {
        Relation::Queue(name) => format!("q_{name}"),
        Relation::Archive(name) => format!("a_{name}"),
        Relation::Meta => "meta".to_owned(),
        Relation::TopicBindings => "topic_bindings".to_owned(),
        Relation::NotifyInsertThrottle => "notify_insert_throttle".to_owned(),
    }
}

impl Classes {
    fn new(relations: &[Relation], fifo_indexed: &[String]) -> Self {
        let fifo: HashSet<&String> = fifo_indexed.iter().collect();
        let mut classes = Self::default();
        for relation in [Relation::Meta, Relation::NotifyInsertThrottle, Relation::TopicBindings] {
            classes.relation(&relation, &fifo);
        }
        for relation in relations {
            if matches!(relation, Relation::Queue(_) | Relation::Archive(_)) {
                classes.relation(relation, &fifo);
            }
        }
        for composite in
            [Composite::MessageRecord, Composite::QueueRecord, Composite::MetricsResult]
        {
            let columns = composite
                .columns()
                .iter()
                .map(|(name, ty)| Column { name: (*name).to_owned(), ty: *ty });
            classes.all.push(Class {
                oid: oid::of_composite_class(composite),
                schema: oid::PGMQ_SCHEMA,
                name: composite.name().to_owned(),
                kind: 'c',
                columns: columns.collect(),
                index: None,
            });
        }
        classes.by_oid = classes.all.iter().map(|class| class.oid).zip(0..).collect();
        classes.by_oid.sort_unstable();
        classes
    }

    fn relation(&mut self, relation: &Relation, fifo: &HashSet<&String>) {
        let name = table_name(relation);
        let indexes = match relation {
            Relation::Queue(queue) => {
                let header = fifo.contains(queue);
                let fifo = header.then(|| (format!("{name}{FIFO_SUFFIX}"), "headers"));
                vec![
                    Some((format!("{name}_pkey"), "msg_id")),
                    Some((format!("{name}_vt_idx"), "vt")),
                    fifo,
                ]
            }
            Relation::Archive(queue) => vec![
                Some((format!("{name}_pkey"), "msg_id")),
                Some((format!("archived_at_idx_{queue}"), "archived_at")),
            ],
            Relation::Meta => vec![Some(("meta_queue_name_key".to_owned(), "queue_name"))],
            Relation::TopicBindings | Relation::NotifyInsertThrottle => Vec::new(),
        };
        let shape = Shape::of(relation);
        let table = id_of(&name);
        let table_at = self.all.len() + indexes.iter().flatten().count();
        for (name, column) in indexes.into_iter().flatten() {
            let at = shape.columns.iter().position(|have| have.name == column).unwrap_or(0);
            let primary = name.ends_with("_pkey");
            self.all.push(Class {
                oid: id_of(&name),
                schema: oid::PGMQ_SCHEMA,
                name,
                kind: 'i',
                columns: shape.single.get(at).cloned().unwrap_or_else(|| Arc::from([])),
                index: Some(IndexOf { table, table_at, column: at + 1, primary }),
            });
        }
        self.all.push(Class {
            oid: table,
            schema: oid::PGMQ_SCHEMA,
            name,
            kind: 'r',
            columns: Arc::clone(&shape.columns),
            index: None,
        });
    }
}

impl Facts {
    pub(crate) fn new(
        functions: Functions,
        relations: Vec<Relation>,
        fifo_indexed: Vec<String>,
    ) -> Self {
        Self { functions, relations, fifo_indexed, classes: OnceLock::new() }
    }

    /// The functions of the host.
    pub(crate) fn functions(&self) -> Functions {
        self.functions
    }

    fn all(&self) -> &Classes {
        self.classes.get_or_init(|| Classes::new(&self.relations, &self.fifo_indexed))
    }

    /// Tables, their indexes, and composite types.
    pub(crate) fn classes(&self) -> &[Class] {
        &self.all().all
    }

    /// The classes with an id. Two may share one: ids are made from names.
    pub(crate) fn by_oid(&self, oid: u32) -> impl Iterator<Item = &Class> {
        let Classes { all, by_oid } = self.all();
        let from = by_oid.partition_point(|(have, _)| *have < oid);
        let found = by_oid.iter().skip(from).take_while(move |(have, _)| *have == oid);
        found.filter_map(|(_, at)| all.get(*at))
    }

    /// The class with a name.
    pub(crate) fn by_name(&self, name: &str) -> Option<&Class> {
        let composites =
            [Composite::MessageRecord, Composite::QueueRecord, Composite::MetricsResult];
        let composite = composites.into_iter().find(|composite| composite.name() == name);
        let oid = composite.map_or_else(|| id_of(name), oid::of_composite_class);
        self.by_oid(oid).find(|class| class.name == name)
    }

    /// The indexes of a table.
    pub(crate) fn indexes_of(&self, table: u32) -> impl Iterator<Item = &Class> {
        let Classes { all, by_oid } = self.all();
        let from = by_oid.partition_point(|(have, _)| *have < table);
        let at = by_oid.get(from).filter(|(have, _)| *have == table).map(|(_, at)| *at);
        let range: Range<usize> = at.map_or(0..0, |at| at.saturating_sub(3)..at);
        let near = all.get(range).unwrap_or_default();
        near.iter()
            .filter(move |class| class.index.as_ref().is_some_and(|index| index.table == table))
    }

    /// The name of an index's table.
    pub(crate) fn table_of(&self, index: &IndexOf) -> &str {
        self.classes().get(index.table_at).map_or("", |class| class.name.as_str())
    }

    /// `'pgmq.q_x'::regclass`.
    pub(crate) fn class_by_text(&self, text: &str) -> Option<u32> {
        let plain = text.replace('"', "");
        // A database may stand in front: there is one.
        let mut parts = plain.rsplitn(3, '.');
        let name = parts.next().unwrap_or_default();
        let schema = parts.next();
        if let Some(oid) = relation_oid(schema, name) {
            return Some(oid);
        }
        if schema.is_some_and(|schema| schema != "pgmq") {
            return None;
        }
        // Names that cannot be ours need no list of what exists.
        let possible =
            Relation::of_table(name).is_some() || name.contains("idx") || name.contains("key");
        let class = possible.then(|| self.by_name(name)).flatten()?;
        Some(class.oid)
    }

    /// The name, with its schema where the search path does not have it.
    pub(crate) fn class_text(&self, oid: u32) -> Option<String> {
        if let Some(name) = relation_text(oid) {
            return Some(name);
        }
        let class = self.by_oid(oid).next()?;
        Some(format!("pgmq.{}", quote_ident(&class.name)))
    }

    /// `CREATE INDEX ...`.
    pub(crate) fn index_definition(&self, oid: i64) -> Option<String> {
        self.by_oid(u32::try_from(oid).ok()?).find_map(|class| self.definition(class))
    }

    /// The name of an index's column, counted from 1.
    pub(crate) fn index_column(&self, oid: i64, number: i64) -> Option<String> {
        let class = self.by_oid(u32::try_from(oid).ok()?).find(|class| class.index.is_some())?;
        let at = usize::try_from(number).ok()?.checked_sub(1)?;
        class.columns.get(at).map(|column| quote_ident(&column.name))
    }

    /// The same of a class that is an index.
    pub(crate) fn definition(&self, class: &Class) -> Option<String> {
        let index = class.index.as_ref()?;
        let column = class.columns.first().map_or("", |column| column.name.as_str());
        let unique = if index.primary { "UNIQUE " } else { "" };
        let method = if class.name.ends_with(FIFO_SUFFIX) { "gin" } else { "btree" };
        Some(format!(
            "CREATE {unique}INDEX {} ON pgmq.{} USING {method} ({column})",
            quote_ident(&class.name),
            quote_ident(self.table_of(index))
        ))
    }
}
