//! Tests: every method that we decode or encode, against the crate amq-protocol.

use amq_protocol::frame::parsing::traits::ParsableInput;
use amq_protocol::protocol::AMQPClass::{self, Access, Basic, Channel, Confirm, Connection, Exchange, Queue, Tx};
use amq_protocol::protocol::{access, basic, channel, confirm, connection, exchange, queue, tx};
use amq_protocol::protocol::{gen_class, parse_class};
use amq_protocol::types::{AMQPValue, FieldTable, ShortString};
use proptest::prelude::*;

use super::*;

/// Values for the arguments of any method.
#[derive(Clone, Debug)]
struct Sample {
    a: String,
    b: String,
    c: String,
    short: u16,
    long: u32,
    longlong: u64,
    bits: [bool; 5],
}

fn samples() -> impl Strategy<Value = Sample> {
    let text = || proptest::string::string_regex("[a-zäß.#*-]{0,60}").unwrap();
    (text(), text(), text(), any::<u16>(), any::<u32>(), any::<u64>(), any::<[bool; 5]>())
        .prop_map(|(a, b, c, short, long, longlong, bits)| Sample { a, b, c, short, long, longlong, bits })
}

fn short(text: &str) -> ShortString {
    text.into()
}

fn table(sample: &Sample) -> FieldTable {
    let mut table = FieldTable::default();
    table.insert(short(&sample.a), AMQPValue::LongInt(sample.long as i32));
    table.insert(short("other"), AMQPValue::LongString(sample.b.as_str().into()));
    table
}

/// The same table as encoded bytes, without its length.
fn raw_table(sample: &Sample) -> Vec<u8> {
    let encoded = their_bytes(&Connection(connection::AMQPMethod::StartOk(connection::StartOk {
        client_properties: table(sample),
        mechanism: short(""),
        response: "".into(),
        locale: short(""),
    })));
    encoded[8..encoded.len() - 6].to_vec()
}

fn their_bytes(class: &AMQPClass) -> Vec<u8> {
    gen_class(class)(Vec::new().into()).unwrap().into_inner().0
}

fn our_bytes(method: &dyn Encode) -> Vec<u8> {
    let mut bytes = Vec::new();
    method.encode(&mut bytes);
    bytes
}

fn their_reading<I: ParsableInput>(bytes: I) -> AMQPClass {
    parse_class(bytes).map_err(|_| "refused by amq-protocol").unwrap().1
}

/// Checks that we decode what amq-protocol encodes, but not with a byte more or less.
fn read_alike(theirs: AMQPClass, ours: Method<'_>) {
    let mut bytes = their_bytes(&theirs);
    assert_eq!(decode(&bytes).unwrap().1, ours);
    bytes.push(0);
    assert!(decode(&bytes).is_err(), "{ours:?} with a byte too many");
    for end in 0..bytes.len() - 1 {
        assert!(decode(&bytes[..end]).is_err(), "{ours:?} cut at {end}");
    }
}

/// Checks that amq-protocol decodes what we encode.
fn write_alike(ours: &dyn Encode, theirs: AMQPClass) {
    assert_eq!(their_reading(&our_bytes(ours)[..]), theirs);
}

