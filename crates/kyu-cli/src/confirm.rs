//! Asking before something is destroyed.

use std::io::{BufRead, IsTerminal, Write};

use crate::failure::Failure;

/// Asks on the terminal; without one, `--yes` must have said it.
pub(crate) fn confirm(what: &str, yes: bool) -> Result<(), Failure> {
    if yes {
        return Ok(());
    }
    let stdin = std::io::stdin();
    if !stdin.is_terminal() {
        return Err(Failure::Usage(format!("{what} asks first: say --yes, or use a terminal")));
    }
    eprint!("{what}? [y/N] ");
    let _shown = std::io::stderr().flush();
    let mut answer = String::new();
    let read = stdin.lock().read_line(&mut answer);
    let answer = answer.trim().to_ascii_lowercase();
    if read.is_ok() && (answer == "y" || answer == "yes") {
        return Ok(());
    }
    Err(Failure::Failed("not confirmed; nothing was done".into()))
}
