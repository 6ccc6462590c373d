//! kyu
fn main() {}
