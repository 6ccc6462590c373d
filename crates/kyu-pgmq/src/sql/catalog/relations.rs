//! Columns and rows of the catalogue's relations.

use std::sync::OnceLock;

use super::super::Session;
use super::super::builtins::VERSION;
use super::super::choose::category;
use super::super::functions::{FUNCTIONS, Returns};
use super::super::names::{array_of, catalog_name, display};
use super::{
    ARRAY_IN, BTREE, Class, Facts, HEAP, INFORMATION_SCHEMA, OWNER, PG_CATALOG, PGMQ_PUBLIC,
    PUBLIC, definition, function_oid,
};
use crate::types::{Element, Type};
use crate::value::{Column, Row, Value};
use crate::wire::oid;

/// Schema, name, and `column:type` in order. Types: o oid, n name, b bool, c "char", s int2, i int4, l int8, f float8,
/// t text, T text[], O oid[], S int2[], v oidvector, V int2vector, z timestamptz, r regproc, w varchar.
const RELATIONS: &[(&str, &str, &str)] = &[
    ("pg_catalog", "pg_namespace", "oid:o nspname:n nspowner:o nspacl:T"),
    (
        "pg_catalog",
        "pg_class",
        "oid:o relname:n relnamespace:o reltype:o reloftype:o relowner:o relam:o relfilenode:o reltablespace:o relpages:i reltuples:f relallvisible:i reltoastrelid:o relhasindex:b relisshared:b relpersistence:c relkind:c relnatts:s relchecks:s relhasrules:b relhastriggers:b relhassubclass:b relrowsecurity:b relforcerowsecurity:b relispopulated:b relreplident:c relispartition:b relrewrite:o relfrozenxid:t relminmxid:t relacl:T reloptions:T relpartbound:t",
    ),
    (
        "pg_catalog",
        "pg_type",
        "oid:o typname:n typnamespace:o typowner:o typlen:s typbyval:b typtype:c typcategory:c typispreferred:b typisdefined:b typdelim:c typrelid:o typsubscript:r typelem:o typarray:o typinput:r typoutput:r typreceive:r typsend:r typmodin:r typmodout:r typanalyze:r typalign:c typstorage:c typnotnull:b typbasetype:o typtypmod:i typndims:i typcollation:o typdefaultbin:t typdefault:t typacl:T",
    ),
    (
        "pg_catalog",
        "pg_attribute",
        "attrelid:o attname:n atttypid:o attstattarget:i attlen:s attnum:s attndims:i attcacheoff:i atttypmod:i attbyval:b attalign:c attstorage:c attcompression:c attnotnull:b atthasdef:b atthasmissing:b attidentity:c attgenerated:c attisdropped:b attislocal:b attinhcount:i attcollation:o attacl:T attoptions:T attfdwoptions:T attmissingval:T",
    ),
    (
        "pg_catalog",
        "pg_proc",
        "oid:o proname:n pronamespace:o proowner:o prolang:o procost:f prorows:f provariadic:o prosupport:r prokind:c prosecdef:b proleakproof:b proisstrict:b proretset:b provolatile:c proparallel:c pronargs:s pronargdefaults:s prorettype:o proargtypes:v proallargtypes:O proargmodes:T proargnames:T proargdefaults:t protrftypes:O prosrc:t probin:t prosqlbody:t proconfig:T proacl:T",
    ),
    (
        "pg_catalog",
        "pg_extension",
        "oid:o extname:n extowner:o extnamespace:o extrelocatable:b extversion:t extconfig:O extcondition:T",
    ),
    (
        "pg_catalog",
        "pg_available_extensions",
        "name:n default_version:t installed_version:t comment:t",
    ),
    (
        "pg_catalog",
        "pg_index",
        "indexrelid:o indrelid:o indnatts:s indnkeyatts:s indisunique:b indnullsnotdistinct:b indisprimary:b indisexclusion:b indimmediate:b indisclustered:b indisvalid:b indcheckxmin:b indisready:b indislive:b indisreplident:b indkey:V indcollation:v indclass:v indoption:V indexprs:t indpred:t",
    ),
    (
        "pg_catalog",
        "pg_database",
        "oid:o datname:n datdba:o encoding:i datlocprovider:c datistemplate:b datallowconn:b datconnlimit:i datfrozenxid:t datminmxid:t dattablespace:o datcollate:t datctype:t daticulocale:t datcollversion:t datacl:T",
    ),
    (
        "pg_catalog",
        "pg_roles",
        "rolname:n rolsuper:b rolinherit:b rolcreaterole:b rolcreatedb:b rolcanlogin:b rolreplication:b rolconnlimit:i rolpassword:t rolvaliduntil:z rolbypassrls:b rolconfig:T oid:o",
    ),
    (
        "pg_catalog",
        "pg_user",
        "usename:n usesysid:o usecreatedb:b usesuper:b userepl:b usebypassrls:b passwd:t valuntil:z useconfig:T",
    ),
    (
        "pg_catalog",
        "pg_settings",
        "name:t setting:t unit:t category:t short_desc:t extra_desc:t context:t vartype:t source:t min_val:t max_val:t enumvals:T boot_val:t reset_val:t sourcefile:t sourceline:i pending_restart:b",
    ),
    (
        "pg_catalog",
        "pg_tables",
        "schemaname:n tablename:n tableowner:n tablespace:n hasindexes:b hasrules:b hastriggers:b rowsecurity:b",
    ),
    ("pg_catalog", "pg_indexes", "schemaname:n tablename:n indexname:n tablespace:n indexdef:t"),
    ("pg_catalog", "pg_am", "oid:o amname:n amhandler:r amtype:c"),
    (
        "pg_catalog",
        "pg_language",
        "oid:o lanname:n lanowner:o lanispl:b lanpltrusted:b lanplcallfoid:o laninline:o lanvalidator:o lanacl:T",
    ),
    // Empty ones, which catalogue queries join.
    (
        "pg_catalog",
        "pg_range",
        "rngtypid:o rngsubtype:o rngmultitypid:o rngcollation:o rngsubopc:o rngcanonical:r rngsubdiff:r",
    ),
    ("pg_catalog", "pg_enum", "oid:o enumtypid:o enumsortorder:f enumlabel:n"),
    ("pg_catalog", "pg_description", "objoid:o classoid:o objsubid:i description:t"),
    ("pg_catalog", "pg_shdescription", "objoid:o classoid:o description:t"),
    ("pg_catalog", "pg_attrdef", "oid:o adrelid:o adnum:s adbin:t"),
    (
        "pg_catalog",
        "pg_constraint",
        "oid:o conname:n connamespace:o contype:c condeferrable:b condeferred:b convalidated:b conrelid:o contypid:o conindid:o conparentid:o confrelid:o confupdtype:c confdeltype:c confmatchtype:c conislocal:b coninhcount:i connoinherit:b conkey:S confkey:S conpfeqop:O conppeqop:O conffeqop:O confdelsetcols:S conexclop:O conbin:t",
    ),
    ("pg_catalog", "pg_inherits", "inhrelid:o inhparent:o inhseqno:i inhdetachpending:b"),
    (
        "pg_catalog",
        "pg_collation",
        "oid:o collname:n collnamespace:o collowner:o collprovider:c collisdeterministic:b collencoding:i collcollate:t collctype:t colliculocale:t collversion:t",
    ),
    (
        "pg_catalog",
        "pg_policy",
        "oid:o polname:n polrelid:o polcmd:c polpermissive:b polroles:O polqual:t polwithcheck:t",
    ),
    (
        "pg_catalog",
        "pg_trigger",
        "oid:o tgrelid:o tgparentid:o tgname:n tgfoid:o tgtype:s tgenabled:c tgisinternal:b tgconstrrelid:o tgconstrindid:o tgconstraint:o tgdeferrable:b tginitdeferred:b tgnargs:s tgattr:S tgargs:t tgqual:t tgoldtable:n tgnewtable:n",
    ),
    (
        "pg_catalog",
        "pg_rewrite",
        "oid:o rulename:n ev_class:o ev_type:c ev_enabled:c is_instead:b ev_qual:t ev_action:t",
    ),
    (
        "pg_catalog",
        "pg_statistic_ext",
        "oid:o stxrelid:o stxname:n stxnamespace:o stxowner:o stxstattarget:i stxkeys:S stxkind:T stxexprs:t",
    ),
    (
        "pg_catalog",
        "pg_publication",
        "oid:o pubname:n pubowner:o puballtables:b pubinsert:b pubupdate:b pubdelete:b pubtruncate:b pubviaroot:b",
    ),
    ("pg_catalog", "pg_publication_rel", "oid:o prpubid:o prrelid:o prqual:t prattrs:S"),
    ("pg_catalog", "pg_publication_namespace", "oid:o pnpubid:o pnnspid:o"),
    ("pg_catalog", "pg_foreign_table", "ftrelid:o ftserver:o ftoptions:T"),
    (
        "pg_catalog",
        "pg_foreign_server",
        "oid:o srvname:n srvowner:o srvfdw:o srvtype:t srvversion:t srvacl:T srvoptions:T",
    ),
    ("pg_catalog", "pg_tablespace", "oid:o spcname:n spcowner:o spcacl:T spcoptions:T"),
    ("pg_catalog", "pg_auth_members", "roleid:o member:o grantor:o admin_option:b"),
    (
        "pg_catalog",
        "pg_depend",
        "classid:o objid:o objsubid:i refclassid:o refobjid:o refobjsubid:i deptype:c",
    ),
    (
        "pg_catalog",
        "pg_cast",
        "oid:o castsource:o casttarget:o castfunc:o castcontext:c castmethod:c",
    ),
    (
        "pg_catalog",
        "pg_operator",
        "oid:o oprname:n oprnamespace:o oprowner:o oprkind:c oprcanmerge:b oprcanhash:b oprleft:o oprright:o oprresult:o oprcom:o oprnegate:o oprcode:r oprrest:r oprjoin:r",
    ),
    ("pg_catalog", "pg_ts_config", "oid:o cfgname:n cfgnamespace:o cfgowner:o cfgparser:o"),
    ("pg_catalog", "pg_aggregate", "aggfnoid:r aggkind:c aggnumdirectargs:s"),
    (
        "pg_catalog",
        "pg_event_trigger",
        "oid:o evtname:n evtevent:n evtowner:o evtfoid:o evtenabled:c evttags:T",
    ),
    ("pg_catalog", "pg_views", "schemaname:n viewname:n viewowner:n definition:t"),
    (
        "pg_catalog",
        "pg_matviews",
        "schemaname:n matviewname:n matviewowner:n tablespace:n hasindexes:b ispopulated:b definition:t",
    ),
    (
        "pg_catalog",
        "pg_sequences",
        "schemaname:n sequencename:n sequenceowner:n data_type:o start_value:l last_value:l",
    ),
    (
        "pg_catalog",
        "pg_sequence",
        "seqrelid:o seqtypid:o seqstart:l seqincrement:l seqmax:l seqmin:l seqcache:l seqcycle:b",
    ),
    ("pg_catalog", "pg_partitioned_table", "partrelid:o partstrat:c partnatts:s partdefid:o"),
    (
        "pg_catalog",
        "pg_stat_activity",
        "datid:o datname:n pid:i usesysid:o usename:n application_name:t client_addr:t state:t query:t",
    ),
    ("pg_catalog", "pg_locks", "locktype:t database:o relation:o pid:i mode:t granted:b"),
    ("pg_catalog", "pg_prepared_statements", "name:t statement:t prepare_time:z"),
    ("pg_catalog", "pg_timezone_names", "name:t abbrev:t utc_offset:t is_dst:b"),
    ("information_schema", "schemata", "catalog_name:n schema_name:n schema_owner:n"),
    (
        "information_schema",
        "tables",
        "table_catalog:n table_schema:n table_name:n table_type:w self_referencing_column_name:n reference_generation:w user_defined_type_catalog:n user_defined_type_schema:n user_defined_type_name:n is_insertable_into:w is_typed:w commit_action:w",
    ),
    (
        "information_schema",
        "columns",
        "table_catalog:n table_schema:n table_name:n column_name:n ordinal_position:i column_default:w is_nullable:w data_type:w character_maximum_length:i character_octet_length:i numeric_precision:i numeric_precision_radix:i numeric_scale:i datetime_precision:i udt_catalog:n udt_schema:n udt_name:n is_identity:w is_generated:w is_updatable:w",
    ),
    (
        "information_schema",
        "routines",
        "specific_catalog:n specific_schema:n specific_name:n routine_catalog:n routine_schema:n routine_name:n routine_type:w data_type:w",
    ),
    (
        "information_schema",
        "views",
        "table_catalog:n table_schema:n table_name:n view_definition:w",
    ),
    (
        "information_schema",
        "table_constraints",
        "constraint_catalog:n constraint_schema:n constraint_name:n table_catalog:n table_schema:n table_name:n constraint_type:w",
    ),
    (
        "information_schema",
        "key_column_usage",
        "constraint_catalog:n constraint_schema:n constraint_name:n table_catalog:n table_schema:n table_name:n column_name:n ordinal_position:i",
    ),
];

