//! What the session and the catalogue know.

use std::hash::{BuildHasher, Hasher};

use md5::{Digest, Md5};

use super::super::eval::Context;
use super::super::{catalog, names};
use super::{ANY, Accepts, Gives, Table, int, optional, string, text};
use crate::error::PgError;
use crate::types::{Element, Type};
use crate::value::Value;
use crate::wire::oid;

/// What `version()` says. Clients read the number after `PostgreSQL`; the rest is honest.
pub(crate) const VERSION: &str =
    "PostgreSQL 15.0 (Kyu: the pgmq SQL API over the Postgres protocol)";

const TEXT: Accepts = Accepts::Type(Type::Text);

pub(super) fn register(table: &mut Table) {
    session(table);
    locks(table);
    catalogue(table);
    descriptions(table);
    table.special("pg_typeof", &[ANY], Gives::Type(Type::Regtype), (false, false), |_, _, t| {
        Ok(Value::Int(i64::from(t.first().map_or(0, |ty| oid::of_type(*ty)))))
    });
    table.add("md5", &[Type::Text], Type::Text, |_, v, _| {
        let digest = Md5::digest(text(v, 0).as_bytes());
        Ok(string(digest.iter().map(|byte| format!("{byte:02x}")).collect::<String>()))
    });
    table.add("hashtext", &[Type::Text], Type::Int4, |_, v, _| {
        // Not Postgres' number; only the same text must give the same one.
        let hash = text(v, 0)
            .bytes()
            .fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
        Ok(Value::Int(i64::from(hash.cast_signed())))
    });
    #[expect(clippy::cast_precision_loss, reason = "53 bits are enough")]
    table.add("random", &[], Type::Float8, |_, _, _| {
        Ok(Value::Float((random() >> 11) as f64 / (1_u64 << 53) as f64))
    });
    table.add("gen_random_uuid", &[], Type::Uuid, |_, _, _| {
        let bits = (u128::from(random()) << 64) | u128::from(random());
        let bits = (bits & !(0xf << 76) & !(0x3 << 62)) | (0x4 << 76) | (0x2 << 62);
        super::super::text::input(Type::Uuid, &format!("{bits:032x}"))
    });
}

/// Random bits: the standard library keys its hashers from the system's randomness.
fn random() -> u64 {
    std::collections::hash_map::RandomState::new().build_hasher().finish()
}

fn session(table: &mut Table) {
    table.add("version", &[], Type::Text, |_, _, _| Ok(string(VERSION)));
    table.add("current_schema", &[], Type::Name, |cx, _, _| {
        Ok(optional(search_path(cx).into_iter().next()))
    });
    table.add("current_schemas", &[Type::Bool], Type::Array(Element::Name), |cx, v, _| {
        let mut names = search_path(cx);
        if v.first() == Some(&Value::Bool(true)) && !names.iter().any(|n| n == "pg_catalog") {
            names.insert(0, "pg_catalog".to_owned());
        }
        Ok(Value::Array(Element::Name, names.into_iter().map(Value::Text).collect()))
    });
    table.special(
        "pg_notify",
        &[TEXT, TEXT],
        Gives::Type(Type::Void),
        (false, false),
        |cx, v, _| {
            cx.session.notify(text(v, 0), text(v, 1))?;
            Ok(Value::Void)
        },
    );
    for name in ["current_database", "current_catalog"] {
        table.add(name, &[], Type::Name, |cx, _, _| Ok(string(cx.session.database())));
    }
    for name in ["current_user", "session_user", "user", "current_role"] {
        table.add(name, &[], Type::Name, |cx, _, _| Ok(string(cx.session.user())));
    }
    table.add("pg_backend_pid", &[], Type::Int4, |cx, _, _| {
        Ok(Value::Int(i64::from(cx.session.backend_pid())))
    });
    table.add("current_setting", &[Type::Text], Type::Text, |cx, v, _| {
        cx.session
            .setting(&text(v, 0).to_ascii_lowercase())
            .map(string)
            .ok_or_else(|| unknown_setting(text(v, 0)))
    });
    table.add("current_setting", &[Type::Text, Type::Bool], Type::Text, |cx, v, _| {
        let found = cx.session.setting(&text(v, 0).to_ascii_lowercase());
        if found.is_none() && v.get(1) != Some(&Value::Bool(true)) {
            return Err(unknown_setting(text(v, 0)));
        }
        Ok(optional(found))
    });
    table.add("set_config", &[Type::Text, Type::Text, Type::Bool], Type::Text, |cx, v, _| {
        let name = text(v, 0).to_ascii_lowercase();
        cx.session.set(&name, text(v, 1), v.get(2) == Some(&Value::Bool(true)))?;
        Ok(optional(cx.session.setting(&name)))
    });
    for name in ["txid_current", "pg_current_xact_id"] {
        table.add(name, &[], Type::Int8, |cx, _, _| Ok(Value::Int(cx.now / 1_000)));
    }
    table.add("pg_is_in_recovery", &[], Type::Bool, |_, _, _| Ok(Value::Bool(false)));
    table.add("pg_client_encoding", &[], Type::Name, |_, _, _| Ok(string("UTF8")));
    table.add("getdatabaseencoding", &[], Type::Name, |_, _, _| Ok(string("UTF8")));
    table.add("pg_encoding_to_char", &[Type::Int4], Type::Name, |_, v, _| {
        Ok(string(if int(v, 0) == 6 { "UTF8" } else { "" }))
    });
    for name in ["inet_server_addr", "inet_client_addr"] {
        table.add(name, &[], Type::Text, |_, _, _| Ok(Value::Null));
    }
}

