//! Real clients against the real server.

use std::path::PathBuf;

use crate::clients::{self, Python};
use crate::run::{self, Failure, Run};

/// Most tests wait for a visibility timeout or a long poll; a few keep a core busy.
const WORKERS: &str = "4";
/// Kills of the outbox in every run, for each way to read it, and for relays that change between
/// them; `conform outbox --kills 300 [--capture WAY]` for more.
const OUTBOX_KILLS: &str = "20";
const OUTBOX_CAPTURES: [&str; 3] = ["polling", "replication", "both"];

/// Every client of the SQS door; with arguments, only pytest with the current clients.
pub(crate) fn sqs(pytest_arguments: &[String]) -> Result<(), Failure> {
    clients::install()?;
    let server = build_server()?;
    let current = pytest(Python::Current, &server);
    if !pytest_arguments.is_empty() {
        return current.args(pytest_arguments).step("SQS: pytest");
    }
    let parallel = ["-n", WORKERS, "--dist", "worksteal", "-q"];
    current.args(parallel).step("SQS: boto3, aws-cli, Celery")?;
    pytest(Python::Query, &server).args(parallel).step("SQS: boto3 over the Query protocol")?;
    let node = clients::node()?;
    beside_server(&server, &node)
        .args(["--test", "js/sqs.test.js"])
        .step("SQS: JavaScript v3 SDK")?;
    let cargo = ["run", "--quiet", "--locked", "--manifest-path", "rust/Cargo.toml"];
    beside_server(&server, "cargo")
        .args(cargo)
        .env("CARGO_TARGET_DIR", crate::target().join("conformance-rust"))
        .step("SQS: Rust SDK")
}

/// The SNS door under real clients. Arguments go to pytest, and then only pytest runs.
pub(crate) fn sns(pytest_arguments: &[String]) -> Result<(), Failure> {
    clients::install()?;
    let server = build_server()?;
    let current = pytest(Python::Current, &server);
    if !pytest_arguments.is_empty() {
        return current.args(pytest_arguments).step("SNS: pytest");
    }
    current.args(["sns", "-n", WORKERS, "-q"]).step("SNS: boto3")?;
    let node = clients::node()?;
    beside_server(&server, &node).args(["--test", "js/sns.test.js"]).step("SNS: JavaScript v3 SDK")
}

/// The pgmq door under real clients, and compared with recorded answers of real pgmq. `--record`
/// records them anew; other arguments go to pytest, and then only pytest runs.
pub(crate) fn pgmq(arguments: &[String]) -> Result<(), Failure> {
    clients::install_pgmq()?;
    let server = build_server()?;
    let script = |name: &str| {
        let python = Run::new(clients::python(Python::Pgmq)).arg(name);
        python.env("KYU_BIN", &server).dir(clients::home())
    };
    match arguments {
        [] => {}
        [flag, rest @ ..] if flag == "--record" => {
            clients::install_postgres()?;
            return script("pgmq/differential.py")
                .arg("--record")
                .args(rest)
                .step("pgmq: record from real pgmq");
        }
        arguments => return pytest(Python::Pgmq, &server).args(arguments).step("pgmq: pytest"),
    }
    script("pgmq/differential.py").step("pgmq: the answers of real pgmq")?;
    let parallel = ["pgmq", "-n", WORKERS, "--dist", "worksteal", "-q"];
    pytest(Python::Pgmq, &server)
        .args(parallel)
        .step("pgmq: psql, pgmq-py, psycopg, asyncpg, SQLAlchemy")?;
    let node = clients::node()?;
    script("sdk.py")
        .arg(node)
        .args(["--test", "js/pgmq.test.js"])
        .step("pgmq: node-postgres, postgres.js, pgmq-js")?;
    let cargo = ["run", "--quiet", "--locked", "--manifest-path", "pgmq/rust/Cargo.toml"];
    script("sdk.py")
        .arg("cargo")
        .args(cargo)
        .env("CARGO_TARGET_DIR", crate::target().join("conformance-pgmq-rust"))
        .step("pgmq: Rust pgmq crate, tokio-postgres")?;
    script("pgmq/examples.py")
        .arg(clients::node()?)
        .arg("cargo")
        .env("CARGO_TARGET_DIR", crate::target().join("conformance-pgmq-rust"))
        .step("pgmq: programs that ship with clients")?;
    go(&server)?;
    java(&server)?;
    script("pgmq/kill9.py").step("pgmq: kill -9")
}

