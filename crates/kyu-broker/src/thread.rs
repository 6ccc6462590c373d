//! The broker's own threads. A panic in one of them ends the process: the others must not go on
//! with what it left half done.

use std::io;
use std::thread::{Builder, JoinHandle};

/// Threads to join at shutdown.
pub(crate) type Threads = Vec<JoinHandle<()>>;

/// Starts a named thread.
pub(crate) fn spawn(
    name: &str,
    body: impl FnOnce() + Send + 'static,
) -> io::Result<JoinHandle<()>> {
    let abort = AbortOnPanic(name.to_owned());
    Builder::new().name(name.to_owned()).spawn(move || {
        body();
        drop(abort);
    })
}

struct AbortOnPanic(String);

impl Drop for AbortOnPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("kyu: the thread {} panicked; ending the process (please report)", self.0);
            std::process::abort();
        }
    }
}
