//! Protocol: how peers talk to the broker over a stream of bytes.

pub mod amqp;
