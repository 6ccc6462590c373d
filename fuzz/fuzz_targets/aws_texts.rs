//! Receipt handles, queue URLs, ARNs.
#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| kyu_aws::fuzzing::texts(text));
