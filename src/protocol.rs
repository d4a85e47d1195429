//! Protocol: the ways in which peers talk to the broker over a stream of bytes.

pub mod amqp;
