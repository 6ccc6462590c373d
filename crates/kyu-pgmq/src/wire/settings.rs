//! Run-time settings of a session: SET, SHOW, RESET, and what is reported by ParameterStatus.

use std::collections::BTreeMap;

use kyu_pgsql::Zone;
use kyu_pgsql::error::PgError;

use super::style::ValueStyle;

/// The kind of a setting: how its value is checked and written back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SettingKind {
    /// Cannot be changed: 55P02.
    Fixed,
    /// Any text.
    Text,
    /// `on` or `off`.
    Bool,
    /// One of these.
    OneOf(&'static [&'static str]),
    /// A whole number.
    Int,
    /// Milliseconds, or a number with a unit.
    Milliseconds,
    Zone,
    DateStyle,
    Encoding,
}

struct Setting {
    name: &'static str,
    default: &'static str,
    kind: SettingKind,
    /// Told by ParameterStatus at the start and when it changes.
    reported: bool,
}

const fn setting(name: &'static str, default: &'static str, kind: SettingKind) -> Setting {
    Setting { name, default, kind, reported: false }
}

const fn reported(name: &'static str, default: &'static str, kind: SettingKind) -> Setting {
    Setting { name, default, kind, reported: true }
}

/// The value of `server_version`: clients choose their catalogue queries by it.
pub(super) const SERVER_VERSION: &str = concat!("15.0 (Kyu ", env!("CARGO_PKG_VERSION"), ")");

const LEVELS: SettingKind =
    SettingKind::OneOf(&["read uncommitted", "read committed", "repeatable read", "serializable"]);
const MESSAGES: SettingKind = SettingKind::OneOf(&[
    "debug5", "debug4", "debug3", "debug2", "debug1", "debug", "log", "notice", "warning", "error",
]);

/// All settings, in the order of their names without regard to case.
const SETTINGS: &[Setting] = &[
    reported("application_name", "", SettingKind::Text),
    setting("backslash_quote", "safe_encoding", SettingKind::Text),
    setting("block_size", "8192", SettingKind::Fixed),
    setting("bytea_output", "hex", SettingKind::OneOf(&["hex"])),
    setting("check_function_bodies", "on", SettingKind::Bool),
    reported("client_encoding", "UTF8", SettingKind::Encoding),
    setting("client_min_messages", "notice", MESSAGES),
    reported("DateStyle", "ISO, MDY", SettingKind::DateStyle),
    setting("deadlock_timeout", "1s", SettingKind::Milliseconds),
    setting("default_table_access_method", "heap", SettingKind::Text),
    setting("default_tablespace", "", SettingKind::Text),
    setting("default_transaction_deferrable", "off", SettingKind::Bool),
    setting("default_transaction_isolation", "read committed", LEVELS),
    reported("default_transaction_read_only", "off", SettingKind::Bool),
    setting("escape_string_warning", "on", SettingKind::Bool),
    setting("extra_float_digits", "1", SettingKind::Int),
    setting("idle_in_transaction_session_timeout", "0", SettingKind::Milliseconds),
    setting("idle_session_timeout", "0", SettingKind::Milliseconds),
    reported("in_hot_standby", "off", SettingKind::Fixed),
    reported("integer_datetimes", "on", SettingKind::Fixed),
    reported("IntervalStyle", "postgres", SettingKind::OneOf(&["postgres", "iso_8601"])),
    reported("is_superuser", "off", SettingKind::Fixed),
    setting("jit", "off", SettingKind::Bool),
    setting("lc_collate", "C", SettingKind::Fixed),
    setting("lc_ctype", "C", SettingKind::Fixed),
    setting("lc_messages", "C", SettingKind::Text),
    setting("lc_monetary", "C", SettingKind::Text),
    setting("lc_numeric", "C", SettingKind::Text),
    setting("lc_time", "C", SettingKind::Text),
    setting("lock_timeout", "0", SettingKind::Milliseconds),
    setting("max_connections", "10000", SettingKind::Fixed),
    setting("max_identifier_length", "63", SettingKind::Fixed),
    setting("max_index_keys", "32", SettingKind::Fixed),
    setting("plan_cache_mode", "auto", SettingKind::Text),
    setting("port", "5432", SettingKind::Fixed),
    setting("role", "none", SettingKind::Text),
    setting("row_security", "on", SettingKind::Bool),
    setting("search_path", "\"$user\", public", SettingKind::Text),
    reported("server_encoding", "UTF8", SettingKind::Fixed),
    reported("server_version", SERVER_VERSION, SettingKind::Fixed),
    setting("server_version_num", "150000", SettingKind::Fixed),
    reported("session_authorization", "", SettingKind::Text),
    setting("ssl", "off", SettingKind::Fixed),
    reported("standard_conforming_strings", "on", SettingKind::OneOf(&["on"])),
    setting("statement_timeout", "0", SettingKind::Milliseconds),
    setting("synchronous_commit", "on", SettingKind::Text),
    setting("synchronize_seqscans", "on", SettingKind::Bool),
    reported("TimeZone", "UTC", SettingKind::Zone),
    setting("transaction_deferrable", "off", SettingKind::Bool),
    setting("transaction_isolation", "read committed", LEVELS),
    setting("transaction_read_only", "off", SettingKind::Bool),
    setting("wal_level", "replica", SettingKind::Fixed),
    setting("work_mem", "4MB", SettingKind::Text),
    setting("xmloption", "content", SettingKind::Text),
];