fn received_on_connection(sample: &Sample) {
    use connection::AMQPMethod as Their;
    let (raw, Sample { a, b, c, short: n, long, .. }) = (&raw_table(sample), sample);
    let start_ok = connection::StartOk {
        client_properties: table(sample),
        mechanism: short(a),
        response: b.as_str().into(),
        locale: short(c),
    };
    read_alike(
        Connection(Their::StartOk(start_ok)),
        Method::ConnectionStartOk(ConnectionStartOk { client_properties: raw, mechanism: a, response: b.as_bytes() }),
    );
    let (channel_max, frame_max, heartbeat) = (*n, *long, n / 2);
    read_alike(
        Connection(Their::TuneOk(connection::TuneOk { channel_max, frame_max, heartbeat })),
        Method::ConnectionTuneOk(ConnectionTuneOk { channel_max, frame_max, heartbeat }),
    );
    read_alike(
        Connection(Their::Open(connection::Open { virtual_host: short(a) })),
        Method::ConnectionOpen(ConnectionOpen { virtual_host: a }),
    );
    let close = connection::Close { reply_code: *n, reply_text: short(a), class_id: 1, method_id: 2 };
    let our_close = ConnectionClose { reply_code: *n, reply_text: a, class_id: 1, method_id: 2 };
    read_alike(Connection(Their::Close(close.clone())), Method::ConnectionClose(our_close));
    write_alike(&our_close, Connection(Their::Close(close)));
    read_alike(Connection(Their::CloseOk(connection::CloseOk {})), Method::ConnectionCloseOk);
    let update = connection::UpdateSecret { new_secret: a.as_str().into(), reason: short(b) };
    let ours = ConnectionUpdateSecret { new_secret: a.as_bytes() };
    read_alike(Connection(Their::UpdateSecret(update)), Method::ConnectionUpdateSecret(ours));
}

fn received_on_channels(sample: &Sample) {
    use channel::AMQPMethod as Their;
    let Sample { a, short: n, bits: [active, passive, exclusive, write, read], .. } = sample.clone();
    read_alike(Channel(Their::Open(channel::Open {})), Method::ChannelOpen);
    read_alike(Channel(Their::Flow(channel::Flow { active })), Method::ChannelFlow(ChannelFlow { active }));
    let close = channel::Close { reply_code: n, reply_text: short(&a), class_id: 60, method_id: n };
    let our_close = ChannelClose { reply_code: n, reply_text: &a, class_id: 60, method_id: n };
    read_alike(Channel(Their::Close(close.clone())), Method::ChannelClose(our_close));
    write_alike(&our_close, Channel(Their::Close(close)));
    read_alike(Channel(Their::CloseOk(channel::CloseOk {})), Method::ChannelCloseOk);
    let request = access::Request { realm: short(&a), exclusive, passive, active, write, read };
    read_alike(Access(access::AMQPMethod::Request(request)), Method::AccessRequest);
    read_alike(Tx(tx::AMQPMethod::Select(tx::Select {})), Method::TxSelect);
    read_alike(Tx(tx::AMQPMethod::Commit(tx::Commit {})), Method::TxCommit);
    read_alike(Tx(tx::AMQPMethod::Rollback(tx::Rollback {})), Method::TxRollback);
    let select = confirm::AMQPMethod::Select(confirm::Select { nowait: active });
    read_alike(Confirm(select), Method::ConfirmSelect(ConfirmSelect { nowait: active }));
}

fn received_about_exchanges(sample: &Sample) {
    use exchange::AMQPMethod as Their;
    let (raw, arguments) = (&raw_table(sample)[..], table(sample));
    let Sample { a, b, c, bits: [passive, durable, auto_delete, internal, nowait], .. } = sample.clone();
    let (exchange, kind) = (short(&a), short(&b));
    let declare = exchange::Declare {
        exchange,
        kind,
        passive,
        durable,
        auto_delete,
        internal,
        nowait,
        arguments: arguments.clone(),
    };
    let (exchange, kind) = (&*a, &*b);
    let ours = ExchangeDeclare { exchange, kind, passive, durable, auto_delete, internal, nowait, arguments: raw };
    read_alike(Exchange(Their::Declare(declare)), Method::ExchangeDeclare(ours));
    let if_unused = passive;
    read_alike(
        Exchange(Their::Delete(exchange::Delete { exchange: short(&a), if_unused, nowait })),
        Method::ExchangeDelete(ExchangeDelete { exchange, if_unused, nowait }),
    );
    let (destination, source, routing_key) = (short(&a), short(&b), short(&c));
    let bind = exchange::Bind { destination, source, routing_key, nowait, arguments: arguments.clone() };
    let (destination, source, routing_key) = (&*a, &*b, &*c);
    let ours = ExchangeBind { destination, source, routing_key, nowait, arguments: raw };
    read_alike(Exchange(Their::Bind(bind)), Method::ExchangeBind(ours));
    let (destination, source, routing_key) = (short(&a), short(&b), short(&c));
    let unbind = exchange::Unbind { destination, source, routing_key, nowait, arguments };
    let (destination, source, routing_key) = (&*a, &*b, &*c);
    let ours = ExchangeUnbind { destination, source, routing_key, nowait, arguments: raw };
    read_alike(Exchange(Their::Unbind(unbind)), Method::ExchangeUnbind(ours));
}

