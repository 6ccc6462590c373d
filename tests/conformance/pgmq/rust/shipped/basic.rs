include!(concat!(env!("PGMQ_SOURCE"), "/examples/basic.rs"));
