//! Rows of the catalogue's relations.

use super::classes::{Class, Facts, IndexOf};
use super::relations::{Wanted, tables};
use super::types::{COMPOSITES, type_facts};
use super::{
    BTREE, HEAP, INFORMATION_SCHEMA, OWNER, PG_CATALOG, PGMQ_PUBLIC, PUBLIC, function_oid,
};
use crate::Session;
use crate::builtins::VERSION;
use crate::error::PgError;
use crate::functions::{Functions, Returns};
use crate::types::names::{array_of, catalog_name, display};
use crate::types::oid;
use crate::types::value::{Row, Value};
use crate::types::{Element, Type};
use crate::work::{Work, row_bytes};

/// Writes rows of a relation: what is not given is zero, false or NULL.
struct Writer<'a> {
    columns: &'static [(&'static str, Type)],
    /// It is of `information_schema`.
    standard: bool,
    /// The columns that were given last, and where they are: those of one relation are the same
    /// for all of its rows.
    names: Vec<&'static str>,
    places: Vec<Option<usize>>,
    rows: Vec<Row>,
    work: &'a mut Work,
}

impl Writer<'_> {
    fn row<const N: usize>(&mut self, given: [(&'static str, Value); N]) -> Result<(), PgError> {
        Work::room(self.rows.len())?;
        self.work.spend(4)?;
        let mut row: Row = match self.standard {
            // What does not apply is NULL there.
            true => vec![Value::Null; self.columns.len()],
            false => self.columns.iter().map(|(_, ty)| default(*ty)).collect(),
        };
        if !self.names.iter().copied().eq(given.iter().map(|(name, _)| *name)) {
            self.names = given.iter().map(|(name, _)| *name).collect();
            let place = |name: &str| self.columns.iter().position(|(have, _)| *have == name);
            self.places = self.names.iter().map(|name| place(name)).collect();
        }
        for ((_, value), place) in given.into_iter().zip(&self.places) {
            if let Some(place) = place.and_then(|at| row.get_mut(at)) {
                *place = value;
            }
        }
        self.work.grow(row_bytes(&row))?;
        self.rows.push(row);
        Ok(())
    }
}

fn default(ty: Type) -> Value {
    match ty {
        Type::Bool => Value::Bool(false),
        Type::Oid | Type::Int2 | Type::Int4 | Type::Int8 | Type::Regproc => Value::Int(0),
        Type::Float8 => Value::Float(0.0),
        Type::Char => Value::Text(String::new()),
        _ => Value::Null,
    }
}

fn text(text: impl Into<String>) -> Value {
    Value::Text(text.into())
}

fn int(number: impl Into<i64>) -> Value {
    Value::Int(number.into())
}

fn size(number: usize) -> Value {
    Value::Int(i64::try_from(number).unwrap_or(0))
}

const YES: Value = Value::Bool(true);

/// Rows of a relation, by its name: at least those that are wanted.
pub(crate) fn rows(
    key: &str,
    facts: &Facts,
    session: &dyn Session,
    wanted: &Wanted,
    work: &mut Work,
) -> Result<Vec<Row>, PgError> {
    let Some(table) = tables().iter().find(|table| table.name == key) else {
        return Ok(Vec::new());
    };
    let standard = table.schema == "information_schema";
    let (names, places) = (Vec::new(), Vec::new());
    let (columns, rows) = (&table.columns, Vec::new());
    let mut out = Writer { columns, standard, names, places, rows, work };
    let out = &mut out;
    match key {
        "pg_namespace" => {
            for (oid, name) in schemas() {
                out.row([("oid", int(oid)), ("nspname", text(name)), ("nspowner", int(OWNER))])?;
            }
        }
        "pg_class" => {
            for class in classes_wanted(facts, wanted, out.columns) {
                class_row(out, class)?;
            }
        }
        "pg_type" => type_rows(out)?,
        "pg_attribute" => attribute_rows(out, facts, wanted)?,
        "pg_proc" => proc_rows(out, facts.functions())?,
        "pg_index" => index_rows(out, facts, wanted)?,
        "pg_extension" | "pg_available_extensions" | "pg_am" | "pg_language" => {
            object_rows(out, key)?;
        }
        "pg_database" | "pg_roles" | "pg_user" | "pg_settings" | "pg_stat_activity" => {
            session_rows(out, key, session)?;
        }
        "pg_tables" | "pg_indexes" => view_rows(out, key, facts, session, wanted)?,
        "schemata" | "tables" | "columns" | "routines" => {
            standard_rows(out, key, facts, session, wanted)?;
        }
        _ => {}
    }
    Ok(std::mem::take(&mut out.rows))
}

/// The numbers that a column may have.
fn numbers<'a>(values: &'a [Value]) -> impl Iterator<Item = u32> + 'a {
    values.iter().filter_map(|value| match value {
        Value::Int(number) => u32::try_from(*number).ok(),
        _ => None,
    })
}

