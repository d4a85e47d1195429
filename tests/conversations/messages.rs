//! Messages: published, confirmed, delivered and settled.

use super::*;
use crate::peer::*;
use pocketmq::embedded::Verb;
use pocketmq::limits::Limits;
use wasm_bindgen_test::wasm_bindgen_test;

#[wasm_bindgen_test(unsupported = test)]
fn messages_are_published_confirmed_consumed_and_acked() {
    let mut client = Client::ready();
    assert_eq!(ids(&client.ask(&select_confirms().on(1))), [(85, 11)]);
    let declared = client.ask(&declare_queue("q", 0).on(1));
    assert_eq!((ids(&declared), declared[0].text_at(4)), (vec![(50, 11)], "q"));

    let three: Vec<u8> = ["one", "two", "three"].iter().flat_map(|body| publish(1, "q", body.as_bytes())).collect();
    let confirmed = client.ask(&three);
    assert_eq!(ids(&confirmed), [ACK], "one for all");
    assert_eq!((confirmed[0].longlong_at(4), confirmed[0].payload[12]), (3, 1));
    let confirmed = client.ask(&publish(1, "q", b"four"));
    assert_eq!((confirmed[0].longlong_at(4), confirmed[0].payload[12]), (4, 0));

    let delivered = client.ask(&consume("q", "tag", 0).on(1));
    assert_eq!(ids(&delivered), [(60, 21), DELIVER, DELIVER, DELIVER, DELIVER]);
    assert_eq!(bodies(&delivered), [b"one".as_slice(), b"two", b"three", b"four"]);
    assert_eq!((delivered[1].text_at(4), delivered[1].longlong_at(8)), ("tag", 1));

    client.send(&ack(4, true).on(1));
    let declared = client.ask(&declare_queue("q", 1).on(1));
    assert_eq!(declared[0].payload[6..], [0, 0, 0, 0, 0, 0, 0, 1]);
    assert_eq!(client.memory_bytes(), 0);
    assert_eq!(ids(&client.ask(&close_channel().on(1))), [(20, 41)]);
    assert_eq!(ids(&client.ask(&close_connection().on(0))), [(10, 51)]);
    assert!(client.is_closed());
}

#[wasm_bindgen_test(unsupported = test)]
fn a_whole_conversation_may_arrive_byte_by_byte() {
    let input: Vec<u8> = [
        HEADER,
        &plain_login(&[]).on(0),
        &tune_ok(0, 0, 0).on(0),
        &open("/").on(0),
        &open_channel().on(1),
        &declare_queue("q", 0).on(1),
        &publish(1, "q", b"hello"),
        &publish(1, "q", b""),
        &consume("q", "tag", 2).on(1),
    ]
    .concat();
    let mut client = Client::connect(Limits::default(), true);
    for byte in input {
        client.send(&[byte]);
    }
    let answers = client.read();
    assert_eq!(ids(&answers)[3..], [(20, 11), (50, 11), (60, 21), DELIVER, DELIVER]);
    assert_eq!(answers.last().unwrap().kind, 2, "an empty body has no frame");
    assert!(answers.iter().any(|answer| answer.kind == 3 && answer.payload == b"hello"));
}

#[wasm_bindgen_test(unsupported = test)]
fn a_body_larger_than_a_frame_is_divided_both_ways() {
    let mut client = Client::ready_with(Limits::default(), 8192);
    let body: Vec<u8> = (0..50_000u32).map(|n| n as u8).collect();
    client.send(&declare_queue("q", 0).on(1));
    client.send(&publish_in_parts(1, "q", 0, &body, 1000));
    client.read();
    let got = client.ask(&get("q", true).on(1));
    let parts = bodies(&got);
    assert_eq!(parts.iter().map(|part| part.len()).collect::<Vec<_>>(), [8184, 8184, 8184, 8184, 8184, 8184, 896]);
    assert_eq!(parts.concat(), body);
    assert_eq!(client.memory_bytes(), 0);
}

#[wasm_bindgen_test(unsupported = test)]
fn an_unroutable_mandatory_message_returns_before_its_confirm() {
    let mut client = Client::ready();
    client.ask(&select_confirms().on(1));
    let answers = client.ask(&publish_in_parts(1, "nowhere", 1, b"back", 8000));
    assert_eq!(ids(&answers), [(60, 50), ACK]);
    assert_eq!((answers[0].short_at(4), answers[0].text_at(6)), (312, "NO_ROUTE"));
    assert_eq!(answers[2].payload, b"back");
    assert_eq!(ids(&client.ask(&publish(1, "nowhere", b"gone"))), [ACK]);
}