/// Settings of the user's own, which have a dot in their names: so many of a session.
const MAX_CUSTOM: usize = 1_000;
/// The default of `deadlock_timeout`.
const DEADLOCK_TIMEOUT_MS: u64 = 1_000;
/// Longest value.
const MAX_VALUE_BYTES: usize = 64 << 10;

/// The values of one session.
#[derive(Clone, Debug, Default)]
pub(super) struct Settings {
    /// The values that startup asked for, or that only this connection knows: the defaults of
    /// RESET.
    initial: BTreeMap<String, String>,
    /// The values that SET changed.
    changed: BTreeMap<String, String>,
    /// The values that SET LOCAL changed, until the transaction ends.
    local: BTreeMap<String, String>,
    /// `changed` before the transaction's first SET, to go back to.
    before: Option<BTreeMap<String, String>>,
    in_transaction: bool,
    /// The value that was reported last; kept only where it is not the default.
    told: BTreeMap<&'static str, String>,
    /// True if anything may have to be reported.
    dirty: bool,
    /// Looked up once, as every statement needs them.
    style: ValueStyle,
    statement_timeout_ms: u64,
    /// `lock_timeout` and `deadlock_timeout`, if they are not what a session begins with.
    patience_ms: Option<(u64, u64)>,
    read_only: bool,
}

/// Settings at a savepoint.
#[derive(Clone, Debug)]
pub(super) struct Saved {
    changed: BTreeMap<String, String>,
    local: BTreeMap<String, String>,
}

/// The memory of one value.
pub(super) fn entry_bytes(name: &str, value: &str) -> usize {
    2 * size_of::<String>() + name.len() + value.len()
}

