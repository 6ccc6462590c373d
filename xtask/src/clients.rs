//! Installs the clients of the conformance suite from their lock files, and what those need.
//!
//! Only the Rust toolchain is taken for granted. Python comes from Debian when it is missing and this
//! runs as root; otherwise the message says what to install. Node comes from the Python registry when
//! the machine has none, or one that the JavaScript SDK no longer supports, such as Debian 12's:
//! Debian's npm would bring 400 packages and three minutes. Go and the drivers of Go and Java come
//! from Debian's archive, unpacked beside the build and not installed: what they depend on would
//! replace parts of the machine's systemd.

use std::path::{Path, PathBuf};

use crate::run::{Failure, Run, step_by};

/// The newest client libraries refuse older ones.
const OLDEST_PYTHON_MINOR: u32 = 10;
const OLDEST_NODE: u32 = 20;

/// The environments that a lock file of Python packages describes.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Python {
    /// Current clients, which speak the JSON protocol.
    Current,
    /// The last botocore that speaks the Query protocol.
    Query,
    /// Clients of the pgmq door.
    Pgmq,
    /// Node and npm, for machines without.
    Node,
}

impl Python {
    fn directory(self) -> PathBuf {
        home().join(match self {
            Self::Current => ".venv",
            Self::Query => ".venv-query",
            Self::Pgmq => ".venv-pgmq",
            Self::Node => ".venv-node",
        })
    }

    fn lock(self) -> PathBuf {
        home().join(match self {
            Self::Current => "requirements.lock",
            Self::Query => "requirements-query.lock",
            Self::Pgmq => "requirements-pgmq.lock",
            Self::Node => "requirements-node.lock",
        })
    }
}

/// The directory of the suite.
pub(crate) fn home() -> PathBuf {
    crate::root().join("tests").join("conformance")
}

/// The interpreter of an installed environment.
pub(crate) fn python(python: Python) -> PathBuf {
    python.directory().join("bin").join("python")
}

/// Installs everything; quick when nothing has changed since the last time.
pub(crate) fn install() -> Result<(), Failure> {
    for environment in [Python::Current, Python::Query] {
        install_python(environment)?;
    }
    install_javascript()
}

/// Clients of the pgmq door: Python's, JavaScript's, and psql from Debian.
pub(crate) fn install_pgmq() -> Result<(), Failure> {
    install_python(Python::Pgmq)?;
    install_javascript()?;
    if Run::new("psql").arg("--version").succeeds() {
        return Ok(());
    }
    debian(&["postgresql-client-15"])
}

/// A real Postgres, to record what real pgmq answers.
pub(crate) fn install_postgres() -> Result<(), Failure> {
    if std::path::Path::new("/usr/lib/postgresql/15/bin/postgres").exists() {
        return Ok(());
    }
    debian(&["postgresql-15"])
}

/// Go, its drivers of Postgres, and JDBC's, as `pgmq/debian-packages.txt` lists them. Java itself is taken
/// from the machine, or installed.
pub(crate) fn install_drivers() -> Result<(), Failure> {
    let (directory, lock) = (drivers(), home().join("pgmq/debian-packages.txt"));
    if !Run::new("javac").arg("-version").succeeds() {
        debian(&["openjdk-17-jdk-headless"])?;
    }
    if is_installed(&directory, &lock) {
        return Ok(());
    }
    remove(&directory)?;
    let failed = |error: std::io::Error| Failure::usage(&format!("{}: {error}", lock.display()));
    std::fs::create_dir_all(&directory).map_err(failed)?;
    let listed = std::fs::read_to_string(&lock).map_err(failed)?;
    let packages = listed.lines().filter(|line| !line.starts_with('#'));
    let download = Run::new("apt-get").args(["-q", "download"]).args(packages).dir(&directory);
    if !download.succeeds() {
        apt_get("update").step("package lists")?;
    }
    download.step("Debian packages of drivers")?;
    let unpack =
        "for package in *.deb; do dpkg -x \"$package\" . && rm \"$package\" || exit 1; done";
    Run::new("sh").args(["-c", unpack]).dir(&directory).step("unpacked")?;
    mark_installed(&directory, &lock)
}

/// Where [`install_drivers`] has put a file of a Debian package: `usr/share/java/postgresql.jar`.
pub(crate) fn driver(path: &str) -> PathBuf {
    drivers().join(path)
}

