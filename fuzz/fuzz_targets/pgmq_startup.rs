//! The first packet of a pgmq connection, before anybody is known.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| kyu_pgmq::fuzzing::startup(bytes));