impl Settings {
    /// The value of a setting as SHOW gives it.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        // Most names come in lower case, as they are kept.
        let lower = name.to_lowercase();
        let set = [&self.local, &self.changed, &self.initial]
            .into_iter()
            .find_map(|map| map.get(&lower).map(String::as_str));
        // Where a transaction has said nothing, the session's default holds.
        let set = set.or_else(|| match lower.strip_prefix("transaction_") {
            Some("isolation" | "read_only" | "deferrable") => self.get(&format!("default_{lower}")),
            _ => None,
        });
        set.or_else(|| find(&lower).map(|setting| setting.default))
    }

    /// `transaction_read_only`.
    pub(super) fn is_read_only(&self) -> bool {
        self.read_only
    }

    /// The values that a savepoint keeps.
    pub(super) fn save(&self) -> Saved {
        Saved { changed: self.changed.clone(), local: self.local.clone() }
    }

    /// The memory that they take, beside what the connection began with.
    pub(super) fn bytes(&self) -> usize {
        let maps = [Some(&self.changed), Some(&self.local), self.before.as_ref()];
        let entries = maps.into_iter().flatten().flatten();
        entries.map(|(name, value)| entry_bytes(name, value)).sum()
    }

    /// Back to what a savepoint kept.
    pub(super) fn restore(&mut self, saved: &Saved) {
        if self.changed != saved.changed || self.local != saved.local {
            self.changed.clone_from(&saved.changed);
            self.local.clone_from(&saved.local);
            self.touch();
        }
    }

    /// The value of a setting that is a number of milliseconds; 0 is none.
    pub(super) fn milliseconds(&self, name: &str) -> u64 {
        self.get(name).and_then(milliseconds).unwrap_or(0)
    }

    /// `statement_timeout`; 0 is none.
    pub(super) fn statement_timeout_ms(&self) -> u64 {
        self.statement_timeout_ms
    }

    /// `lock_timeout` (0 is none) and `deadlock_timeout`.
    pub(super) fn patience_ms(&self) -> (u64, u64) {
        self.patience_ms.unwrap_or((0, DEADLOCK_TIMEOUT_MS))
    }

    /// The style in which values are written.
    pub(super) fn style(&self) -> ValueStyle {
        self.style.clone()
    }

    /// Sets what RESET goes back to: from the startup packet.
    pub(super) fn start_with(&mut self, name: &str, value: &str) -> Result<(), PgError> {
        let value = check(name, value)?;
        self.initial.insert(name.to_lowercase(), value);
        self.touch();
        Ok(())
    }

    /// Sets what no client may set.
    pub(super) fn start_fixed(&mut self, name: &str, value: &str) {
        self.initial.insert(name.to_lowercase(), value.to_owned());
        self.touch();
    }

    /// SET; SET LOCAL outside a transaction has no effect, which the caller warns of.
    pub(super) fn set(&mut self, name: &str, value: &str, local: bool) -> Result<(), PgError> {
        let value = check(name, value)?;
        let name = name.to_lowercase();
        if find(&name).is_none() && self.changed.len() + self.local.len() >= MAX_CUSTOM {
            let message = format!("more than {MAX_CUSTOM} settings in a session");
            return Err(PgError::new("54000", message));
        }
        if local {
            if self.in_transaction {
                self.local.insert(name, value);
            }
        } else {
            self.remember();
            self.local.remove(&name);
            self.changed.insert(name, value);
        }
        self.touch();
        Ok(())
    }

    /// SET ... TO DEFAULT and RESET.
    pub(super) fn reset(&mut self, name: &str) -> Result<(), PgError> {
        let name = name.to_lowercase();
        if find(&name).is_none() && self.get(&name).is_none() {
            return Err(unknown(&name));
        }
        self.remember();
        self.changed.remove(&name);
        self.local.remove(&name);
        self.touch();
        Ok(())
    }

    /// RESET ALL.
    pub(super) fn reset_all(&mut self) {
        self.remember();
        self.changed.clear();
        self.local.clear();
        self.touch();
    }

    pub(super) fn begin(&mut self) {
        self.in_transaction = true;
    }

    /// The end of a transaction: what was set in it holds, or not.
    pub(super) fn end(&mut self, committed: bool) {
        self.in_transaction = false;
        if self.local.is_empty() && self.before.is_none() {
            return;
        }
        self.local.clear();
        if let Some(before) = self.before.take().filter(|_| !committed) {
            self.changed = before;
        }
        self.touch();
    }

    fn remember(&mut self) {
        if self.in_transaction && self.before.is_none() {
            self.before = Some(self.changed.clone());
        }
    }

    fn touch(&mut self) {
        self.dirty = true;
        self.statement_timeout_ms = self.milliseconds("statement_timeout");
        let deadlock_timeout_ms = self.milliseconds("deadlock_timeout").max(1);
        self.patience_ms = Some((self.milliseconds("lock_timeout"), deadlock_timeout_ms));
        self.read_only = self.get("transaction_read_only") == Some("on");
        let zone = self.get("timezone").and_then(Zone::parse).unwrap_or_default();
        let iso_intervals = self.get("intervalstyle") == Some("iso_8601");
        self.style = ValueStyle { zone, iso_intervals };
    }

    /// Reported settings with their values, for the start.
    pub(super) fn reported(&mut self) -> Vec<(&'static str, String)> {
        self.told.clear();
        self.dirty = false;
        let mut all = Vec::new();
        for setting in SETTINGS.iter().filter(|setting| setting.reported) {
            let value = self.get(setting.name).unwrap_or_default().to_owned();
            if value != setting.default {
                self.told.insert(setting.name, value.clone());
            }
            all.push((setting.name, value));
        }
        all
    }

    /// Reported settings that have changed since they were last told.
    pub(super) fn news(&mut self) -> Vec<(&'static str, String)> {
        if !self.dirty {
            return Vec::new();
        }
        let told = std::mem::take(&mut self.told);
        let mut all = self.reported();
        all.retain(|(name, value)| {
            let default = || find(&name.to_lowercase()).map_or("", |setting| setting.default);
            told.get(name).map_or_else(default, String::as_str) != value
        });
        all
    }

    /// SHOW ALL: every setting in order.
    pub(super) fn all(&self) -> Vec<(String, String)> {
        let known = SETTINGS.iter().map(|setting| setting.name.to_owned());
        let custom = self.changed.keys().chain(self.local.keys()).chain(self.initial.keys());
        let mut names: Vec<String> =
            known.chain(custom.filter(|name| find(name).is_none()).cloned()).collect();
        names.sort_by_key(|name| name.to_lowercase());
        names.dedup();
        let valued = |name: String| {
            let value = self.get(&name)?.to_owned();
            Some((name, value))
        };
        names.into_iter().filter_map(valued).collect()
    }
}

