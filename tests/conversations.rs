//! Conversations: whole ones of a client with a server, natively and in browsers.

mod peer;

use peer::*;
use pocketmq::embedded::Embedded;
use pocketmq::limits::Limits;
use pocketmq::protocol::amqp::Peer;
use wasm_bindgen_test::wasm_bindgen_test;

#[cfg(target_arch = "wasm32")]
wasm_bindgen_test::wasm_bindgen_test_configure!(run_in_dedicated_worker);

const GREETING: (u16, u16) = (10, 10);
const CLOSE_CONNECTION: (u16, u16) = (10, 50);
const CLOSE_CHANNEL: (u16, u16) = (20, 40);
const ACK: (u16, u16) = (60, 80);
const DELIVER: (u16, u16) = (60, 60);

/// What a refusal must be: its code, the beginning of its text, and the method that failed.
type Expected = (u16, &'static str, (u16, u16));

fn check(answer: &Answer, (code, beginning, method): Expected) {
    let refusal = answer.refusal();
    assert_eq!((refusal.0, refusal.2), (code, method), "{}", refusal.1);
    assert!(refusal.1.starts_with(beginning), "{} instead of {beginning}", refusal.1);
}

fn contains(bytes: &[u8], part: &str) -> bool {
    bytes.windows(part.len()).any(|window| window == part.as_bytes())
}

#[wasm_bindgen_test(unsupported = test)]
fn a_handshake_opens_the_connection() {
    let mut client = Client::connect(Limits::default(), true);
    let start = client.ask(HEADER);
    assert_eq!(ids(&start), [GREETING]);
    for said in ["RabbitMQ", "PocketMQ", "publisher_confirms", "PLAIN AMQPLAIN"] {
        assert!(contains(&start[0].payload, said), "{said} is missing");
    }
    let tune = client.ask(&plain_login(&[]).on(0));
    assert_eq!(ids(&tune), [(10, 30)]);
    assert_eq!(tune[0].payload[4..], [2047u16.to_be_bytes().as_slice(), &131_072u32.to_be_bytes(), &[0, 60]].concat());
    assert_eq!(client.ask(&tune_ok(0, 0, 0).on(0)), []);
    assert_eq!(ids(&client.ask(&open("/").on(0))), [(10, 41)]);
    assert_eq!(client.deadline_ms, None, "without heartbeats nothing is due");
    assert_eq!(ids(&client.ask(&call(10, 70).bytes(b"secret").text("why").on(0))), [(10, 71)]);
}

#[wasm_bindgen_test(unsupported = test)]
fn another_protocol_gets_ours_and_is_closed() {
    for header in [b"GET / HT".as_slice(), b"AMQP\0\x01\0\0", b"AMQP\x01\x01\0\x09 and more"] {
        let mut client = Client::connect(Limits::default(), true);
        client.send(header);
        assert_eq!(client.read_raw(), HEADER);
        assert!(client.is_closed());
    }
}

#[wasm_bindgen_test(unsupported = test)]
fn a_failed_login_is_told_only_to_who_asked() {
    let wrong = b"\0guest\0wrong";
    for (response, loopback) in [(wrong.as_slice(), true), (b"\0guest\0guest", false)] {
        let mut client = Client::connect(Limits::default(), loopback);
        client.ask(HEADER);
        let close = client.ask(&start_ok("PLAIN", response, &["authentication_failure_close"]).on(0));
        let (code, text, method) = close[0].refusal();
        assert_eq!((code, method), (403, (0, 0)));
        assert!(text.starts_with("ACCESS_REFUSED - Login was refused using authentication mechanism PLAIN"));
        assert!(!client.is_closed());
        client.send(&close_connection_ok().on(0));
        assert!(client.is_closed());

        let mut client = Client::connect(Limits::default(), loopback);
        client.ask(HEADER);
        assert_eq!(client.ask(&start_ok("PLAIN", response, &[]).on(0)), []);
        assert!(client.is_closed());
    }
}

#[wasm_bindgen_test(unsupported = test)]
fn what_a_handshake_may_not_say_closes_with_its_code() {
    let login = plain_login(&[]).on(0);
    let cases: [(&[Vec<u8>], Expected); 8] = [
        (&[start_ok("EXTERNAL", b"", &[]).on(0)], (503, "COMMAND_INVALID - unknown auth", (10, 11))),
        (&[start_ok("PLAIN", b"guest", &[]).on(0)], (502, "SYNTAX_ERROR - PLAIN", (10, 11))),
        (&[open("/").on(0)], (504, "CHANNEL_ERROR - unexpected method", (10, 40))),
        (&[open_channel().on(1)], (505, "UNEXPECTED_FRAME - ", (0, 0))),
        (&[login.clone(), tune_ok(3000, 0, 0).on(0)], (530, "NOT_ALLOWED - negotiated channel_max = 3000", (10, 31))),
        (&[login.clone(), tune_ok(0, 4096, 0).on(0)], (530, "NOT_ALLOWED - negotiated frame_max = 4096", (10, 31))),
        (&[login.clone(), tune_ok(0, 0, 0).on(0), open("x").on(0)], (530, "NOT_ALLOWED - vhost x not found", (10, 40))),
        (&[login, frame(3, 0, b"")], (505, "UNEXPECTED_FRAME - ", (0, 0))),
    ];
    for (frames, expected) in cases {
        let mut client = Client::connect(Limits::default(), true);
        client.ask(HEADER);
        let answers = client.ask(&frames.concat());
        check(answers.last().unwrap(), expected);
    }
}

#[wasm_bindgen_test(unsupported = test)]
fn who_does_not_log_in_in_time_is_closed() {
    let mut client = Client::connect(Limits::default(), true);
    client.ask(HEADER);
    client.turn();
    assert_eq!(client.deadline_ms, Some(10_000));
    client.pass(10_000);
    assert!(client.is_closed() && client.read().is_empty());
}

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
    let bodies: Vec<_> = delivered.iter().filter(|answer| answer.kind == 3).map(|body| &body.payload[..]).collect();
    assert_eq!(bodies, [b"one".as_slice(), b"two", b"three", b"four"]);
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
    let parts: Vec<_> = got.iter().filter(|answer| answer.kind == 3).map(|part| &part.payload[..]).collect();
    assert_eq!(parts.iter().map(|part| part.len()).collect::<Vec<_>>(), [8184, 8184, 8184, 8184, 8184, 8184, 896]);
    assert_eq!(parts.concat(), body);
    assert_eq!(client.memory_bytes(), 0);
}

