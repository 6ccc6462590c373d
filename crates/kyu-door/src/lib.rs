//! kyu-door
