//! The `kyu` command.

mod banner;
mod cli;
mod exit;
mod log_tool;
mod outbox;
mod serve;

use std::process::ExitCode;

use clap::{ArgMatches, CommandFactory, FromArgMatches};

/// Memory comes from jemalloc, whose own threads give back to the system what has been free for ten
/// seconds: one large statement or answer does not stay with the process for ever.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    let matches = kyu_cli::with_connection(cli::Cli::command()).get_matches();
    let cli = match cli::Cli::from_arg_matches(&matches) {
        Ok(cli) => cli,
        Err(error) => error.exit(),
    };
    start_tracing(cli.log_level.as_deref());
    let ended = match cli.command {
        None => serve::server(cli.server),
        Some(cli::Command::Server(args)) => serve::server(args),
        Some(cli::Command::Dev(args)) => serve::dev(args),
        Some(cli::Command::Outbox(args)) => outbox::run(args),
        Some(cli::Command::Verb(verb)) => talk(verb, &matches),
        Some(cli::Command::Log(cli::LogCommand::Verify(args))) => log_tool::verify(&args),
        Some(cli::Command::Log(cli::LogCommand::Repair(args))) => log_tool::repair(&args),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("kyu: {failure}");
            failure.code()
        }
    }
}

/// A verb that talks to a server; the arguments about which one stand beside it.
fn talk(verb: kyu_cli::Verb, matches: &ArgMatches) -> Result<(), exit::Failure> {
    let arguments = matches.subcommand().map_or(matches, |(_, below)| below);
    let connection = kyu_cli::Connection::from_arg_matches(arguments);
    let connection = connection.unwrap_or_else(|error| error.exit());
    kyu_cli::run(verb, &connection).map_err(exit::Failure::Client)
}

/// Diagnostics go to standard error; standard output is data.
fn start_tracing(level: Option<&str>) {
    use std::io::IsTerminal;
    let filter = tracing_subscriber::EnvFilter::new(level.unwrap_or("info"));
    let colour = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(colour)
        .with_target(false)
        .init();
}
