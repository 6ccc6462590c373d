include!(concat!(env!("PGMQ_SOURCE"), "/examples/transactions.rs"));