#[wasm_bindgen_test(unsupported = test)]
fn every_request_has_a_reply_unless_it_sets_no_wait() {
    let mut client = Client::ready();
    let requests = |nowait: u8| {
        let name = |stem: &str| format!("{stem}{nowait}");
        let (e, q) = (&*name("e"), &*name("q"));
        let exchange_bits = nowait << 4;
        vec![
            (call(40, 10).short(0).text(e).text("topic").octet(exchange_bits).bytes(b""), (40, 11)),
            (declare_queue(q, nowait << 4), (50, 11)),
            (call(50, 20).short(0).text(q).text(e).text("k.#").octet(nowait).bytes(b""), (50, 21)),
            (call(40, 30).short(0).text(e).text("amq.topic").text("k").octet(nowait).bytes(b""), (40, 31)),
            (call(40, 40).short(0).text(e).text("amq.topic").text("k").octet(nowait).bytes(b""), (40, 51)),
            (consume(q, "tag", nowait << 3), (60, 21)),
            (call(60, 30).text("tag").octet(nowait), (60, 31)),
            (call(50, 30).short(0).text(q).octet(nowait), (50, 31)),
            (call(50, 40).short(0).text(q).octet(nowait << 2), (50, 41)),
            (call(40, 20).short(0).text(e).octet(nowait << 1), (40, 21)),
            (call(85, 10).octet(nowait), (85, 11)),
        ]
    };
    for (request, answer) in requests(0) {
        assert_eq!(ids(&client.ask(&request.on(1))), [answer]);
    }
    for (request, answer) in requests(1) {
        assert_eq!(client.ask(&request.on(1)), [], "instead of {answer:?}");
    }
    let unbind = call(50, 50).short(0).text("q").text("amq.direct").text("").bytes(b"");
    let always = [
        (declare_queue("q", 0), (50, 11)),
        (unbind, (50, 51)),
        (get("q", true), (60, 72)),
        (call(60, 10).long(0).short(1).octet(0), (60, 11)),
        (call(60, 110).octet(1), (60, 111)),
        (call(20, 20).octet(1), (20, 21)),
        (call(30, 10).text("/data").octet(0), (30, 11)),
    ];
    for (request, answer) in always {
        assert_eq!(ids(&client.ask(&request.on(1))), [answer]);
    }
    assert_eq!(client.ask(&call(60, 100).octet(1).on(1)), []);
}

#[wasm_bindgen_test(unsupported = test)]
fn a_consumer_whose_queue_is_deleted_is_notified_only_if_it_can_be() {
    let consume_and_delete =
        [declare_queue("q", 0).on(1), consume("q", "tag", 0).on(1), call(50, 40).short(0).text("q").octet(0).on(1)];
    let mut client = Client::ready();
    let answers = client.ask(&consume_and_delete.concat());
    assert_eq!(ids(&answers), [(50, 11), (60, 21), (50, 41), (60, 30)]);
    assert_eq!((answers[3].text_at(4), answers[3].payload.last()), ("tag", Some(&1)));

    let mut client = Client::connect(Limits::default(), true);
    let handshake = [HEADER, &plain_login(&[]).on(0), &tune_ok(0, 0, 0).on(0), &open("/").on(0)].concat();
    client.ask(&[handshake, open_channel().on(1)].concat());
    assert_eq!(ids(&client.ask(&consume_and_delete.concat())), [(50, 11), (60, 21), (50, 41)]);
}

#[wasm_bindgen_test(unsupported = test)]
fn pending_notifications_end_with_their_peer() {
    let mut client = Client::ready();
    client.ask(&[declare_queue("q", 0).on(1), consume("q", "tag", 0).on(1)].concat());
    client.server.verb(Verb::DeleteQueue { name: "q", if_unused: false, if_empty: false }).unwrap();
    client.server.disconnected(client.id);
    client.server.turn(client.now_ms);
    let cancelled = client.server.verb(Verb::TakeCancelled).unwrap().handles();
    assert!(cancelled.is_empty(), "its consumer was not the program's");
}

#[wasm_bindgen_test(unsupported = test)]
fn line_ends_in_names_are_stripped_when_something_is_declared_bound_or_deleted() {
    let mut client = Client::ready();
    let exchange = |name: &str, bits: u8| call(40, 10).short(0).text(name).text("fanout").octet(bits).bytes(b"");
    assert_eq!(client.ask(&declare_queue("\r\na\nb\r", 0).on(1))[0].text_at(4), "ab");
    for (request, answer) in [
        (declare_queue("a\nb", 1), (50, 11)),
        (exchange("x\ny", 0), (40, 11)),
        (exchange("xy\r", 1), (40, 11)),
        (call(50, 20).short(0).text("ab\n").text("\nxy").text("").octet(0).bytes(b""), (50, 21)),
        (call(40, 30).short(0).text("amq.fanout\n").text("x\ny").text("").octet(0).bytes(b""), (40, 31)),
    ] {
        assert_eq!(ids(&client.ask(&request.on(1))), [answer]);
    }
    client.send(&[publish_method("xy", "", 0).on(1), frame(2, 1, &content_header(0, &[0, 0]))].concat());
    assert_eq!(ids(&client.ask(&get("ab", true).on(1)))[0], (60, 71));
    for (request, answer) in [
        (call(50, 50).short(0).text("ab\n").text("\nxy").text("").bytes(b""), (50, 51)),
        (call(40, 40).short(0).text("amq.fanout\n").text("x\ny").text("").octet(0).bytes(b""), (40, 51)),
        (call(40, 20).short(0).text("x\ny").octet(0), (40, 21)),
        (call(50, 40).short(0).text("a\nb").octet(0), (50, 41)),
    ] {
        assert_eq!(ids(&client.ask(&request.on(1))), [answer]);
    }
    assert_eq!(client.ask(&get("a\nb", true).on(1))[0].refusal().0, 404, "a get takes the name as it is");
}
