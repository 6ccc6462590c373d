//! Messages of a pgmq client: frames, bodies, parameters of every type.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| kyu_pgmq::fuzzing::messages(bytes));