fn received_about_queues(sample: &Sample) {
    use queue::AMQPMethod as Their;
    let (raw, arguments) = (&raw_table(sample)[..], table(sample));
    let Sample { a, b, c, bits: [passive, durable, exclusive, auto_delete, nowait], .. } = sample.clone();
    let declare = queue::Declare {
        queue: short(&a),
        passive,
        durable,
        exclusive,
        auto_delete,
        nowait,
        arguments: arguments.clone(),
    };
    let (queue, exchange, routing_key) = (&*a, &*b, &*c);
    let ours = QueueDeclare { queue, passive, durable, exclusive, auto_delete, nowait, arguments: raw };
    read_alike(Queue(Their::Declare(declare)), Method::QueueDeclare(ours));
    let (q, e, r) = (short(&a), short(&b), short(&c));
    let bind = queue::Bind {
        queue: q.clone(),
        exchange: e.clone(),
        routing_key: r.clone(),
        nowait,
        arguments: arguments.clone(),
    };
    let ours = QueueBind { queue, exchange, routing_key, nowait, arguments: raw };
    read_alike(Queue(Their::Bind(bind)), Method::QueueBind(ours));
    let unbind = queue::Unbind { queue: q.clone(), exchange: e, routing_key: r, arguments };
    let ours = QueueUnbind { queue, exchange, routing_key, arguments: raw };
    read_alike(Queue(Their::Unbind(unbind)), Method::QueueUnbind(ours));
    let purge = queue::Purge { queue: q.clone(), nowait };
    read_alike(Queue(Their::Purge(purge)), Method::QueuePurge(QueuePurge { queue, nowait }));
    let (if_unused, if_empty) = (passive, durable);
    let delete = queue::Delete { queue: q, if_unused, if_empty, nowait };
    read_alike(Queue(Their::Delete(delete)), Method::QueueDelete(QueueDelete { queue, if_unused, if_empty, nowait }));
}

fn received_about_messages(sample: &Sample) {
    use basic::AMQPMethod as Their;
    let (raw, arguments) = (&raw_table(sample)[..], table(sample));
    let Sample { a, b, short: n, longlong, bits: [no_local, no_ack, exclusive, nowait, global], .. } = sample.clone();
    let (queue, consumer_tag) = (short(&a), short(&b));
    let consume =
        basic::Consume { queue, consumer_tag: consumer_tag.clone(), no_local, no_ack, exclusive, nowait, arguments };
    let ours = BasicConsume { queue: &a, consumer_tag: &b, no_ack, exclusive, nowait, arguments: raw };
    read_alike(Basic(Their::Consume(consume)), Method::BasicConsume(ours));
    let cancel = basic::Cancel { consumer_tag, nowait };
    let our_cancel = BasicCancel { consumer_tag: &b, nowait };
    read_alike(Basic(Their::Cancel(cancel.clone())), Method::BasicCancel(our_cancel));
    write_alike(&our_cancel, Basic(Their::Cancel(cancel)));
    let (mandatory, immediate) = (no_ack, exclusive);
    let publish = basic::Publish { exchange: short(&a), routing_key: short(&b), mandatory, immediate };
    let ours = BasicPublish { exchange: &a, routing_key: &b, mandatory, immediate };
    read_alike(Basic(Their::Publish(publish)), Method::BasicPublish(ours));
    let qos = basic::Qos { prefetch_count: n, global };
    let ours = BasicQos { prefetch_size: 0, prefetch_count: n, global };
    read_alike(Basic(Their::Qos(qos)), Method::BasicQos(ours));
    let get = basic::Get { queue: short(&a), no_ack };
    read_alike(Basic(Their::Get(get)), Method::BasicGet(BasicGet { queue: &a, no_ack }));
    received_about_settling(longlong, no_ack, exclusive);
}

