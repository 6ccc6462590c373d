//! Functions about the session and the catalogue.

use std::hash::{BuildHasher, Hasher};

use md5::{Digest, Md5};

use super::{ANY, Accepts, BuiltinTable, Gives, int, optional, string, text};
use crate::catalog;
use crate::error::PgError;
use crate::run::eval::Context;
use crate::types::names;
use crate::types::oid;
use crate::types::value::Value;
use crate::types::{Element, Type};

/// The text of `version()`. Clients read the number after `PostgreSQL`; the rest is honest.
pub(crate) const VERSION: &str =
    "PostgreSQL 15.0 (Kyu: the pgmq SQL API over the Postgres protocol)";

const TEXT: Accepts = Accepts::Type(Type::Text);

pub(super) fn register(table: &mut BuiltinTable) {
    session(table);
    locks(table);
    catalogue(table);
    descriptions(table);
    statistics(table);
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
        crate::types::text::input(Type::Uuid, &format!("{bits:032x}"))
    });
}

/// Random bits: the standard library keys its hashers from the system's randomness.
fn random() -> u64 {
    std::collections::hash_map::RandomState::new().build_hasher().finish()
}

fn session(table: &mut BuiltinTable) {
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
    connection(table);
}

/// This connection, and others.
fn connection(table: &mut BuiltinTable) {
    table.add("inet_client_port", &[], Type::Int4, |_, _, _| Ok(Value::Null));
    table.add("inet_server_port", &[], Type::Int4, |cx, _, _| {
        let port = cx.session.setting("port").and_then(|port| port.parse().ok());
        Ok(port.map_or(Value::Null, Value::Int))
    });
    table.add("lastval", &[], Type::Int8, |cx, _, _| {
        let missing = || PgError::new("55000", "lastval is not yet defined in this session");
        cx.session.last_given().map(Value::Int).ok_or_else(missing)
    });
    for name in ["pg_cancel_backend", "pg_terminate_backend"] {
        table.add(name, &[Type::Int4], Type::Bool, |cx, v, _| {
            // Sessions are ended by CancelRequest; nobody else's can be seen here.
            let message = format!("PID {} is not a PostgreSQL server process", int(v, 0));
            cx.session.warn("01000", message);
            Ok(Value::Bool(false))
        });
    }
    for name in ["pg_postmaster_start_time", "pg_conf_load_time"] {
        table
            .add(name, &[], Type::Timestamptz, |cx, _, _| Ok(Value::Timestamp(cx.session.began())));
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
fn locks(table: &mut BuiltinTable) {
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

fn catalogue(table: &mut BuiltinTable) {
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
        "pg_collation_is_visible",
        "pg_conversion_is_visible",
        "pg_function_is_visible",
        "pg_opclass_is_visible",
        "pg_operator_is_visible",
        "pg_opfamily_is_visible",
        "pg_statistics_obj_is_visible",
        "pg_table_is_visible",
        "pg_ts_config_is_visible",
        "pg_ts_dict_is_visible",
        "pg_ts_parser_is_visible",
        "pg_ts_template_is_visible",
        "pg_type_is_visible",
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
fn privileges(table: &mut BuiltinTable) {
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
    table.add("pg_get_function_result", &[Type::Oid], Type::Text, |cx, v, _| {
        Ok(optional(catalog::function_result(cx.facts.functions(), int(v, 0))))
    });
    for name in ["pg_get_function_arguments", "pg_get_function_identity_arguments"] {
        table.add(name, &[Type::Oid], Type::Text, |cx, v, _| {
            Ok(optional(catalog::function_arguments(cx.facts.functions(), int(v, 0))))
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

/// Nothing is counted by table.
fn statistics(table: &mut BuiltinTable) {
    for name in [
        "pg_stat_get_numscans",
        "pg_stat_get_tuples_returned",
        "pg_stat_get_tuples_fetched",
        "pg_stat_get_tuples_inserted",
        "pg_stat_get_tuples_updated",
        "pg_stat_get_tuples_deleted",
        "pg_stat_get_tuples_hot_updated",
        "pg_stat_get_live_tuples",
        "pg_stat_get_dead_tuples",
        "pg_stat_get_mod_since_analyze",
        "pg_stat_get_ins_since_vacuum",
        "pg_stat_get_blocks_fetched",
        "pg_stat_get_blocks_hit",
        "pg_stat_get_vacuum_count",
        "pg_stat_get_autovacuum_count",
        "pg_stat_get_analyze_count",
        "pg_stat_get_autoanalyze_count",
    ] {
        table.add(name, &[Type::Oid], Type::Int8, |_, _, _| Ok(Value::Int(0)));
    }
    for name in [
        "pg_stat_get_last_vacuum_time",
        "pg_stat_get_last_autovacuum_time",
        "pg_stat_get_last_analyze_time",
        "pg_stat_get_last_autoanalyze_time",
    ] {
        table.add(name, &[Type::Oid], Type::Timestamptz, |_, _, _| Ok(Value::Null));
    }
    let (oid, text_type) = (Type::Oid, Type::Text);
    table.add(
        "pg_index_column_has_property",
        &[oid, Type::Int4, text_type],
        Type::Bool,
        |_, v, _| {
            Ok(match text(v, 2).to_ascii_lowercase().as_str() {
                "asc" | "nulls_last" | "orderable" | "returnable" | "search_array"
                | "search_nulls" => Value::Bool(true),
                "desc" | "nulls_first" | "distance_orderable" => Value::Bool(false),
                _ => Value::Null,
            })
        },
    );
    for name in ["pg_index_has_property", "pg_indexam_has_property"] {
        table.add(name, &[oid, text_type], Type::Bool, |_, v, _| {
            Ok(match text(v, 1).to_ascii_lowercase().as_str() {
                "clusterable" | "index_scan" | "bitmap_scan" | "backward_scan" | "can_order"
                | "can_unique" | "can_multi_col" | "can_exclude" | "can_include" => {
                    Value::Bool(true)
                }
                _ => Value::Null,
            })
        });
    }
}

/// `parse_ident`: the parts of a qualified name, folded where they are not quoted.
fn parts_of_name(name: &str) -> Result<Vec<Value>, PgError> {
    let invalid = || PgError::new("22023", format!("string is not a valid identifier: \"{name}\""));
    let mut parts = Vec::new();
    let mut rest = name.trim();
    loop {
        let part = if let Some(quoted) = rest.strip_prefix('"') {
            let mut part = String::new();
            let mut left = quoted;
            loop {
                let at = left.find('"').ok_or_else(invalid)?;
                part.push_str(left.get(..at).unwrap_or_default());
                left = left.get(at + 1..).unwrap_or_default();
                match left.strip_prefix('"') {
                    Some(more) => {
                        part.push('"');
                        left = more;
                    }
                    None => break,
                }
            }
            rest = left;
            part
        } else {
            let fits = |c: char| c.is_alphanumeric() || c == '_' || c == '$';
            let end = rest.find(|c| !fits(c)).unwrap_or(rest.len());
            let part = rest.get(..end).unwrap_or_default();
            if part.is_empty() || part.starts_with(|c: char| c.is_ascii_digit() || c == '$') {
                return Err(invalid());
            }
            rest = rest.get(end..).unwrap_or_default();
            part.to_ascii_lowercase()
        };
        if part.is_empty() {
            return Err(invalid());
        }
        parts.push(Value::Text(part));
        rest = rest.trim_start();
        match rest.strip_prefix('.') {
            Some(more) => rest = more.trim_start(),
            None if rest.is_empty() => return Ok(parts),
            None => return Err(invalid()),
        }
    }
}

/// Objects have no descriptions, defaults, constraints or rules.
fn descriptions(table: &mut BuiltinTable) {
    let texts = Type::Array(Element::Text);
    table.add("parse_ident", &[Type::Text], texts, |_, v, _| {
        Ok(Value::Array(Element::Text, parts_of_name(text(v, 0))?))
    });
    table.add("parse_ident", &[Type::Text, Type::Bool], texts, |_, v, _| {
        Ok(Value::Array(Element::Text, parts_of_name(text(v, 0))?))
    });
    let oid = Type::Oid;
    let none: [(&'static str, &[Type]); 17] = [
        ("pg_get_ruledef", &[oid]),
        ("pg_get_ruledef", &[oid, Type::Bool]),
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