struct Table {
    schema: &'static str,
    name: &'static str,
    columns: Vec<(&'static str, Type)>,
}

fn tables() -> &'static [Table] {
    static TABLES: OnceLock<Vec<Table>> = OnceLock::new();
    TABLES.get_or_init(|| {
        RELATIONS
            .iter()
            .map(|(schema, name, columns)| {
                let columns = columns
                    .split(' ')
                    .filter_map(|column| column.split_once(':'))
                    .map(|(name, ty)| (name, type_of(ty)));
                Table { schema, name, columns: columns.collect() }
            })
            .collect()
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
        "T" => Type::Array(Element::Text),
        "O" => Type::Array(Element::Oid),
        "S" => Type::Array(Element::Int2),
        "v" => Type::Array(Element::OidVector),
        "V" => Type::Array(Element::Int2Vector),
        "z" => Type::Timestamptz,
        "r" => Type::Regproc,
        "w" => Type::Varchar,
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

/// Writes rows of a relation: what is not given is zero, false or NULL.
struct Writer {
    columns: &'static [(&'static str, Type)],
    rows: Vec<Row>,
}

impl Writer {
    fn row<const N: usize>(&mut self, given: [(&str, Value); N]) {
        let mut row: Row = self.columns.iter().map(|(_, ty)| default(*ty)).collect();
        for (name, value) in given {
            if let Some(place) = self
                .columns
                .iter()
                .position(|(have, _)| *have == name)
                .and_then(|at| row.get_mut(at))
            {
                *place = value;
            }
        }
        self.rows.push(row);
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

/// Rows of a relation, by its name.
pub(crate) fn rows(key: &str, facts: &Facts, session: &dyn Session) -> Vec<Row> {
    let Some(table) = tables().iter().find(|table| table.name == key) else { return Vec::new() };
    let mut writer = Writer { columns: &table.columns, rows: Vec::new() };
    let out = &mut writer;
    match key {
        "pg_namespace" => {
            for (oid, name) in schemas() {
                out.row([("oid", int(oid)), ("nspname", text(name)), ("nspowner", int(OWNER))]);
            }
        }
        "pg_class" => facts.classes().iter().for_each(|class| class_row(out, class)),
        "pg_type" => type_rows(out, facts),
        "pg_attribute" => attribute_rows(out, facts),
        "pg_proc" => proc_rows(out),
        "pg_index" => index_rows(out, facts),
        "pg_extension" | "pg_available_extensions" | "pg_am" | "pg_language" => {
            object_rows(out, key)
        }
        "pg_database" | "pg_roles" | "pg_user" | "pg_settings" => session_rows(out, key, session),
        "pg_tables" | "pg_indexes" => view_rows(out, key, facts, session),
        "schemata" | "tables" | "columns" | "routines" => standard_rows(out, key, facts, session),
        _ => {}
    }
    writer.rows
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

fn class_row(out: &mut Writer, class: &Class) {
    let composite = crate::types::Type::Composite;
    let types = [
        crate::types::Composite::MessageRecord,
        crate::types::Composite::QueueRecord,
        crate::types::Composite::MetricsResult,
    ];
    let ty = types
        .into_iter()
        .find(|c| oid::of_composite_class(*c) == class.oid)
        .map_or(0, |c| oid::of_type(composite(c)));
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
    ]);
}

fn type_rows(out: &mut Writer, _facts: &Facts) {
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
        out.row([
            ("oid", int(oid::of_type(ty))),
            ("typname", text(catalog_name(ty))),
            ("typnamespace", int(if ours { oid::PGMQ_SCHEMA } else { PG_CATALOG })),
            ("typowner", int(OWNER)),
            ("typlen", int(length)),
            ("typbyval", Value::Bool((1..=8).contains(&length))),
            ("typtype", text(kind)),
            ("typcategory", text(category(ty))),
            ("typisdefined", YES),
            ("typdelim", text(",")),
            ("typrelid", int(class)),
            ("typelem", int(element)),
            ("typinput", int(input_function(ty))),
            ("typarray", int(array)),
            ("typalign", text("i")),
            ("typstorage", text(if length == -1 { "x" } else { "p" })),
            ("typtypmod", int(-1)),
        ]);
    }
}

/// Drivers tell arrays by their input function.
fn input_function(ty: Type) -> u32 {
    match ty {
        Type::Array(Element::OidVector) => 54,
        Type::Array(Element::Int2Vector) => 40,
        Type::Array(_) => ARRAY_IN,
        _ => 0,
    }
}

fn attribute_rows(out: &mut Writer, facts: &Facts) {
    for class in facts.classes() {
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
            ]);
        }
    }
}