/// Classes that `pg_class` is asked for.
fn classes_wanted<'a>(
    facts: &'a Facts,
    wanted: &Wanted,
    columns: &[(&str, Type)],
) -> Vec<&'a Class> {
    if let Some(oids) = wanted.of(columns, "oid") {
        return numbers(oids).flat_map(|oid| facts.by_oid(oid)).collect();
    }
    if let Some(names) = wanted.of(columns, "relname") {
        let name = |value: &Value| match value {
            Value::Text(name) => facts.by_name(name),
            _ => None,
        };
        return names.iter().filter_map(name).collect();
    }
    if let Some(types) = wanted.of(columns, "reltype") {
        let of = |ty: u32| {
            let composite =
                COMPOSITES.into_iter().find(|c| oid::of_type(Type::Composite(*c)) == ty);
            composite.into_iter().flat_map(|c| facts.by_oid(oid::of_composite_class(c)))
        };
        let only_types = !numbers(types).any(|ty| ty == 0);
        if only_types {
            return numbers(types).flat_map(of).collect();
        }
    }
    facts.classes().iter().collect()
}

pub(crate) fn schemas() -> [(u32, &'static str); 5] {
    [
        (PG_CATALOG, "pg_catalog"),
        (PUBLIC, "public"),
        (INFORMATION_SCHEMA, "information_schema"),
        (oid::PGMQ_SCHEMA, "pgmq"),
        (PGMQ_PUBLIC, "pgmq_public"),
    ]
}

fn class_row(out: &mut Writer<'_>, class: &Class) -> Result<(), PgError> {
    let ty = COMPOSITES
        .into_iter()
        .find(|composite| oid::of_composite_class(*composite) == class.oid)
        .map_or(0, |composite| oid::of_type(Type::Composite(composite)));
    let access = match class.kind {
        'r' => HEAP,
        'i' => BTREE,
        _ => 0,
    };
    let indexed = class.kind == 'r'
        && (class.name.starts_with("q_") || class.name.starts_with("a_") || class.name == "meta");
    out.row([
        ("oid", int(class.oid)),
        ("relname", text(&class.name)),
        ("relnamespace", int(class.schema)),
        ("reltype", int(ty)),
        ("relowner", int(OWNER)),
        ("relam", int(access)),
        ("relhasindex", Value::Bool(indexed)),
        ("relpersistence", text("p")),
        ("relkind", text(class.kind)),
        ("relnatts", size(class.columns.len())),
        ("relispopulated", YES),
        ("relreplident", text(if class.kind == 'r' { "d" } else { "n" })),
    ])
}

fn type_rows(out: &mut Writer<'_>) -> Result<(), PgError> {
    for ty in oid::all() {
        let (kind, class) = match ty {
            Type::Composite(composite) => ("c", oid::of_composite_class(composite)),
            Type::Void | Type::Record | Type::Unknown => ("p", 0),
            _ => ("b", 0),
        };
        let element = match ty {
            Type::Array(element) => oid::of_type(element.ty()),
            Type::Name => oid::of_type(Type::Char),
            _ => 0,
        };
        let exact = array_of(ty)
            .filter(|array| matches!(array, Type::Array(element) if element.ty() == ty));
        let array = match ty {
            Type::Array(Element::OidVector) => 1_013,
            Type::Array(Element::Int2Vector) => 1_006,
            Type::Array(_) => 0,
            Type::Composite(composite) => oid::of_composite_array(composite),
            _ => exact.map_or(0, oid::of_type),
        };
        let ours =
            matches!(ty, Type::Composite(_)) || matches!(ty, Type::Array(Element::MessageRecord));
        let length = oid::type_length(ty);
        let facts = type_facts(ty);
        let functions = facts.map_or([0; 8], |facts| facts.functions).map(int);
        let [input, output, receive, send, modin, modout, analyze, subscript] = functions;
        out.row([
            ("oid", int(oid::of_type(ty))),
            ("typname", text(catalog_name(ty))),
            ("typnamespace", int(if ours { oid::PGMQ_SCHEMA } else { PG_CATALOG })),
            ("typowner", int(OWNER)),
            ("typlen", int(length)),
            ("typbyval", Value::Bool((1..=8).contains(&length))),
            ("typtype", text(kind)),
            ("typcategory", text(ty.category())),
            ("typispreferred", Value::Bool(facts.is_some_and(|facts| facts.preferred))),
            ("typisdefined", YES),
            ("typdelim", text(",")),
            ("typrelid", int(class)),
            ("typelem", int(element)),
            ("typarray", int(array)),
            ("typalign", text(facts.map_or("i", |facts| facts.alignment))),
            ("typstorage", text(facts.map_or("x", |facts| facts.storage))),
            ("typtypmod", int(-1)),
            ("typinput", input),
            ("typoutput", output),
            ("typreceive", receive),
            ("typsend", send),
            ("typmodin", modin),
            ("typmodout", modout),
            ("typanalyze", analyze),
            ("typsubscript", subscript),
        ])?;
    }
    Ok(())
}

fn attribute_rows(out: &mut Writer<'_>, facts: &Facts, wanted: &Wanted) -> Result<(), PgError> {
    let classes: Vec<&Class> = match wanted.of(out.columns, "attrelid") {
        Some(oids) => numbers(oids).flat_map(|oid| facts.by_oid(oid)).collect(),
        None => facts.classes().iter().collect(),
    };
    for class in classes {
        for (i, column) in class.columns.iter().enumerate() {
            let required = class.kind == 'r'
                && matches!(
                    column.name.as_str(),
                    "msg_id"
                        | "read_ct"
                        | "enqueued_at"
                        | "vt"
                        | "queue_name"
                        | "is_partitioned"
                        | "is_unlogged"
                        | "created_at"
                        | "archived_at"
                        | "pattern"
                        | "bound_at"
                        | "throttle_interval_ms"
                        | "last_notified_at"
                );
            let identity =
                class.kind == 'r' && class.name.starts_with("q_") && column.name == "msg_id";
            out.row([
                ("attrelid", int(class.oid)),
                ("attname", text(&column.name)),
                ("atttypid", int(oid::of_type(column.ty))),
                ("attstattarget", int(-1)),
                ("attlen", int(oid::type_length(column.ty))),
                ("attnum", size(i + 1)),
                ("attcacheoff", int(-1)),
                ("atttypmod", int(-1)),
                ("attalign", text("i")),
                ("attstorage", text(if oid::type_length(column.ty) == -1 { "x" } else { "p" })),
                ("attnotnull", Value::Bool(required)),
                ("attidentity", text(if identity { "a" } else { "" })),
                ("attislocal", YES),
            ])?;
        }
    }
    Ok(())
}

fn proc_rows(out: &mut Writer<'_>, functions: Functions) -> Result<(), PgError> {
    // Drivers tell arrays and enums by the functions of their types.
    for (oid, name) in super::types::functions().iter().copied() {
        out.row([
            ("oid", int(oid)),
            ("proname", text(name)),
            ("pronamespace", int(PG_CATALOG)),
            ("proowner", int(OWNER)),
            ("prolang", int(12)),
            ("prokind", text("f")),
            ("proisstrict", YES),
            ("provolatile", text("i")),
            ("proparallel", text("s")),
            ("proargtypes", Value::Array(Element::OidVector, Vec::new())),
            ("prosrc", text(name)),
        ])?;
    }
    for function in functions.own() {
        let types =
            function.arguments.iter().map(|argument| int(oid::of_type(argument.ty))).collect();
        let names = function.arguments.iter().map(|argument| text(argument.name)).collect();
        let defaults =
            function.arguments.iter().filter(|argument| argument.default.is_some()).count();
        let result = match function.returns {
            Returns::One(ty) | Returns::Set(ty) => ty,
            Returns::Table(_) => Type::Record,
        };
        let schema = if function.schema == "pgmq" { oid::PGMQ_SCHEMA } else { PGMQ_PUBLIC };
        out.row([
            ("oid", int(function_oid(function))),
            ("proname", text(function.name)),
            ("pronamespace", int(schema)),
            ("proowner", int(OWNER)),
            ("prolang", int(14)),
            ("procost", Value::Float(100.0)),
            ("prokind", text("f")),
            ("proretset", Value::Bool(function.returns.is_set())),
            ("provolatile", text("v")),
            ("proparallel", text("u")),
            ("pronargs", size(function.arguments.len())),
            ("pronargdefaults", size(defaults)),
            ("prorettype", int(oid::of_type(result))),
            ("proargtypes", Value::Array(Element::OidVector, types)),
            ("proargnames", Value::Array(Element::Text, names)),
            ("prosrc", text("")),
        ])?;
    }
    Ok(())
}

fn index_rows(out: &mut Writer<'_>, facts: &Facts, wanted: &Wanted) -> Result<(), PgError> {
    let classes: Vec<&Class> =
        match (wanted.of(out.columns, "indexrelid"), wanted.of(out.columns, "indrelid")) {
            (Some(oids), _) => numbers(oids).flat_map(|oid| facts.by_oid(oid)).collect(),
            (None, Some(oids)) => numbers(oids).flat_map(|oid| facts.indexes_of(oid)).collect(),
            (None, None) => facts.classes().iter().collect(),
        };
    for class in classes {
        let Some(IndexOf { table, column, primary, .. }) = &class.index else { continue };
        out.row([
            ("indexrelid", int(class.oid)),
            ("indrelid", int(*table)),
            ("indnatts", int(1)),
            ("indnkeyatts", int(1)),
            ("indisunique", Value::Bool(*primary)),
            ("indisprimary", Value::Bool(*primary)),
            ("indimmediate", YES),
            ("indisvalid", YES),
            ("indisready", YES),
            ("indislive", YES),
            ("indkey", Value::Array(Element::Int2Vector, vec![size(*column)])),
            ("indoption", Value::Array(Element::Int2Vector, vec![int(0)])),
        ])?;
    }
    Ok(())
}

/// The version of the API that is offered.
const PGMQ_VERSION: &str = "1.13.0";

fn object_rows(out: &mut Writer<'_>, key: &str) -> Result<(), PgError> {
    match key {
        "pg_extension" => out.row([
            ("oid", int(oid::PGMQ_EXTENSION)),
            ("extname", text("pgmq")),
            ("extowner", int(OWNER)),
            ("extnamespace", int(oid::PGMQ_SCHEMA)),
            ("extversion", text(PGMQ_VERSION)),
        ])?,
        "pg_available_extensions" => out.row([
            ("name", text("pgmq")),
            ("default_version", text(PGMQ_VERSION)),
            ("installed_version", text(PGMQ_VERSION)),
            (
                "comment",
                text("A lightweight message queue. Like AWS SQS and RSMQ but on Postgres."),
            ),
        ])?,
        "pg_am" => {
            out.row([("oid", int(HEAP)), ("amname", text("heap")), ("amtype", text("t"))])?;
            out.row([("oid", int(BTREE)), ("amname", text("btree")), ("amtype", text("i"))])?;
        }
        _ => out.row([
            ("oid", int(14)),
            ("lanname", text("sql")),
            ("lanowner", int(OWNER)),
            ("lanpltrusted", YES),
        ])?,
    }
    Ok(())
}

fn session_rows(out: &mut Writer<'_>, key: &str, session: &dyn Session) -> Result<(), PgError> {
    match key {
        "pg_database" => out.row([
            ("oid", int(5)),
            ("datname", text(session.database())),
            ("datdba", int(OWNER)),
            ("encoding", int(6)),
            ("datlocprovider", text("c")),
            ("datallowconn", YES),
            ("datconnlimit", int(-1)),
            ("datcollate", text("C.UTF-8")),
            ("datctype", text("C.UTF-8")),
        ])?,
        "pg_roles" => out.row([
            ("rolname", text(session.user())),
            ("rolsuper", YES),
            ("rolinherit", YES),
            ("rolcreaterole", YES),
            ("rolcreatedb", YES),
            ("rolcanlogin", YES),
            ("rolconnlimit", int(-1)),
            ("oid", int(OWNER)),
        ])?,
        "pg_stat_activity" => out.row([
            ("datid", int(5)),
            ("datname", text(session.database())),
            ("pid", int(session.backend_pid())),
            ("usesysid", int(OWNER)),
            ("usename", text(session.user())),
            ("application_name", text(session.setting("application_name").unwrap_or_default())),
            ("backend_start", Value::Timestamp(session.began())),
            ("state", text("active")),
            ("backend_type", text("client backend")),
        ])?,
        "pg_user" => out.row([
            ("usename", text(session.user())),
            ("usesysid", int(OWNER)),
            ("usecreatedb", YES),
            ("usesuper", YES),
        ])?,
        _ => {
            for (name, setting) in session.settings() {
                out.row([
                    ("name", text(name)),
                    ("setting", text(setting.clone())),
                    ("context", text("user")),
                    ("vartype", text("string")),
                    ("source", text("session")),
                    ("boot_val", text(setting.clone())),
                    ("reset_val", text(setting)),
                ])?;
            }
            out.row([
                ("name", text("server_version_comment")),
                ("setting", text(VERSION)),
                ("context", text("internal")),
            ])?;
        }
    }
    Ok(())
}

fn view_rows(
    out: &mut Writer<'_>,
    key: &str,
    facts: &Facts,
    session: &dyn Session,
    wanted: &Wanted,
) -> Result<(), PgError> {
    for class in classes_of_table(facts, wanted, out.columns, "tablename") {
        match (key, class.kind) {
            ("pg_tables", 'r') => out.row([
                ("schemaname", text("pgmq")),
                ("tablename", text(&class.name)),
                ("tableowner", text(session.user())),
                ("hasindexes", YES),
            ])?,
            ("pg_indexes", 'i') => {
                let definition = facts.definition(class).unwrap_or_default();
                let table = class.index.as_ref().map(|index| facts.table_of(index));
                out.row([
                    ("schemaname", text("pgmq")),
                    ("tablename", text(table.unwrap_or_default())),
                    ("indexname", text(&class.name)),
                    ("indexdef", text(definition)),
                ])?;
            }
            _ => {}
        }
    }
    Ok(())
}

fn standard_rows(
    out: &mut Writer<'_>,
    key: &str,
    facts: &Facts,
    session: &dyn Session,
    wanted: &Wanted,
) -> Result<(), PgError> {
    let database = || text(session.database());
    match key {
        "schemata" => {
            for (_, name) in schemas() {
                out.row([
                    ("catalog_name", database()),
                    ("schema_name", text(name)),
                    ("schema_owner", text(session.user())),
                ])?;
            }
        }
        "routines" => {
            for function in facts.functions().own() {
                out.row([
                    ("specific_catalog", database()),
                    ("specific_schema", text(function.schema)),
                    (
                        "specific_name",
                        text(format!("{}_{}", function.name, function_oid(function))),
                    ),
                    ("routine_catalog", database()),
                    ("routine_schema", text(function.schema)),
                    ("routine_name", text(function.name)),
                    ("routine_type", text("FUNCTION")),
                    ("data_type", text(display(function.returns.ty()))),
                ])?;
            }
        }
        _ => table_rows(out, key, facts, session, wanted)?,
    }
    Ok(())
}

/// Tables and indexes, or those of the table that a column names.
fn classes_of_table<'a>(
    facts: &'a Facts,
    wanted: &Wanted,
    columns: &[(&str, Type)],
    name: &str,
) -> Vec<&'a Class> {
    let Some(names) = wanted.of(columns, name) else { return facts.classes().iter().collect() };
    let table = |value: &Value| match value {
        Value::Text(name) => facts.by_name(name),
        _ => None,
    };
    let with_indexes = |class: &'a Class| facts.indexes_of(class.oid).chain([class]);
    names.iter().filter_map(table).flat_map(with_indexes).collect()
}

