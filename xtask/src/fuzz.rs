//! `cargo xtask fuzz TARGET SECONDS`: libFuzzer on a parser that reads bytes before authentication.
//!
//! Coverage comes from flags that the stable compiler passes to LLVM, so that neither nightly nor
//! cargo-fuzz has to be there.

use crate::run::{Failure, Run};

/// What `cargo fuzz` would set, less the address sanitizer, which needs nightly: no crate of ours
/// has unsafe code.
const COVERAGE_FLAGS: &str = "--cfg fuzzing -Ccodegen-units=1 -Cpasses=sancov-module \
     -Cllvm-args=-sanitizer-coverage-level=4 \
     -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
     -Cllvm-args=-sanitizer-coverage-pc-table";

/// With an explicit target, flags do not reach build scripts, which would not link.
const TRIPLE: &str = if cfg!(target_arch = "aarch64") {
    "aarch64-unknown-linux-gnu"
} else {
    "x86_64-unknown-linux-gnu"
};

pub(crate) fn run(rest: &[String]) -> Result<(), Failure> {
    let [target, seconds] = rest else {
        return Err(Failure::usage("fuzz needs a TARGET (see fuzz/fuzz_targets) and SECONDS"));
    };
    let seconds: u32 = seconds.parse().map_err(|_| Failure::usage("SECONDS is a whole number"))?;
    let dir = crate::root().join("fuzz");
    let corpus = dir.join("corpus").join(target);
    std::fs::create_dir_all(&corpus)
        .map_err(|error| Failure::usage(&format!("{}: {error}", corpus.display())))?;
    Run::cargo(["build", "--release", "--locked", "--target", TRIPLE, "--bin", target])
        .dir(&dir)
        .env("RUSTFLAGS", COVERAGE_FLAGS)
        .env("CARGO_TARGET_DIR", dir.join("target"))
        .step("build for fuzz")?;
    Run::new(dir.join("target").join(TRIPLE).join("release").join(target))
        .dir(&dir)
        .arg(corpus)
        .arg(format!("-max_total_time={seconds}"))
        .step(&format!("fuzz {target}"))
}
