#![allow(unexpected_cfgs)]
include!(concat!(env!("PGMQ_SOURCE"), "/tests/pg_ext_integration_test.rs"));
