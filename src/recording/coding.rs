//! Coding: the values in a recording to bytes and back.
//!
//! Numbers are big-endian; texts, bytes and tables have four octets of length before them, lists the number of their
//! values. A value that may be missing has an octet before it, 1 if it is there. An enum is the number of its variant,
//! then its fields in order. Numbers are never used again for something else.

use std::cell::OnceCell;

use crate::broker::{ApplyTo, Binding, Config, Consume, ExchangeDeclaration, Policy, QueueDeclaration};
use crate::embedded::Verb;
use crate::id::TransportId;
use crate::journal::{Options, Segment, StoreError};
use crate::limits::Limits;
use crate::protocol::{Peer, Protocol, amqp};
use crate::server::Input;
use crate::table::Table;
use crate::wire::{Malformed, Reader, put_long_string};

/// Values that are behind a reference in what was read.
#[derive(Default)]
pub(super) struct Slots {
    table: OnceCell<Table>,
    policy: OnceCell<Policy>,
    peer: OnceCell<Peer>,
    numbers: OnceCell<Vec<f64>>,
}

/// Bytes to be read, and places for what is read from them.
pub(super) struct Decoder<'a> {
    reader: Reader<'a>,
    slots: &'a Slots,
}

impl<'a> Decoder<'a> {
    pub(super) fn new(bytes: &'a [u8], slots: &'a Slots) -> Self {
        Self { reader: Reader::new(bytes), slots }
    }

    pub(super) fn rest_bytes(&self) -> usize {
        self.reader.rest().len()
    }
}

/// A value that can be in a recording.
pub(super) trait Coded<'a>: Sized {
    fn put(&self, out: &mut Vec<u8>);
    fn take(from: &mut Decoder<'a>) -> Result<Self, Malformed>;
}

/// Returns a value as bytes.
pub(super) fn coded<'a>(value: &impl Coded<'a>) -> Vec<u8> {
    let mut bytes = Vec::new();
    value.put(&mut bytes);
    bytes
}

macro_rules! numbers {
    ($($type:ty: $read:ident),*) => {
        $(impl Coded<'_> for $type {
            fn put(&self, out: &mut Vec<u8>) {
                out.extend_from_slice(&self.to_be_bytes());
            }

            fn take(from: &mut Decoder<'_>) -> Result<Self, Malformed> {
                from.reader.$read().map(|number| number as $type)
            }
        })*
    };
}

numbers!(u8: octet, u16: short, u32: long, i32: long, u64: longlong);

impl Coded<'_> for usize {
    fn put(&self, out: &mut Vec<u8>) {
        (*self as u64).put(out);
    }

    fn take(from: &mut Decoder<'_>) -> Result<Self, Malformed> {
        // What does not fit is a limit that there was none.
        Ok(from.reader.longlong()?.try_into().unwrap_or(Self::MAX))
    }
}

impl Coded<'_> for bool {
    fn put(&self, out: &mut Vec<u8>) {
        out.push((*self).into());
    }

    fn take(from: &mut Decoder<'_>) -> Result<Self, Malformed> {
        Ok(from.reader.octet()? != 0)
    }
}

impl Coded<'_> for () {
    fn put(&self, _: &mut Vec<u8>) {}

    fn take(_: &mut Decoder<'_>) -> Result<Self, Malformed> {
        Ok(())
    }
}

impl Coded<'_> for [u8; 32] {
    fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self);
    }

    fn take(from: &mut Decoder<'_>) -> Result<Self, Malformed> {
        Ok(from.reader.bytes(32)?.try_into().expect("so many were asked for"))
    }
}

impl<'a> Coded<'a> for &'a [u8] {
    fn put(&self, out: &mut Vec<u8>) {
        put_long_string(out, self);
    }

    fn take(from: &mut Decoder<'a>) -> Result<Self, Malformed> {
        from.reader.long_string()
    }
}

impl<'a> Coded<'a> for &'a str {
    fn put(&self, out: &mut Vec<u8>) {
        self.as_bytes().put(out);
    }

    fn take(from: &mut Decoder<'a>) -> Result<Self, Malformed> {
        std::str::from_utf8(from.reader.long_string()?).map_err(|_| Malformed("a text is not UTF-8"))
    }
}

