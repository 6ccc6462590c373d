//! The server under test as a child process: started on a port of its own, asked to stop, or killed.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use socket2::{Domain, Socket, Type};

use crate::Error;

/// A server that is not ready by then is reported as broken. Generous: restart time is a result.
const READY_LIMIT: Duration = Duration::from_secs(300);
/// A server that has not ended by then after SIGTERM is killed.
const STOP_LIMIT: Duration = Duration::from_secs(60);

/// A running child; dropped, it is killed.
pub(crate) struct Server {
    child: Child,
    /// Where it listens.
    pub address: SocketAddr,
    /// Keeps the port for the next start as well.
    held: HeldAddress,
    /// From its start to its ready line.
    pub ready_after: Duration,
}

impl Server {
    /// Starts `command` and waits for a line with `ready` on its standard output. Its
    /// standard error goes to `log`.
    pub(crate) fn start(
        mut command: Command,
        held: &HeldAddress,
        ready: &'static str,
        log: &Path,
    ) -> Result<Self, Error> {
        let started = Instant::now();
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(File::options().create(true).append(true).open(log)?)
            .spawn()
            .map_err(|error| format!("cannot start {command:?}: {error}"))?;
        let output = child.stdout.take().ok_or("the server has no standard output")?;
        let (sender, receiver) = mpsc::channel();
        std::thread::spawn(move || {
            // Reads to the end even after the ready line, so that the pipe never fills.
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if line.contains(ready) {
                    let _ = sender.send(());
                }
            }
        });
        let (address, held) = (held.address, held.clone());
        let mut server = Self { child, address, held, ready_after: Duration::ZERO };
        if receiver.recv_timeout(READY_LIMIT).is_err() {
            let state = server.child.try_wait()?;
            let log = log.display();
            return Err(format!("the server is not ready ({state:?}); its log: {log}").into());
        }
        server.ready_after = started.elapsed();
        Ok(server)
    }

    /// Starts `kyu server` on `data` with its HTTP door at `address`.
    pub(crate) fn start_kyu(
        binary: &Path,
        data: &Path,
        held: &HeldAddress,
        log: &Path,
    ) -> Result<Self, Error> {
        let mut command = Command::new(binary);
        command.arg("server").arg("--data").arg(data).arg("--http").arg(held.address.to_string());
        // Its default port may be another program's, the peer's above all.
        command.args(["--pgmq", "off"]);
        Self::start(command, held, "kyu ready", log)
    }

    /// The process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Its address, to be given to the next server.
    pub(crate) fn held(&self) -> HeldAddress {
        self.held.clone()
    }

    /// Asks the server to end and waits until it has.
    pub(crate) fn stop(mut self) -> Result<(), Error> {
        kill_process(Pid::from_child(&self.child), Signal::TERM)?;
        let asked = Instant::now();
        while asked.elapsed() < STOP_LIMIT {
            if let Some(status) = self.child.try_wait()? {
                return match status.success() {
                    true => Ok(()),
                    false => Err(format!("the server ended with {status} after SIGTERM").into()),
                };
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Err("the server did not end after SIGTERM".into())
    }

    /// Ends the server as a power cut would, with nothing flushed.
    pub(crate) fn kill(mut self) -> Result<(), Error> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A loopback address whose port the system gives to nobody else as long as a clone is alive. Its
/// socket is bound and never listens: a server that sets SO_REUSEADDR, as all of ours and the peers
/// do, binds the same address beside it, at its first start and after a restart.
#[derive(Clone)]
pub(crate) struct HeldAddress {
    /// The address.
    pub address: SocketAddr,
    _socket: Arc<Socket>,
}

impl HeldAddress {
    /// The system chooses the port.
    pub(crate) fn new() -> Result<Self, Error> {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        socket.set_reuse_address(true)?;
        socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into())?;
        let address = socket.local_addr()?.as_socket().ok_or("a socket without an address")?;
        Ok(Self { address, _socket: Arc::new(socket) })
    }
}

/// A directory that is deleted when dropped.
pub(crate) struct ScratchDir(PathBuf);

impl ScratchDir {
    /// Makes a fresh directory inside `parent`.
    pub(crate) fn new(parent: &Path, name: &str) -> Result<Self, Error> {
        let path = parent.join(format!("kyu-bench-{}-{name}", std::process::id()));
        fs::create_dir_all(&path)?;
        Ok(Self(path))
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for ScratchDir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Bytes that the files under `directory` take on the disk, as `du` counts.
pub(crate) fn disk_usage_bytes(directory: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    let Ok(entries) = fs::read_dir(directory) else { return 0 };
    entries
        .flatten()
        .map(|entry| match entry.metadata() {
            Ok(metadata) if metadata.is_dir() => disk_usage_bytes(&entry.path()),
            Ok(metadata) => metadata.blocks() * 512,
            Err(_) => 0,
        })
        .sum()
}
