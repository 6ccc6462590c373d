//! A private Postgres cluster with the real pgmq on it: this machine's `postgresql-15`, and the SQL
//! that pgmq's authors ship in the Python package `pgmq`.

use std::net::SocketAddr;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use super::session::{self, USER};
use crate::Error;
use crate::options::Options;
use crate::server::{HeldAddress, ScratchDir, Server};

/// Prints pgmq's SQL.
const PRINT_SQL: &str =
    "from pgmq.install import get_embedded_install_sql as sql; print(sql(), end='')";

/// Makes a cluster, starts it with settings as initdb left them, installs pgmq.
pub(super) fn start(options: &Options, directory: &ScratchDir) -> Result<Server, Error> {
    let sql = install_sql(options.pgmq_sql.as_deref())?;
    let home = directory.path().join("postgres");
    std::fs::create_dir_all(&home)?;
    let ids = unprivileged()?;
    if let Some((user, group)) = ids {
        chown(&home, Some(user), Some(group))?;
    }
    let (data, held) = (home.join("data"), HeldAddress::new()?);
    let address = held.address;
    let mut initdb = as_user(options.postgres_bin.join("initdb"), &home, ids);
    initdb.arg("-D").arg(&data).args(["-U", USER, "-A", "trust", "-E", "UTF8", "--locale=C"]);
    let made = initdb.stdout(Stdio::null()).output();
    let made = made.map_err(|error| format!("cannot start {initdb:?}: {error}"))?;
    if !made.status.success() {
        return Err(format!("initdb: {}", String::from_utf8_lossy(&made.stderr)).into());
    }
    // It logs to standard error; the ready line is looked for on standard output.
    let mut postgres = as_user("/bin/sh", &home, ids);
    postgres.args(["-c", r#"exec "$0" -D "$1" -h 127.0.0.1 -p "$2" -k "$1" 2>&1"#]);
    postgres.arg(options.postgres_bin.join("postgres")).arg(&data);
    postgres.arg(address.port().to_string());
    let ready = "database system is ready to accept connections";
    let log = directory.path().join("postgres.log");
    let server = Server::start(postgres, &held, ready, &log)?;
    session::query(address, &sql)?;
    let settings = session::query(address, "SHOW synchronous_commit; SHOW fsync")?;
    if settings != [["on"], ["on"]] {
        return Err(format!("synchronous_commit and fsync are {settings:?}").into());
    }
    Ok(server)
}

/// What the report calls it.
pub(super) fn name(address: SocketAddr) -> Result<String, Error> {
    let version = session::query(address, "SHOW server_version")?.concat().concat();
    let (major, _) = version.split_once('.').unwrap_or((&version, ""));
    Ok(format!("pgmq/postgres {major}"))
}

/// pgmq's SQL out of a file, or out of the Python package.
fn install_sql(file: Option<&Path>) -> Result<String, Error> {
    if let Some(file) = file {
        return Ok(std::fs::read_to_string(file)?);
    }
    let printed = Command::new("python3").args(["-c", PRINT_SQL]).output()?;
    if !printed.status.success() {
        let hint = "give --pgmq-sql, or put a python3 with the package pgmq 1.1.4 first in PATH";
        return Err(format!("no SQL of pgmq: {hint}").into());
    }
    Ok(String::from_utf8(printed.stdout)?)
}

/// User and group `postgres` when this is root, whom Postgres refuses to serve.
fn unprivileged() -> Result<Option<(u32, u32)>, Error> {
    if !rustix::process::geteuid().is_root() {
        return Ok(None);
    }
    let accounts = std::fs::read_to_string("/etc/passwd")?;
    let line = accounts.lines().find_map(|line| line.strip_prefix("postgres:"));
    let mut fields = line.ok_or("there is no user postgres")?.split(':').skip(1);
    let mut next = || fields.next().and_then(|field| field.parse().ok());
    Ok(next().zip(next()))
}

fn as_user(program: impl AsRef<std::ffi::OsStr>, home: &Path, ids: Option<(u32, u32)>) -> Command {
    let mut command = Command::new(program);
    command.current_dir(home);
    if let Some((user, group)) = ids {
        command.uid(user).gid(group);
    }
    command
}