/// The drivers of Go: pgx, lib/pq, both with Debian's compiler.
fn go(server: &PathBuf) -> Result<(), Failure> {
    clients::install_drivers()?;
    let suite = crate::target().join("conformance-pgmq-go");
    Run::new(clients::driver("usr/lib/go-1.19/bin/go"))
        .args(["build", "-o"])
        .arg(&suite)
        .env("GOROOT", clients::driver("usr/lib/go-1.19"))
        .env("GOPATH", clients::driver("usr/share/gocode"))
        .env("GOCACHE", clients::driver("cache"))
        // Debian's packages are no modules, and need no C.
        .env("GO111MODULE", "off")
        .env("GOFLAGS", "")
        .env("CGO_ENABLED", "0")
        .dir(clients::home().join("pgmq/go"))
        .step("pgmq: Go build")?;
    beside_locked_server(server).arg(suite).step("pgmq: Go: pgx, lib/pq")
}

/// The driver of Java.
fn java(server: &PathBuf) -> Result<(), Failure> {
    beside_locked_server(server)
        .args(["java", "-XX:TieredStopAtLevel=1", "-cp"])
        .arg(clients::driver("usr/share/java/postgresql.jar"))
        .arg("pgmq/java/Suite.java")
        .step("pgmq: JDBC")
}

/// A fresh server, and one that demands a password.
fn beside_locked_server(server: &PathBuf) -> Run {
    Run::new(clients::python(Python::Pgmq))
        .args(["sdk.py", "--tls"])
        .env("KYU_BIN", server)
        .dir(clients::home())
}

/// The admin API under plain Python, every answer held to the OpenAPI document. Arguments go to
/// pytest.
pub(crate) fn admin(pytest_arguments: &[String]) -> Result<(), Failure> {
    clients::install()?;
    let server = build_server()?;
    let run = pytest(Python::Current, &server).args(["admin", "-n", WORKERS, "-q"]);
    run.args(pytest_arguments).step("admin API")
}

/// The transactional outbox beside a real Postgres. Arguments go to the kill -9 loop, and then only
/// that runs.
pub(crate) fn outbox(arguments: &[String]) -> Result<(), Failure> {
    clients::install_pgmq()?;
    clients::install_postgres()?;
    let server = build_server()?;
    let kill9 = |arguments: &[&str]| {
        Run::new(clients::python(Python::Pgmq))
            .arg("outbox/kill9.py")
            .args(arguments)
            .env("KYU_BIN", &server)
            .dir(clients::home())
            .step("outbox: kill -9")
    };
    if !arguments.is_empty() {
        return kill9(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
    }
    // A file has its own Postgres and server, which its tests share.
    let parallel = ["outbox", "-n", WORKERS, "--dist", "loadfile", "-q"];
    pytest(Python::Pgmq, &server).args(parallel).step("outbox: pytest")?;
    for capture in OUTBOX_CAPTURES {
        kill9(&["--kills", OUTBOX_KILLS, "--capture", capture])?;
    }
    Ok(())
}

/// The Rust examples, killed and started again, over a store of their own and at a server.
pub(crate) fn jobs(pytest_arguments: &[String]) -> Result<(), Failure> {
    clients::install()?;
    let server = build_server()?;
    Run::cargo(["build", "--locked", "--package", "kyu", "--examples"]).step("examples")?;
    pytest(Python::Current, &server)
        .args(["jobs", "-n", WORKERS, "-q"])
        .args(pytest_arguments)
        .env("KYU_EXAMPLES", crate::target().join("debug/examples"))
        .step("jobs: examples under kill -9")
}

/// Kills the server under load; the checker's positive control included.
pub(crate) fn kill9(arguments: &[String]) -> Result<(), Failure> {
    clients::install()?;
    let server = build_server()?;
    Run::new(clients::python(Python::Current))
        .arg("kill9.py")
        .args(arguments)
        .env("KYU_BIN", server)
        .dir(clients::home())
        .step("kill -9")
}

fn pytest(python: Python, server: &PathBuf) -> Run {
    Run::new(clients::python(python))
        .args(["-m", "pytest"])
        .env("KYU_BIN", server)
        .dir(clients::home())
}

/// A program of another language, with a fresh server beside it.
fn beside_server(server: &PathBuf, program: impl AsRef<std::ffi::OsStr>) -> Run {
    Run::new(clients::python(Python::Current))
        .arg("sdk.py")
        .arg(program)
        .env("KYU_BIN", server)
        .dir(clients::home())
}

/// The server under test: `$KYU_BIN`, or a fresh debug build, whose overflow checks and debug
/// assertions are on.
fn build_server() -> Result<PathBuf, Failure> {
    match std::env::var_os("KYU_BIN") {
        Some(named) => Ok(std::path::absolute(named).unwrap_or_default()),
        None => run::built("kyu"),
    }
}
