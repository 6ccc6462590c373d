//! kyu-aws