/// The name as Postgres writes it: the column of SHOW.
pub(super) fn proper_name(name: &str) -> String {
    let lower = name.to_lowercase();
    find(&lower).map_or(lower, |setting| setting.name.to_owned())
}

fn find(lower: &str) -> Option<&'static Setting> {
    SETTINGS.iter().find(|setting| setting.name.eq_ignore_ascii_case(lower))
}

/// 42704 in Postgres' words.
pub(super) fn unknown(name: &str) -> PgError {
    PgError::new("42704", format!("unrecognized configuration parameter \"{name}\""))
}

/// Checks a value and brings it into the form in which SHOW gives it.
fn check(name: &str, value: &str) -> Result<String, PgError> {
    if value.len() > MAX_VALUE_BYTES {
        return Err(PgError::new("54000", format!("a value of more than {MAX_VALUE_BYTES} bytes")));
    }
    let Some(setting) = find(name) else {
        // A dot makes a name the user's own.
        let own = name.split_once('.').is_some_and(|(a, b)| !a.is_empty() && !b.is_empty());
        return if own { Ok(value.to_owned()) } else { Err(unknown(name)) };
    };
    let invalid = || {
        let message = format!("invalid value for parameter \"{}\": \"{value}\"", setting.name);
        PgError::new("22023", message)
    };
    let folded = value.trim().to_lowercase();
    Ok(match setting.kind {
        SettingKind::Text => value.to_owned(),
        SettingKind::Fixed if value == setting.default => value.to_owned(),
        SettingKind::Fixed => {
            let message = format!("parameter \"{}\" cannot be changed", setting.name);
            return Err(PgError::new("55P02", message));
        }
        SettingKind::Bool => boolean(&folded).ok_or_else(invalid)?.to_owned(),
        SettingKind::OneOf(allowed) => {
            let folded = boolean(&folded).filter(|b| allowed.contains(b)).unwrap_or(&folded);
            let found = allowed.iter().find(|allowed| **allowed == folded);
            (*found.ok_or_else(invalid)?).to_owned()
        }
        SettingKind::Int => folded.parse::<i32>().map_err(|_| invalid())?.to_string(),
        SettingKind::Milliseconds => written(milliseconds(&folded).ok_or_else(invalid)?),
        SettingKind::Zone => {
            Zone::parse(value).map(|_| value.trim().to_owned()).ok_or_else(invalid)?
        }
        SettingKind::DateStyle => date_style(&folded).ok_or_else(invalid)?,
        SettingKind::Encoding => encoding(&folded).ok_or_else(invalid)?.to_owned(),
    })
}

fn boolean(folded: &str) -> Option<&'static str> {
    match folded {
        "on" | "true" | "yes" | "1" | "t" | "y" => Some("on"),
        "off" | "false" | "no" | "0" | "f" | "n" => Some("off"),
        _ => None,
    }
}

/// Only ISO is written; the order of day and month matters for what is read.
fn date_style(folded: &str) -> Option<String> {
    let mut order = "MDY";
    for part in folded.split(',').map(str::trim) {
        match part {
            "iso" | "default" | "" => {}
            "mdy" | "us" | "noneuro" | "noneuropean" => order = "MDY",
            "dmy" | "euro" | "european" => order = "DMY",
            "ymd" => order = "YMD",
            _ => return None,
        }
    }
    Some(format!("ISO, {order}"))
}

/// Names of UTF-8, with quotes (asyncpg) and without; SQL_ASCII means "as it is".
fn encoding(folded: &str) -> Option<&'static str> {
    let plain: String = folded.chars().filter(char::is_ascii_alphanumeric).collect();
    match plain.as_str() {
        "utf8" | "unicode" | "utf" => Some("UTF8"),
        "sqlascii" => Some("SQL_ASCII"),
        _ => None,
    }
}