fn proc_rows(out: &mut Writer) {
    for function in FUNCTIONS {
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
        ]);
    }
}

fn index_rows(out: &mut Writer, facts: &Facts) {
    for class in facts.classes() {
        let Some((table, _, column, primary)) = class.index else { continue };
        out.row([
            ("indexrelid", int(class.oid)),
            ("indrelid", int(table)),
            ("indnatts", int(1)),
            ("indnkeyatts", int(1)),
            ("indisunique", Value::Bool(primary)),
            ("indisprimary", Value::Bool(primary)),
            ("indimmediate", YES),
            ("indisvalid", YES),
            ("indisready", YES),
            ("indislive", YES),
            ("indkey", Value::Array(Element::Int2Vector, vec![size(column)])),
            ("indoption", Value::Array(Element::Int2Vector, vec![int(0)])),
        ]);
    }
}

/// The version of the API that is offered.
const PGMQ_VERSION: &str = "1.13.0";

fn object_rows(out: &mut Writer, key: &str) {
    match key {
        "pg_extension" => out.row([
            ("oid", int(oid::PGMQ_EXTENSION)),
            ("extname", text("pgmq")),
            ("extowner", int(OWNER)),
            ("extnamespace", int(oid::PGMQ_SCHEMA)),
            ("extversion", text(PGMQ_VERSION)),
        ]),
        "pg_available_extensions" => out.row([
            ("name", text("pgmq")),
            ("default_version", text(PGMQ_VERSION)),
            ("installed_version", text(PGMQ_VERSION)),
            (
                "comment",
                text("A lightweight message queue. Like AWS SQS and RSMQ but on Postgres."),
            ),
        ]),
        "pg_am" => {
            out.row([("oid", int(HEAP)), ("amname", text("heap")), ("amtype", text("t"))]);
            out.row([("oid", int(BTREE)), ("amname", text("btree")), ("amtype", text("i"))]);
        }
        _ => out.row([
            ("oid", int(14)),
            ("lanname", text("sql")),
            ("lanowner", int(OWNER)),
            ("lanpltrusted", YES),
        ]),
    }
}