fn received_about_settling(delivery_tag: u64, multiple: bool, requeue: bool) {
    use basic::AMQPMethod as Their;
    let our_ack = BasicAck { delivery_tag, multiple };
    read_alike(Basic(Their::Ack(basic::Ack { delivery_tag, multiple })), Method::BasicAck(our_ack));
    write_alike(&our_ack, Basic(Their::Ack(basic::Ack { delivery_tag, multiple })));
    read_alike(
        Basic(Their::Nack(basic::Nack { delivery_tag, multiple, requeue })),
        Method::BasicNack(BasicNack { delivery_tag, multiple, requeue }),
    );
    read_alike(
        Basic(Their::Reject(basic::Reject { delivery_tag, requeue })),
        Method::BasicReject(BasicReject { delivery_tag, requeue }),
    );
    read_alike(Basic(Their::Recover(basic::Recover { requeue })), Method::BasicRecover(BasicRecover { requeue }));
    let recover_async = basic::RecoverAsync { requeue };
    read_alike(Basic(Their::RecoverAsync(recover_async)), Method::BasicRecoverAsync(BasicRecoverAsync { requeue }));
}

fn sent_on_connection(sample: &Sample) {
    use connection::AMQPMethod as Their;
    let (raw, Sample { a, b, short: n, long, .. }) = (&raw_table(sample), sample);
    let (version_major, version_minor, server_properties) = (0, 9, table(sample));
    let (mechanisms, locales) = (a.as_str().into(), b.as_str().into());
    let start = connection::Start { version_major, version_minor, server_properties, mechanisms, locales };
    let (server_properties, mechanisms, locales) = (&raw[..], a.as_bytes(), b.as_bytes());
    let ours = ConnectionStart { version_major, version_minor, server_properties, mechanisms, locales };
    write_alike(&ours, Connection(Their::Start(start)));
    let (channel_max, frame_max, heartbeat) = (*n, *long, n / 2);
    let tune = connection::Tune { channel_max, frame_max, heartbeat };
    write_alike(&ConnectionTune { channel_max, frame_max, heartbeat }, Connection(Their::Tune(tune)));
    write_alike(&ConnectionOpenOk, Connection(Their::OpenOk(connection::OpenOk {})));
    write_alike(&ConnectionCloseOk, Connection(Their::CloseOk(connection::CloseOk {})));
    write_alike(&ConnectionUpdateSecretOk, Connection(Their::UpdateSecretOk(connection::UpdateSecretOk {})));
}

fn sent_on_channels(active: bool) {
    write_alike(&ChannelOpenOk, Channel(channel::AMQPMethod::OpenOk(channel::OpenOk {})));
    write_alike(&ChannelFlowOk { active }, Channel(channel::AMQPMethod::FlowOk(channel::FlowOk { active })));
    write_alike(&ChannelCloseOk, Channel(channel::AMQPMethod::CloseOk(channel::CloseOk {})));
    write_alike(&AccessRequestOk, Access(access::AMQPMethod::RequestOk(access::RequestOk {})));
    write_alike(&ConfirmSelectOk, Confirm(confirm::AMQPMethod::SelectOk(confirm::SelectOk {})));
    write_alike(&ExchangeDeclareOk, Exchange(exchange::AMQPMethod::DeclareOk(exchange::DeclareOk {})));
    write_alike(&ExchangeDeleteOk, Exchange(exchange::AMQPMethod::DeleteOk(exchange::DeleteOk {})));
    write_alike(&ExchangeBindOk, Exchange(exchange::AMQPMethod::BindOk(exchange::BindOk {})));
    write_alike(&ExchangeUnbindOk, Exchange(exchange::AMQPMethod::UnbindOk(exchange::UnbindOk {})));
    write_alike(&QueueBindOk, Queue(queue::AMQPMethod::BindOk(queue::BindOk {})));
    write_alike(&QueueUnbindOk, Queue(queue::AMQPMethod::UnbindOk(queue::UnbindOk {})));
    write_alike(&BasicQosOk, Basic(basic::AMQPMethod::QosOk(basic::QosOk {})));
    write_alike(&BasicGetEmpty, Basic(basic::AMQPMethod::GetEmpty(basic::GetEmpty {})));
    write_alike(&BasicRecoverOk, Basic(basic::AMQPMethod::RecoverOk(basic::RecoverOk {})));
}