/// `250`, `250ms`, `5s`, `1.5min`, `2h`, `1d`, also as written by [`written`].
fn milliseconds(text: &str) -> Option<u64> {
    let end = text.find(|c: char| c != '.' && !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let factor = match unit.trim() {
        "" | "ms" => 1.0,
        "s" => 1_000.0,
        "min" => 60_000.0,
        "h" => 3_600_000.0,
        "d" => 86_400_000.0,
        _ => return None,
    };
    let milliseconds = (number.parse::<f64>().ok()? * factor).round();
    (milliseconds <= f64::from(i32::MAX)).then_some(milliseconds as u64)
}

/// The text in the largest unit that divides it, as SHOW writes it.
fn written(ms: u64) -> String {
    for (factor, unit) in [(86_400_000, "d"), (3_600_000, "h"), (60_000, "min"), (1_000, "s")] {
        if ms > 0 && ms.is_multiple_of(factor) {
            return format!("{}{unit}", ms / factor);
        }
    }
    if ms == 0 { "0".to_owned() } else { format!("{ms}ms") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(result: Result<(), PgError>) -> &'static str {
        result.map_or_else(|error| error.code, |()| "ok")
    }

    #[test]
    fn what_drivers_set_and_what_they_read_back() {
        let mut settings = Settings::default();
        for (name, value, shown) in [
            ("client_encoding", "'utf-8'", "UTF8"),
            ("datestyle", "iso, dmy", "ISO, DMY"),
            ("extra_float_digits", "3", "3"),
            ("statement_timeout", "1500", "1500ms"),
            ("statement_timeout", "60000", "1min"),
            ("TIMEZONE", "Europe/Berlin", "Europe/Berlin"),
            ("jit", "true", "on"),
            ("standard_conforming_strings", "true", "on"),
            ("my.own", "x", "x"),
        ] {
            settings.set(name, value, false).unwrap();
            assert_eq!(settings.get(name), Some(shown), "{name}");
        }
        assert_eq!(settings.milliseconds("statement_timeout"), 60_000);
        assert_eq!(code(settings.set("no_such", "1", false)), "42704");
        assert_eq!(code(settings.set("jit", "maybe", false)), "22023");
        assert_eq!(code(settings.set("datestyle", "German", false)), "22023");
        assert_eq!(code(settings.set("client_encoding", "latin1", false)), "22023");
        assert_eq!(code(settings.set("server_version", "16", false)), "55P02");
        assert_eq!(proper_name("timezone"), "TimeZone");
    }

    #[test]
    fn settings_of_a_transaction_end_with_it() {
        let mut settings = Settings::default();
        settings.start_with("timezone", "1").unwrap();
        settings.begin();
        settings.set("timezone", "2", true).unwrap();
        settings.set("jit", "on", false).unwrap();
        assert_eq!(
            (settings.get("timezone"), settings.style().zone),
            (Some("2"), Zone::Fixed(7_200))
        );
        settings.end(false);
        assert_eq!(
            (settings.get("timezone"), settings.style().zone),
            (Some("1"), Zone::Fixed(3_600))
        );
        assert_eq!(settings.get("jit"), Some("off"));
        settings.begin();
        settings.set("jit", "on", false).unwrap();
        settings.end(true);
        assert_eq!(settings.get("jit"), Some("on"));
        settings.reset_all();
        assert_eq!((settings.get("timezone"), settings.get("jit")), (Some("1"), Some("off")));
    }

    #[test]
    fn a_savepoint_brings_settings_back() {
        let mut settings = Settings::default();
        settings.begin();
        settings.set("jit", "on", false).unwrap();
        let saved = settings.save();
        settings.set("jit", "off", false).unwrap();
        settings.set("timezone", "3", true).unwrap();
        settings.restore(&saved);
        assert_eq!((settings.get("jit"), settings.style().zone), (Some("on"), Zone::Utc));
        settings.end(false);
        assert_eq!(settings.get("jit"), Some("off"));
    }

    #[test]
    fn a_transaction_is_read_only_if_it_says_so_or_all_do() {
        let mut settings = Settings::default();
        settings.set("default_transaction_read_only", "on", false).unwrap();
        assert!(settings.is_read_only());
        settings.begin();
        settings.set("transaction_read_only", "off", true).unwrap();
        assert!(!settings.is_read_only());
        settings.end(true);
        assert_eq!(settings.get("transaction_read_only"), Some("on"));
    }

    #[test]
    fn changes_are_reported_once() {
        let mut settings = Settings::default();
        let first = settings.reported();
        assert!(first.contains(&("server_version", SERVER_VERSION.to_owned())));
        assert_eq!(settings.news(), []);
        settings.set("application_name", "a", false).unwrap();
        settings.set("jit", "on", false).unwrap();
        assert_eq!(settings.news(), [("application_name", "a".to_owned())]);
        assert_eq!(settings.news(), []);
        settings.reset("application_name").unwrap();
        assert_eq!(settings.news(), [("application_name", String::new())]);
    }
}