fn session_rows(out: &mut Writer, key: &str, session: &dyn Session) {
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
        ]),
        "pg_roles" => out.row([
            ("rolname", text(session.user())),
            ("rolsuper", YES),
            ("rolinherit", YES),
            ("rolcreaterole", YES),
            ("rolcreatedb", YES),
            ("rolcanlogin", YES),
            ("rolconnlimit", int(-1)),
            ("oid", int(OWNER)),
        ]),
        "pg_user" => out.row([
            ("usename", text(session.user())),
            ("usesysid", int(OWNER)),
            ("usecreatedb", YES),
            ("usesuper", YES),
        ]),
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
                ]);
            }
            out.row([
                ("name", text("server_version_comment")),
                ("setting", text(VERSION)),
                ("context", text("internal")),
            ]);
        }
    }
}

fn view_rows(out: &mut Writer, key: &str, facts: &Facts, session: &dyn Session) {
    for class in facts.classes() {
        match (key, class.kind) {
            ("pg_tables", 'r') => out.row([
                ("schemaname", text("pgmq")),
                ("tablename", text(class.name)),
                ("tableowner", text(session.user())),
                ("hasindexes", YES),
            ]),
            ("pg_indexes", 'i') => {
                let definition = definition(&class).unwrap_or_default();
                let table = class.index.map(|(_, table, ..)| table).unwrap_or_default();
                out.row([
                    ("schemaname", text("pgmq")),
                    ("tablename", text(table)),
                    ("indexname", text(class.name)),
                    ("indexdef", text(definition)),
                ]);
            }
            _ => {}
        }
    }
}