/// The schemas of `search_path` that exist. Names of `pgmq` are found without it all the same.
fn search_path(cx: &Context<'_>) -> Vec<String> {
    let path = cx.session.setting("search_path").unwrap_or_default();
    let names = path.split(',').map(|name| name.trim().trim_matches(['"', '\'']).to_owned());
    names.filter(|name| catalog::schemas().iter().any(|(_, have)| have == name)).collect()
}

fn unknown_setting(name: &str) -> PgError {
    PgError::new("42704", format!("unrecognized configuration parameter \"{name}\""))
}

/// Advisory locks: clients take them around their own migrations. There is nothing here that they protect
/// (creating a queue twice is harmless), so they are always free.
fn locks(table: &mut Table) {
    let keys: [&[Type]; 2] = [&[Type::Int8], &[Type::Int4, Type::Int4]];
    for arguments in keys {
        for name in [
            "pg_advisory_lock",
            "pg_advisory_xact_lock",
            "pg_advisory_lock_shared",
            "pg_advisory_xact_lock_shared",
        ] {
            table.add(name, arguments, Type::Void, |_, _, _| Ok(Value::Void));
        }
        for name in [
            "pg_try_advisory_lock",
            "pg_try_advisory_xact_lock",
            "pg_advisory_unlock",
            "pg_advisory_unlock_shared",
        ] {
            table.add(name, arguments, Type::Bool, |_, _, _| Ok(Value::Bool(true)));
        }
    }
    table.add("pg_advisory_unlock_all", &[], Type::Void, |_, _, _| Ok(Value::Void));
}

fn catalogue(table: &mut Table) {
    for name in ["to_regclass", "to_regtype"] {
        let ty = if name == "to_regclass" { Type::Regclass } else { Type::Regtype };
        table.add(
            name,
            &[Type::Text],
            ty,
            if name == "to_regclass" {
                |cx, v, _| {
                    Ok(cx
                        .facts
                        .class_by_text(text(v, 0))
                        .map_or(Value::Null, |oid| Value::Int(i64::from(oid))))
                }
            } else {
                |_, v, _| {
                    Ok(catalog::type_by_text(text(v, 0))
                        .map_or(Value::Null, |oid| Value::Int(i64::from(oid))))
                }
            },
        );
    }
    let format_type = |_: &mut Context<'_>, v: &[Value], _: &[Type]| {
        let found = u32::try_from(int(v, 0)).ok().and_then(oid::to_type);
        let name = found.map_or("???", names::display);
        Ok(if v.first() == Some(&Value::Null) { Value::Null } else { string(name) })
    };
    table.special(
        "format_type",
        &[Accepts::Type(Type::Oid), Accepts::Type(Type::Int4)],
        Gives::Type(Type::Text),
        (false, false),
        format_type,
    );
    for name in [
        "pg_table_is_visible",
        "pg_type_is_visible",
        "pg_function_is_visible",
        "pg_operator_is_visible",
        "pg_ts_config_is_visible",
    ] {
        // Ids of the extension begin at 16,384.
        table.add(name, &[Type::Oid], Type::Bool, |cx, v, _| {
            let listed = || search_path(cx).iter().any(|name| name == "pgmq");
            Ok(Value::Bool(int(v, 0) < 16_384 || listed()))
        });
    }
    table
        .add("pg_get_userbyid", &[Type::Oid], Type::Name, |cx, _, _| Ok(string(cx.session.user())));
    privileges(table);
}

