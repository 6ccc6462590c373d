//! The body of a request, in both protocols, for all actions.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| kyu_aws::fuzzing::requests(bytes));