impl Coded<'_> for Box<str> {
    fn put(&self, out: &mut Vec<u8>) {
        (&**self).put(out);
    }

    fn take(from: &mut Decoder<'_>) -> Result<Self, Malformed> {
        <&str>::take(from).map(Self::from)
    }
}

impl Coded<'_> for Table {
    fn put(&self, out: &mut Vec<u8>) {
        let mut entries = Vec::new();
        // A table with a key that is too long is not from a peer, and no verb takes it.
        let is_coded = self.encode(&mut entries).is_ok();
        put_long_string(out, if is_coded { &entries } else { &[] });
    }

    fn take(from: &mut Decoder<'_>) -> Result<Self, Malformed> {
        Self::decode(from.reader.long_string()?)
    }
}

impl<'a, T: Coded<'a>> Coded<'a> for Option<T> {
    fn put(&self, out: &mut Vec<u8>) {
        self.is_some().put(out);
        self.iter().for_each(|value| value.put(out));
    }

    fn take(from: &mut Decoder<'a>) -> Result<Self, Malformed> {
        if bool::take(from)? { T::take(from).map(Some) } else { Ok(None) }
    }
}

impl<'a, T: Coded<'a>> Coded<'a> for Result<T, StoreError> {
    fn put(&self, out: &mut Vec<u8>) {
        self.is_ok().put(out);
        match self {
            Ok(value) => value.put(out),
            Err(error) => error.0.put(out),
        }
    }

    fn take(from: &mut Decoder<'a>) -> Result<Self, Malformed> {
        Ok(if bool::take(from)? { Ok(T::take(from)?) } else { Err(StoreError(Coded::take(from)?)) })
    }
}

impl<'a, T: Coded<'a>> Coded<'a> for Vec<T> {
    fn put(&self, out: &mut Vec<u8>) {
        self.len().put(out);
        self.iter().for_each(|value| value.put(out));
    }

    fn take(from: &mut Decoder<'a>) -> Result<Self, Malformed> {
        (0..usize::take(from)?).map(|_| T::take(from)).collect()
    }
}

impl<'a, T: Coded<'a>, U: Coded<'a>> Coded<'a> for (T, U) {
    fn put(&self, out: &mut Vec<u8>) {
        self.0.put(out);
        self.1.put(out);
    }

    fn take(from: &mut Decoder<'a>) -> Result<Self, Malformed> {
        Ok((T::take(from)?, U::take(from)?))
    }
}

/// References to values that are read into a slot; no input has two of a kind.
macro_rules! behind {
    ($($type:ty: $slot:ident),*) => {
        $(impl<'a> Coded<'a> for &'a $type {
            fn put(&self, out: &mut Vec<u8>) {
                (**self).put(out);
            }

            fn take(from: &mut Decoder<'a>) -> Result<Self, Malformed> {
                let value = <$type>::take(from)?;
                Ok(from.slots.$slot.get_or_init(|| value))
            }
        })*
    };
}

behind!(Table: table, Policy: policy, Peer: peer);

impl<'a> Coded<'a> for &'a [f64] {
    fn put(&self, out: &mut Vec<u8>) {
        self.len().put(out);
        self.iter().for_each(|number| number.to_bits().put(out));
    }

    fn take(from: &mut Decoder<'a>) -> Result<Self, Malformed> {
        let numbers = Vec::<u64>::take(from)?.into_iter().map(f64::from_bits).collect();
        Ok(from.slots.numbers.get_or_init(|| numbers))
    }
}

impl Coded<'_> for TransportId {
    fn put(&self, out: &mut Vec<u8>) {
        self.index().put(out);
    }

    fn take(from: &mut Decoder<'_>) -> Result<Self, Malformed> {
        u64::take(from).map(Self::from_index)
    }
}

impl Coded<'_> for ApplyTo {
    fn put(&self, out: &mut Vec<u8>) {
        self.name().put(out);
    }

    fn take(from: &mut Decoder<'_>) -> Result<Self, Malformed> {
        Self::named(<&str>::take(from)?).ok_or(Malformed("a policy applies to things of an unknown kind"))
    }
}

impl Coded<'_> for Protocol {
    fn put(&self, out: &mut Vec<u8>) {
        self.name.put(out);
    }

    fn take(from: &mut Decoder<'_>) -> Result<Self, Malformed> {
        let name = <&str>::take(from)?;
        (name == amqp::PROTOCOL.name).then_some(amqp::PROTOCOL).ok_or(Malformed("a protocol is unknown"))
    }
}