#[wasm_bindgen_test(unsupported = test)]
fn a_channel_error_leaves_the_connection_and_its_number_for_reuse() {
    let mut client = Client::ready();
    let closed = client.ask(&declare_queue("missing", 1).on(1));
    assert_eq!(closed[0].refusal(), (404, "NOT_FOUND - no queue 'missing' in vhost '/'", (50, 10)));

    // What was sent before the peer knew is ignored, whatever it is.
    let late = [publish(1, "q", b"late"), frame(3, 1, b"stray"), declare_queue("q", 0).on(1), open_channel().on(1)];
    assert_eq!(client.ask(&late.concat()), []);
    assert_eq!(ids(&client.ask(&close_channel().on(1))), [(20, 41)], "both closed at once");
    assert_eq!(client.ask(&close_channel_ok().on(1)), []);

    assert_eq!(ids(&client.ask(&open_channel().on(1))), [(20, 11)]);
    assert_eq!(ids(&client.ask(&declare_queue("q", 0).on(1))), [(50, 11)]);
}

#[wasm_bindgen_test(unsupported = test)]
fn a_channel_error_is_told_after_what_was_confirmed() {
    let mut client = Client::ready();
    client.ask(&[select_confirms().on(1), declare_queue("q", 0).on(1)].concat());
    let missing = publish_method("missing", "q", 0).on(1);
    let input = [publish(1, "q", b"1"), missing, frame(2, 1, &content_header(0, &[0, 0]))].concat();
    let answers = client.ask(&input);
    assert_eq!(ids(&answers), [ACK, CLOSE_CHANNEL]);
    assert_eq!(answers[1].refusal(), (404, "NOT_FOUND - no exchange 'missing' in vhost '/'", (60, 40)));

    client.ask(&[close_channel_ok().on(1), open_channel().on(1), select_confirms().on(1)].concat());
    let answers = client.ask(&[publish(1, "q", b"1"), close_channel().on(1)].concat());
    assert_eq!(ids(&answers), [ACK, (20, 41)]);
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
fn each_wrong_thing_on_an_open_connection_has_its_code() {
    let user_id = [0, 16, 5, b'a', b'd', b'm', b'i', b'n'];
    let in_content = |frame: Vec<u8>| [publish_method("", "q", 0).on(1), frame].concat();
    let in_body = |bytes: Vec<u8>| in_content([frame(2, 1, &content_header(4, &[0, 0])), bytes].concat());
    let mut bad_end = close_channel().on(1);
    *bad_end.last_mut().unwrap() = 0;
    let too_large = [1, 0, 1, 0, 2, 0, 0].to_vec();
    let cases: Vec<(Vec<u8>, Expected)> = vec![
        (bad_end, (501, "FRAME_ERROR", (0, 0))),
        (too_large, (501, "FRAME_ERROR", (0, 0))),
        (frame(9, 1, b""), (501, "FRAME_ERROR - unknown frame type 9", (0, 0))),
        (frame(8, 1, b""), (505, "UNEXPECTED_FRAME", (0, 0))),
        (frame(1, 1, &[0, 50]), (502, "SYNTAX_ERROR", (0, 0))),
        (call(50, 10).short(0).text("q").octet(0).bytes(b"\x01k?").on(1), (502, "SYNTAX_ERROR", (50, 10))),
        (frame(1, 1, &[0, 50, 0, 30, 0, 0, 1, 0xff, 0]), (502, "SYNTAX_ERROR", (50, 30))),
        (call(60, 99).on(1), (503, "COMMAND_INVALID", (60, 99))),
        (call(99, 10).on(1), (503, "COMMAND_INVALID", (99, 10))),
        (call(10, 50).short(200).text("").short(0).short(0).on(1), (503, "COMMAND_INVALID", (10, 50))),
        (declare_queue("q", 0).on(0), (504, "CHANNEL_ERROR - unexpected method in connection state", (50, 10))),
        (open_channel().on(1), (504, "CHANNEL_ERROR - second 'channel.open' seen", (20, 10))),
        (declare_queue("q", 0).on(2), (504, "CHANNEL_ERROR - expected 'channel.open'", (50, 10))),
        (frame(2, 2, &content_header(0, &[0, 0])), (505, "UNEXPECTED_FRAME", (0, 0))),
        (frame(3, 1, b"stray"), (505, "UNEXPECTED_FRAME - expected method frame", (0, 0))),
        (in_content(declare_queue("q", 0).on(1)), (505, "UNEXPECTED_FRAME - expected content header", (60, 40))),
        (in_body(declare_queue("q", 0).on(1)), (505, "UNEXPECTED_FRAME - expected content body", (60, 40))),
        (in_body(close_channel().on(1)), (505, "UNEXPECTED_FRAME - expected content body", (60, 40))),
        (in_body(frame(3, 1, b"12345")), (505, "UNEXPECTED_FRAME - more content body", (60, 40))),
        (in_content(frame(2, 1, &content_header(0, &[0, 1]))), (502, "SYNTAX_ERROR", (60, 40))),
        (in_content(frame(2, 1, &[0, 50, 0, 0])), (502, "SYNTAX_ERROR", (60, 40))),
        (open_channel().on(2048), (530, "NOT_ALLOWED - channel number 2048", (20, 10))),
        (publish_method("", "q", 2).on(1), (540, "NOT_IMPLEMENTED - immediate=true", (60, 40))),
        (call(60, 10).long(1).short(0).octet(0).on(1), (540, "NOT_IMPLEMENTED - prefetch_size!=0 (1)", (60, 10))),
        (call(60, 110).octet(0).on(1), (540, "NOT_IMPLEMENTED", (60, 110))),
        (call(60, 100).octet(0).on(1), (540, "NOT_IMPLEMENTED", (60, 100))),
        (call(20, 20).octet(0).on(1), (540, "NOT_IMPLEMENTED - active=false", (20, 20))),
        (call(90, 20).on(1), (406, "PRECONDITION_FAILED - channel is not transactional", (90, 20))),
        (call(90, 30).on(1), (406, "PRECONDITION_FAILED - channel is not transactional", (90, 30))),
        (ack(9, false).on(1), (406, "PRECONDITION_FAILED - unknown delivery tag 9", (60, 80))),
        (get("missing", false).on(1), (404, "NOT_FOUND - no queue 'missing' in vhost '/'", (60, 70))),
        (in_content(frame(2, 1, &content_header(0, &user_id))), (406, "PRECONDITION_FAILED - user_id", (60, 40))),
        (
            in_content(frame(2, 1, &content_header(16 * 1024 * 1024 + 1, &[0, 0]))),
            (406, "PRECONDITION_FAILED - message size 16777217 is larger than configured max size 16777216", (60, 40)),
        ),
    ];
    for (input, expected) in cases {
        // At once and byte by byte: the answer is the same.
        for step in [input.len(), 1] {
            let mut client = Client::ready();
            input.chunks(step).for_each(|part| client.send(part));
            let answers = client.read();
            assert_eq!(answers.len(), 1, "{expected:?}: {answers:?}");
            check(&answers[0], expected);
            assert_eq!(answers[0].id(), if expected.0 < 500 { CLOSE_CHANNEL } else { CLOSE_CONNECTION });
            assert_eq!(client.memory_bytes(), 0, "{expected:?}");
        }
    }
}

#[wasm_bindgen_test(unsupported = test)]
fn every_request_has_its_answer_or_none_if_nobody_waits() {
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
fn a_consumer_whose_queue_goes_is_told_only_if_it_wants() {
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
fn what_a_peer_was_to_be_told_goes_with_it() {
    let mut client = Client::ready();
    client.ask(&[declare_queue("q", 0).on(1), consume("q", "tag", 0).on(1)].concat());
    let mut embedded = Embedded::new(client.server.virtual_hosts_mut());
    let (broker, channel) = embedded.at(client.server.virtual_hosts_mut());
    broker.delete_queue(channel, "q", false, false).unwrap();
    client.server.disconnected(client.id);
    client.server.turn(client.now_ms, &mut embedded);
    assert!(embedded.take_cancelled().is_empty(), "its consumer was not the program's");
}

#[wasm_bindgen_test(unsupported = test)]
fn a_peer_may_come_while_the_transport_of_one_that_left_is_still_open() {
    let mut client = Client::ready();
    assert_eq!(ids(&client.ask(&close_connection().on(0))), [(10, 51)]);
    let left = std::mem::replace(&mut client.id, client.server.connect(Peer { loopback: true, ..Peer::default() }));
    assert_eq!(ids(&client.ask(HEADER)), [GREETING]);
    client.server.disconnected(left);
    assert_eq!(ids(&client.ask(&plain_login(&[]).on(0))), [(10, 30)]);
}

#[wasm_bindgen_test(unsupported = test)]
fn heartbeats_go_both_ways_or_the_peer_is_dead() {
    let mut client = Client::ready();
    client.turn();
    assert_eq!(client.deadline_ms, Some(30_000));
    client.pass(30_000);
    assert_eq!(client.read_raw(), frame(8, 0, b""));
    client.pass(60_000);
    assert_eq!(client.ask(&frame(8, 0, b"")), [Answer { kind: 8, channel: 0, payload: vec![] }]);
    client.pass(119_999);
    assert!(!client.is_closed());
    client.pass(1);
    assert!(client.is_closed());
}

#[wasm_bindgen_test(unsupported = test)]
fn a_shutdown_waits_for_the_peer_but_not_for_ever() {
    for answers_in_time in [true, false] {
        let mut client = Client::ready();
        client.pass(25_000);
        client.server.shutdown();
        client.turn();
        let text = "CONNECTION_FORCED - broker forced connection closure with reason 'shutdown'";
        assert_eq!(client.read()[0].refusal(), (320, text, (0, 0)));
        assert_eq!(client.ask(&declare_queue("q", 0).on(1)), []);
        assert_eq!(ids(&client.ask(&close_connection().on(0))), [(10, 51)]);
        client.pass(9_999);
        assert!(!client.is_closed());
        if answers_in_time {
            client.send(&close_connection_ok().on(0));
        } else {
            client.pass(1);
        }
        assert!(client.is_closed());
    }
}

#[wasm_bindgen_test(unsupported = test)]
fn unfinished_content_takes_memory_as_it_arrives_and_gives_it_back() {
    let limits = Limits { memory_max_bytes: 100_000, ..Limits::default() };
    let mut client = Client::ready_with(limits, 0);
    client.send(&[publish_method("", "q", 0).on(1), frame(2, 1, &content_header(99_000, &[0, 0]))].concat());
    assert!(client.memory_bytes() < 100, "nothing of what is only announced");
    client.send(&frame(3, 1, &[0; 60_000]));
    assert!((60_000..61_000).contains(&client.memory_bytes()));

    client.ask(&open_channel().on(2));
    let refused = client.ask(&publish(2, "q", &[0; 50_000]));
    assert_eq!((refused[0].refusal().0, refused[0].refusal().2), (506, (60, 40)));
    assert_eq!(client.memory_bytes(), 0);

    let mut client = Client::ready();
    client.send(&[publish_method("", "q", 0).on(1), frame(2, 1, &content_header(9, &[0, 0]))].concat());
    client.send(&frame(3, 1, b"half"));
    let id = client.id;
    client.server.disconnected(id);
    assert_eq!(client.memory_bytes(), 0);
}

#[wasm_bindgen_test(unsupported = test)]
fn input_waits_while_the_peer_does_not_take_its_answers() {
    let limits = Limits { output_high_bytes: 1000, ..Limits::default() };
    let mut client = Client::ready_with(limits, 0);
    client.ask(&[declare_queue("q", 0).on(1), publish(1, "q", &[b'x'; 400])].concat());
    let id = client.id;
    let many: Vec<u8> = (0..50).flat_map(|_| declare_queue("q", 1).on(1)).collect();
    client.server.receive(id, &many);
    let held = client.server.output(id).len();
    assert!((1000..1200).contains(&held) && !client.server.wants_input(id));
    client.turn();
    assert_eq!(client.read().len(), 50, "all went on as the output was taken");
    assert!(client.server.wants_input(id));
}

#[wasm_bindgen_test(unsupported = test)]
fn a_stream_that_is_out_of_step_is_closed_after_a_moment() {
    let mut client = Client::ready();
    let closed = client.ask(&[frame(9, 0, b""), declare_queue("q", 0).on(1)].concat());
    assert_eq!(ids(&closed), [CLOSE_CONNECTION]);
    assert_eq!(client.ask(&close_connection_ok().on(0)), [], "nothing is understood any more");
    client.pass(2_000);
    assert!(client.is_closed());
}