fn standard_rows(out: &mut Writer, key: &str, facts: &Facts, session: &dyn Session) {
    let database = || text(session.database());
    match key {
        "schemata" => {
            for (_, name) in schemas() {
                out.row([
                    ("catalog_name", database()),
                    ("schema_name", text(name)),
                    ("schema_owner", text(session.user())),
                ]);
            }
        }
        "routines" => {
            for function in FUNCTIONS {
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
                ]);
            }
        }
        _ => table_rows(out, key, facts, session),
    }
}

fn table_rows(out: &mut Writer, key: &str, facts: &Facts, session: &dyn Session) {
    let database = || text(session.database());
    for class in facts.classes().into_iter().filter(|class| class.kind == 'r') {
        if key == "tables" {
            out.row([
                ("table_catalog", database()),
                ("table_schema", text("pgmq")),
                ("table_name", text(&class.name)),
                ("table_type", text("BASE TABLE")),
                ("is_insertable_into", text("NO")),
                ("is_typed", text("NO")),
            ]);
            continue;
        }
        for (i, column) in class.columns.iter().enumerate() {
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
                ("udt_catalog", database()),
                ("udt_schema", text("pg_catalog")),
                ("udt_name", text(catalog_name(column.ty))),
                ("is_updatable", text("NO")),
            ]);
        }
    }
}