fn drivers() -> PathBuf {
    crate::target().join("conformance-drivers")
}

fn install_python(environment: Python) -> Result<(), Failure> {
    let (directory, lock) = (environment.directory(), environment.lock());
    if is_installed(&directory, &lock) {
        return Ok(());
    }
    let interpreter = interpreter()?;
    remove(&directory)?;
    Run::new(interpreter).args(["-m", "venv"]).arg(&directory).step("Python environment")?;
    Run::new(python(environment))
        .args([
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "--require-hashes",
        ])
        .arg("--requirement")
        .arg(&lock)
        .step("Python clients")?;
    mark_installed(&directory, &lock)
}

/// A Python that can make environments, installed if need be.
fn interpreter() -> Result<&'static str, Failure> {
    let names = ["python3", "python3.14", "python3.13", "python3.12", "python3.11", "python3.10"];
    let check = format!(
        "import sys, venv, ensurepip, ssl; sys.exit(sys.version_info < (3, {OLDEST_PYTHON_MINOR}))"
    );
    let find = || names.into_iter().find(|name| Run::new(name).args(["-c", &check]).succeeds());
    if let Some(found) = find() {
        return Ok(found);
    }
    debian(&["python3", "python3-venv"])?;
    find().ok_or_else(|| Failure::usage("no usable Python even after apt-get"))
}

fn install_javascript() -> Result<(), Failure> {
    let (modules, lock) = (home().join("js/node_modules"), home().join("js/package-lock.json"));
    if is_installed(&modules, &lock) {
        return Ok(());
    }
    Run::new(beside_node("npm")?)
        .args(["ci", "--no-audit", "--no-fund", "--loglevel=error"])
        .dir(home().join("js"))
        .step("JavaScript clients")?;
    mark_installed(&modules, &lock)
}

/// A Node that the SDK supports.
pub(crate) fn node() -> Result<PathBuf, Failure> {
    beside_node("node")
}

/// A program that comes with Node: the machine's own if it is new enough, else ours.
fn beside_node(program: &str) -> Result<PathBuf, Failure> {
    let has_npm = || Run::new("npm").arg("--version").succeeds();
    if is_node(Path::new("node")) && has_npm() {
        return Ok(PathBuf::from(program));
    }
    install_python(Python::Node)?;
    Ok(Python::Node.directory().join("bin").join(program))
}

fn is_node(path: &Path) -> bool {
    let version = Run::new(path).arg("--version").output().unwrap_or_default();
    let major = version.trim().trim_start_matches('v').split('.').next().unwrap_or_default();
    major.parse::<u32>().is_ok_and(|major| major >= OLDEST_NODE)
}

/// Installs Debian packages, if this is root on a Debian; else says what to install.
fn debian(packages: &[&str]) -> Result<(), Failure> {
    let is_root = Run::new("id").arg("-u").output().is_ok_and(|id| id.trim() == "0");
    if !is_root || !Run::new("apt-get").arg("--version").succeeds() {
        return Err(Failure::usage(&format!("please install: {}", packages.join(" "))));
    }
    apt_get("update").step("package lists")?;
    apt_get("install").arg("--no-install-recommends").args(packages).step("Debian packages")
}

fn apt_get(verb: &str) -> Run {
    Run::new("apt-get").env("DEBIAN_FRONTEND", "noninteractive").args(["-q", "-y", verb])
}

/// A finished installation holds a copy of the lock file that it was made from.
fn is_installed(directory: &Path, lock: &Path) -> bool {
    let (Ok(wanted), Ok(found)) = (std::fs::read(lock), std::fs::read(stamp(directory))) else {
        return false;
    };
    wanted == found
}

fn mark_installed(directory: &Path, lock: &Path) -> Result<(), Failure> {
    let to = stamp(directory);
    step_by("installed", &format!("cp {} {}", lock.display(), to.display()), || {
        std::fs::copy(lock, &to).map(drop).map_err(|error| error.to_string())
    })
}

fn stamp(directory: &Path) -> PathBuf {
    directory.join(".kyu-installed-lock")
}

fn remove(directory: &Path) -> Result<(), Failure> {
    match std::fs::remove_dir_all(directory) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(Failure::new(error.to_string(), format!("rm -r {}", directory.display())))
        }
        _ => Ok(()),
    }
}
