//! kyu-broker
