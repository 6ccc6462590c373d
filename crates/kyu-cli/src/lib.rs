//! The verbs of the `kyu` command that talk to a running server: over the admin API, as any other
//! program could. Standard output is data, everything else goes to standard error.
#![cfg_attr(not(test), warn(clippy::indexing_slicing))]

mod args;
mod confirm;
mod failure;
mod instant;
mod output;
mod redrive;
mod requests;
mod schedules;
mod selections;
mod verbs;

pub use args::{Connection, Verb};
pub use failure::Failure;

/// The command with the arguments of [`Connection`] on every verb that talks to a server.
pub fn with_connection(mut command: clap::Command) -> clap::Command {
    use clap::{Args, Subcommand};
    let verbs = Verb::augment_subcommands(clap::Command::new("verbs"));
    for verb in verbs.get_subcommands() {
        let (about, long_about) = (verb.get_about().cloned(), verb.get_long_about().cloned());
        command = command.mut_subcommand(verb.get_name(), |verb| {
            // It would bring its own description as well.
            let verb = Connection::augment_args(verb);
            let verb = verb.about(about.unwrap_or_default());
            match long_about {
                Some(long_about) => verb.long_about(long_about),
                None => verb.long_about(None),
            }
        });
    }
    command
}

/// Carries out a verb.
pub fn run(verb: Verb, connection: &Connection) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::Failed(format!("starting the runtime: {error}")))?;
    runtime.block_on(verbs::run(verb, connection))
}
