//! Commands and steps: each step says its name and its time, and a failed one how to repeat it.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

/// Why a verb ended, and what to type to see it again.
#[derive(Debug)]
pub(crate) struct Failure {
    what: String,
    repeat: Option<String>,
}

impl Failure {
    /// A step that found something wrong; `repeat` is the command that shows it again.
    pub(crate) fn new(what: impl Into<String>, repeat: impl Into<String>) -> Self {
        Self { what: what.into(), repeat: Some(repeat.into()) }
    }

    /// A call that makes no sense.
    pub(crate) fn usage(what: &str) -> Self {
        Self { what: what.to_owned(), repeat: None }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)?;
        match &self.repeat {
            Some(repeat) => write!(f, "\nrepeat it with:\n\n    {repeat}\n"),
            None => Ok(()),
        }
    }
}

/// A command to be run at the root of the repository, or elsewhere if told so.
#[derive(Clone, Debug)]
pub(crate) struct Run {
    program: OsString,
    args: Vec<OsString>,
    env: Vec<(OsString, OsString)>,
    dir: PathBuf,
}

impl Run {
    pub(crate) fn new(program: impl AsRef<OsStr>) -> Self {
        Self {
            program: program.as_ref().to_owned(),
            args: Vec::new(),
            env: Vec::new(),
            dir: crate::root(),
        }
    }

    /// The cargo that runs this xtask.
    pub(crate) fn cargo<S: AsRef<OsStr>>(args: impl IntoIterator<Item = S>) -> Self {
        Self::new("cargo").args(args)
    }

    pub(crate) fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.args.push(arg.as_ref().to_owned());
        self
    }

    pub(crate) fn args<S: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = S>) -> Self {
        self.args.extend(args.into_iter().map(|arg| arg.as_ref().to_owned()));
        self
    }

    pub(crate) fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.env.push((name.as_ref().to_owned(), value.as_ref().to_owned()));
        self
    }

    pub(crate) fn dir(mut self, dir: impl AsRef<Path>) -> Self {
        self.dir = dir.as_ref().to_path_buf();
        self
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.args(&self.args).current_dir(&self.dir).stdin(Stdio::null());
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Runs it as a step: its output is shown, its time is said, its failure ends the verb.
    pub(crate) fn step(&self, name: &str) -> Result<(), Failure> {
        step_by(name, &self.to_string(), || match self.command().status() {
            Ok(status) if status.success() => Ok(()),
            Ok(status) => Err(status.to_string()),
            Err(error) => Err(format!("cannot start: {error}")),
        })
    }

    /// Whether it runs and says yes; its output is not shown.
    pub(crate) fn succeeds(&self) -> bool {
        let quiet = self.command().stdout(Stdio::null()).stderr(Stdio::null()).status();
        quiet.is_ok_and(|status| status.success())
    }

    /// Its standard output, if it runs and succeeds.
    pub(crate) fn output(&self) -> Result<String, String> {
        let done = self.command().output().map_err(|error| format!("cannot start: {error}"))?;
        if done.status.success() {
            Ok(String::from_utf8_lossy(&done.stdout).into_owned())
        } else {
            Err(String::from_utf8_lossy(&done.stderr).into_owned())
        }
    }
}

impl fmt::Display for Run {
    /// A line to be pasted into a shell at the root of the repository.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let elsewhere =
            self.dir.strip_prefix(crate::root()).ok().filter(|dir| dir != &Path::new(""));
        if let Some(dir) = elsewhere {
            write!(f, "cd {} && ", dir.display())?;
        }
        for (name, value) in &self.env {
            write!(f, "{}={} ", name.display(), quoted(value))?;
        }
        f.write_str(&quoted(&self.program))?;
        for arg in &self.args {
            write!(f, " {}", quoted(arg))?;
        }
        Ok(())
    }
}

/// A program of the workspace, freshly built in the profile of the unit tests: with debug assertions,
/// and with the features that the whole workspace asks for, so that all programs share one build. The
/// tests share all of it but tokio and what stands on it: the server is tested without `test-util`.
pub(crate) fn built(program: &str) -> Result<PathBuf, Failure> {
    Run::cargo(["build", "--workspace", "--locked", "--bin", program]).step(program)?;
    Ok(crate::target().join("debug").join(program))
}

fn quoted(word: &OsStr) -> String {
    let text = word.to_string_lossy();
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,+@%".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        text.into_owned()
    } else {
        format!("'{}'", text.replace('\'', "'\\''"))
    }
}

/// A step that is not one command.
pub(crate) fn step_by(
    name: &str,
    repeat: &str,
    work: impl FnOnce() -> Result<(), String>,
) -> Result<(), Failure> {
    println!("\n=== {name}: {repeat}");
    let started = Instant::now();
    let result = work();
    let seconds = started.elapsed().as_secs_f32();
    match result {
        Ok(()) => {
            println!("=== {name}: ok in {seconds:.1} s");
            Ok(())
        }
        Err(reason) => {
            let what = format!("{name} failed after {seconds:.1} s: {reason}");
            Err(Failure::new(what, repeat))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_prints_as_a_shell_line() {
        let run =
            Run::new("py").args(["-k", "a b", "it's"]).env("X", "").dir(crate::root().join("t"));
        assert_eq!(run.to_string(), r"cd t && X='' py -k 'a b' 'it'\''s'");
    }

    #[test]
    fn a_failed_step_says_how_to_repeat_it() {
        let failure = Run::new("false").step("nothing").unwrap_err().to_string();
        assert!(failure.contains("nothing failed") && failure.contains("    false"), "{failure}");
    }
}