fn table_rows(
    out: &mut Writer<'_>,
    key: &str,
    facts: &Facts,
    session: &dyn Session,
    wanted: &Wanted,
) -> Result<(), PgError> {
    let database = || text(session.database());
    let classes = classes_of_table(facts, wanted, out.columns, "table_name");
    for class in classes.into_iter().filter(|class| class.kind == 'r') {
        if key == "tables" {
            out.row([
                ("table_catalog", database()),
                ("table_schema", text("pgmq")),
                ("table_name", text(&class.name)),
                ("table_type", text("BASE TABLE")),
                ("is_insertable_into", text("NO")),
                ("is_typed", text("NO")),
            ])?;
            continue;
        }
        for (i, column) in class.columns.iter().enumerate() {
            let bits = match column.ty {
                Type::Int2 => Some(16),
                Type::Int4 => Some(32),
                Type::Int8 => Some(64),
                _ => None,
            };
            let instant = if column.ty == Type::Timestamptz { int(6) } else { Value::Null };
            let identity = class.name.starts_with("q_") && column.name == "msg_id";
            out.row([
                ("table_catalog", database()),
                ("table_schema", text("pgmq")),
                ("table_name", text(&class.name)),
                ("column_name", text(&column.name)),
                ("ordinal_position", size(i + 1)),
                (
                    "is_nullable",
                    text(
                        if matches!(column.name.as_str(), "message" | "headers" | "last_read_at") {
                            "YES"
                        } else {
                            "NO"
                        },
                    ),
                ),
                ("data_type", text(display(column.ty))),
                ("numeric_precision", bits.map_or(Value::Null, int)),
                ("numeric_precision_radix", bits.map_or(Value::Null, |_| int(2))),
                ("numeric_scale", bits.map_or(Value::Null, |_| int(0))),
                ("datetime_precision", instant),
                ("is_identity", text(if identity { "YES" } else { "NO" })),
                ("is_generated", text("NEVER")),
                ("udt_catalog", database()),
                ("udt_schema", text("pg_catalog")),
                ("udt_name", text(catalog_name(column.ty))),
                ("is_updatable", text("NO")),
            ])?;
        }
    }
    Ok(())
}
