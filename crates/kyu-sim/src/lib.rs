//! kyu-sim
