//! lapin: programs in Rust over AMQP, and the errors they meet. The broker's address is in AMQP_URL.
#![cfg(test)]

mod channel;
mod connection;
mod messages;
mod support;
mod transactions;