/// Everybody may do everything; sizes are not known by relation.
fn privileges(table: &mut Table) {
    for name in [
        "has_table_privilege",
        "has_schema_privilege",
        "has_function_privilege",
        "has_database_privilege",
        "has_any_column_privilege",
    ] {
        table.special(name, &[ANY, ANY], Gives::Type(Type::Bool), (true, false), |_, _, _| {
            Ok(Value::Bool(true))
        });
        table.special(name, &[ANY, ANY, ANY], Gives::Type(Type::Bool), (true, false), |_, _, _| {
            Ok(Value::Bool(true))
        });
    }
    table.add("pg_get_indexdef", &[Type::Oid], Type::Text, |cx, v, _| {
        Ok(optional(cx.facts.index_definition(int(v, 0))))
    });
    table.add("pg_get_indexdef", &[Type::Oid, Type::Int4, Type::Bool], Type::Text, |cx, v, _| {
        Ok(optional(match int(v, 1) {
            0 => cx.facts.index_definition(int(v, 0)),
            number => cx.facts.index_column(int(v, 0), number),
        }))
    });
    table.add("pg_get_function_result", &[Type::Oid], Type::Text, |_, v, _| {
        Ok(optional(catalog::function_result(int(v, 0))))
    });
    for name in ["pg_get_function_arguments", "pg_get_function_identity_arguments"] {
        table.add(name, &[Type::Oid], Type::Text, |_, v, _| {
            Ok(optional(catalog::function_arguments(int(v, 0))))
        });
    }
    for name in [
        "pg_relation_size",
        "pg_total_relation_size",
        "pg_table_size",
        "pg_indexes_size",
        "pg_database_size",
    ] {
        table.special(name, &[ANY], Gives::Type(Type::Int8), (true, false), |_, _, _| {
            Ok(Value::Int(0))
        });
    }
    table.add("pg_size_pretty", &[Type::Int8], Type::Text, |_, v, _| {
        Ok(string(format!("{} bytes", int(v, 0))))
    });
    table.add("pg_my_temp_schema", &[], Type::Oid, |_, _, _| Ok(Value::Int(0)));
    table
        .add("pg_is_other_temp_schema", &[Type::Oid], Type::Bool, |_, _, _| Ok(Value::Bool(false)));
}

/// Objects have no descriptions, defaults, constraints or rules.
fn descriptions(table: &mut Table) {
    let oid = Type::Oid;
    let none: [(&'static str, &[Type]); 15] = [
        ("pg_tablespace_location", &[oid]),
        ("obj_description", &[oid, Type::Name]),
        ("obj_description", &[oid]),
        ("shobj_description", &[oid, Type::Name]),
        ("col_description", &[oid, Type::Int4]),
        ("pg_get_expr", &[Type::Text, oid]),
        ("pg_get_expr", &[Type::Text, oid, Type::Bool]),
        ("pg_get_constraintdef", &[oid]),
        ("pg_get_constraintdef", &[oid, Type::Bool]),
        ("pg_get_viewdef", &[oid]),
        ("pg_get_viewdef", &[oid, Type::Bool]),
        ("pg_get_functiondef", &[oid]),
        ("pg_get_triggerdef", &[oid, Type::Bool]),
        ("pg_get_serial_sequence", &[Type::Text, Type::Text]),
        ("pg_get_partkeydef", &[oid]),
    ];
    for (name, arguments) in none {
        table.add(name, arguments, Type::Text, |_, _, _| Ok(Value::Null));
    }
    table.add("pg_get_statisticsobjdef_columns", &[oid], Type::Text, |_, _, _| Ok(Value::Null));
    table.add("pg_relation_is_publishable", &[oid], Type::Bool, |_, _, _| Ok(Value::Bool(false)));
}
