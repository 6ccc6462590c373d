//! The Kyu under load: started by us and restarted at will, or somebody's that already runs.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::Error;
use crate::options::Options;
use crate::server::{HeldAddress, Server, disk_usage_bytes};
use crate::sqs::Target;

/// A Kyu and, when it is ours, what it takes to restart it.
pub(crate) struct Kyu {
    /// Where to send the load.
    pub(crate) target: Target,
    owned: Option<Owned>,
}

struct Owned {
    server: Server,
    binary: PathBuf,
    data: PathBuf,
    log: PathBuf,
}

/// How a server is ended before it is started again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// SIGTERM.
    Term,
    /// SIGKILL.
    Kill,
}

impl Kyu {
    /// The server that `--url` names, or one started from `--server-bin` in `directory`.
    pub(crate) fn find(options: &Options, directory: &Path) -> Result<Self, Error> {
        let system = "kyu".to_owned();
        if let Some(address) = options.url_address()? {
            let target = Target { system, address, pid: options.server_pid };
            return Ok(Self { target, owned: None });
        }
        let binary = options.server_bin.clone().ok_or("give --server-bin or --url")?;
        let data = directory.join("kyu");
        // Outside the scratch directory, which goes away: a failed start is read up here.
        let log = options.data_dir.join("kyu-bench-server.log");
        let server = Server::start_kyu(&binary, &data, &HeldAddress::new()?, &log)?;
        let target = Target { system, address: server.address, pid: Some(server.pid()) };
        Ok(Self { target, owned: Some(Owned { server, binary, data, log }) })
    }

    /// Ends the server, starts it on the same data and address, and tells how long it took to be
    /// ready; `None` when the server is not ours.
    pub(crate) fn restart(&mut self, ending: Ending) -> Result<Option<Duration>, Error> {
        let Some(Owned { server, binary, data, log }) = self.owned.take() else { return Ok(None) };
        let held = server.held();
        match ending {
            Ending::Term => server.stop()?,
            Ending::Kill => server.kill()?,
        }
        let server = Server::start_kyu(&binary, &data, &held, &log)?;
        self.target.pid = Some(server.pid());
        let ready_after = server.ready_after;
        self.owned = Some(Owned { server, binary, data, log });
        Ok(Some(ready_after))
    }

    /// Bytes its data directory takes on the disk.
    pub(crate) fn disk_usage_bytes(&self) -> Option<u64> {
        self.owned.as_ref().map(|owned| disk_usage_bytes(&owned.data))
    }

    /// Ends the server if it is ours.
    pub(crate) fn stop(self) -> Result<(), Error> {
        self.owned.map_or(Ok(()), |owned| owned.server.stop())
    }
}