fn sent_about_messages(sample: &Sample) {
    use basic::AMQPMethod as Their;
    let Sample { a, b, c, short: n, long, longlong: delivery_tag, bits: [redelivered, ..] } = sample.clone();
    let (tag, e, r) = (short(&a), short(&b), short(&c));
    let (message_count, consumer_count) = (long, n.into());
    let (consumer_tag, exchange, routing_key) = (&*a, &*b, &*c);
    let declare_ok = queue::DeclareOk { queue: tag.clone(), message_count, consumer_count };
    let ours = QueueDeclareOk { queue: &a, message_count, consumer_count };
    write_alike(&ours, Queue(queue::AMQPMethod::DeclareOk(declare_ok)));
    let purge_ok = queue::PurgeOk { message_count };
    write_alike(&QueuePurgeOk { message_count }, Queue(queue::AMQPMethod::PurgeOk(purge_ok)));
    let delete_ok = queue::DeleteOk { message_count };
    write_alike(&QueueDeleteOk { message_count }, Queue(queue::AMQPMethod::DeleteOk(delete_ok)));
    let consume_ok = basic::ConsumeOk { consumer_tag: tag.clone() };
    write_alike(&BasicConsumeOk { consumer_tag }, Basic(Their::ConsumeOk(consume_ok)));
    let cancel_ok = basic::CancelOk { consumer_tag: tag.clone() };
    write_alike(&BasicCancelOk { consumer_tag }, Basic(Their::CancelOk(cancel_ok)));
    let ret = basic::Return { reply_code: n, reply_text: tag.clone(), exchange: e.clone(), routing_key: r.clone() };
    write_alike(&BasicReturn { reply_code: n, reply_text: &a, exchange, routing_key }, Basic(Their::Return(ret)));
    let deliver =
        basic::Deliver { consumer_tag: tag, delivery_tag, redelivered, exchange: e.clone(), routing_key: r.clone() };
    let ours = BasicDeliver { consumer_tag, delivery_tag, redelivered, exchange, routing_key };
    write_alike(&ours, Basic(Their::Deliver(deliver)));
    let get_ok = basic::GetOk { delivery_tag, redelivered, exchange: e, routing_key: r, message_count };
    let ours = BasicGetOk { delivery_tag, redelivered, exchange, routing_key, message_count };
    write_alike(&ours, Basic(Their::GetOk(get_ok)));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_clients_write_is_what_we_read(sample in samples()) {
        received_on_connection(&sample);
        received_on_channels(&sample);
        received_about_exchanges(&sample);
        received_about_queues(&sample);
        received_about_messages(&sample);
    }

    #[test]
    fn what_we_write_is_what_clients_read(sample in samples()) {
        sent_on_connection(&sample);
        sent_on_channels(sample.bits[0]);
        sent_about_messages(&sample);
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..64), class in 1..10u8, method in 1..13u8) {
        let _ = decode(&[&[0, class * 10, 0, method * 10], &bytes[..]].concat());
    }
}

#[test]
fn short_strings_must_be_text() {
    let bytes = [0, 50, 0, 30, 0, 0, 1, 0xff, 0];
    let refusal = decode(&bytes).unwrap_err();
    assert_eq!(refusal.code, ReplyCode::SyntaxError);
    assert_eq!(refusal.method, MethodId { class: 50, method: 30 });
}

#[test]
fn unknown_methods_are_refused_by_name() {
    for bytes in [[0, 60, 0, 60], [0, 99, 0, 10]] {
        let refusal = decode(&bytes).unwrap_err();
        assert_eq!(refusal.reply_text("/"), "COMMAND_INVALID - unimplemented method");
        assert_eq!(refusal.method, MethodId { class: bytes[1].into(), method: bytes[3].into() });
    }
}