/// Structs, field after field.
macro_rules! structs {
    ($($name:ident $(<$life:lifetime>)? { $($field:ident),* })*) => {
        $(impl<'a> Coded<'a> for $name $(<$life>)? {
            fn put(&self, out: &mut Vec<u8>) {
                let Self { $($field),* } = self;
                $($field.put(out);)*
            }

            fn take(from: &mut Decoder<'a>) -> Result<Self, Malformed> {
                Ok(Self { $($field: Coded::take(from)?),* })
            }
        })*
    };
}

structs! {
    Config { seed, limits }
    Limits {
        frame_max_bytes, channel_max, heartbeat_s, login_timeout_ms, message_max_bytes, memory_max_bytes,
        memory_high_bytes, memory_page_bytes, output_high_bytes
    }
    Options { segment_bytes, leadership_min, salvage }
    Segment { number, leadership }
    Peer { loopback, name, host, port, tls, certificate_name, mechanisms }
    Policy { pattern, apply_to, priority, definition }
    ExchangeDeclaration<'a> { name, kind, passive, durable, auto_delete, internal, arguments }
    QueueDeclaration<'a> { name, passive, durable, exclusive, auto_delete, arguments }
    Binding<'a> { source, destination, routing_key, arguments }
    Consume<'a> { queue, consumer_tag, no_ack, exclusive, arguments }
}

/// Enums: the number of each variant, and its fields.
macro_rules! enums {
    ($($name:ident { $($number:literal $variant:ident $({ $($field:ident),* })? $([$inner:ident])?,)* })*) => {
        $(impl<'a> Coded<'a> for $name<'a> {
            fn put(&self, out: &mut Vec<u8>) {
                match self {
                    $(Self::$variant $({ $($field),* })? $(($inner))? => {
                        out.push($number);
                        $($($field.put(out);)*)?
                        $($inner.put(out);)?
                    })*
                }
            }

            fn take(from: &mut Decoder<'a>) -> Result<Self, Malformed> {
                Ok(match from.reader.octet()? {
                    $($number => {
                        $(let $inner = Coded::take(from)?;)?
                        Self::$variant $({ $($field: Coded::take(from)?),* })? $(($inner))?
                    })*
                    _ => return Err(Malformed("an input is of an unknown kind")),
                })
            }
        })*
    };
}

enums! {
    Input {
        0 SetNow { now_ms },
        1 Turn { now_ms },
        2 Connect { protocol, peer },
        3 Receive { id, bytes },
        4 Disconnected { id },
        5 SetWritable { id, is_writable },
        6 NextOutput,
        7 OutputTaken { id, bytes },
        8 Close { id, reason },
        9 Shutdown,
        10 AccessChanged,
        11 MatcherChanged,
        12 AddVirtualHost { name },
        13 DeleteVirtualHost { name },
        14 LimitVirtualHost { name, connections, queues, prefers_quorum },
        15 Verb [verb],
        16 StartFlush,
        17 Flushed { mark },
        18 StoreFailed { reason },
        19 CurrentWrite,
        20 CloseJournal,
    }
    Verb {
        0 Enter { virtual_host },
        1 DeclareExchange [exchange],
        2 DeleteExchange { name, if_unused },
        3 BindQueue [binding],
        4 UnbindQueue [binding],
        5 BindExchange [binding],
        6 UnbindExchange [binding],
        7 DeclareQueue [queue],
        8 DeclareNamed [queue],
        9 PurgeQueue { name },
        10 DeleteQueue { name, if_unused, if_empty },
        11 Publish { exchange, routing_key, properties, body },
        12 PublishBatch { exchange, routing_key, packed },
        13 Get { queue, max, no_ack, visibility_timeout_ms },
        14 Consume { consume, prefetch },
        15 Cancel { consumer_tag },
        16 Ack { delivery_tag, multiple },
        17 AckBatch { delivery_tags },
        18 Nack { delivery_tag, multiple, requeue },
        19 NackAfter { delivery_tag, delay_ms },
        20 SetPolicy { name, policy },
        21 SetOperatorPolicy { name, policy },
        22 DeletePolicy { name },
        23 ClearBatch,
        24 TakeRefused,
        25 TakeCancelled,
    }
}
