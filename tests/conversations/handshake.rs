//! Handshake: from the protocol header to an open connection, and its heartbeats.

use super::*;
use crate::peer::*;
use pocketmq::limits::Limits;
use pocketmq::protocol::Peer;
use wasm_bindgen_test::wasm_bindgen_test;

#[wasm_bindgen_test(unsupported = test)]
fn a_handshake_opens_the_connection() {
    let mut client = Client::connect(Limits::default(), true);
    let start = client.ask(HEADER);
    assert_eq!(ids(&start), [GREETING]);
    for said in ["RabbitMQ", "PocketMQ", "publisher_confirms", "connection.blocked", "PLAIN AMQPLAIN"] {
        assert!(contains(&start[0].payload, said), "{said} is missing");
    }
    let tune = client.ask(&plain_login(&[]).on(0));
    assert_eq!(ids(&tune), [(10, 30)]);
    assert_eq!(tune[0].payload[4..], [2047u16.to_be_bytes().as_slice(), &131_072u32.to_be_bytes(), &[0, 60]].concat());
    assert_eq!(client.ask(&tune_ok(0, 0, 0).on(0)), []);
    assert_eq!(ids(&client.ask(&open("/").on(0))), [(10, 41)]);
    assert_eq!(client.deadline_ms, None, "without heartbeats nothing is due");
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
fn a_failed_login_is_explained_only_to_clients_that_can_read_it() {
    let wrong = b"\0guest\0wrong";
    for (response, loopback) in [(wrong.as_slice(), true), (b"\0guest\0guest", false)] {
        let mut client = Client::connect(Limits::default(), loopback);
        client.ask(HEADER);
        let close = client.ask(&start_ok("PLAIN", response, &["authentication_failure_close"]).on(0));
        let (code, text, method) = close[0].refusal();
        assert_eq!((code, method), (403, (0, 0)));
        let refused = "ACCESS_REFUSED - Login was refused using authentication mechanism PLAIN. For details see the broker \
                       logfile.";
        assert_eq!(text, refused, "which does not reveal what was wrong");
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
fn invalid_methods_in_a_handshake_close_with_their_codes() {
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
fn a_peer_that_does_not_log_in_in_time_is_closed() {
    let mut client = Client::connect(Limits::default(), true);
    client.ask(HEADER);
    client.turn();
    assert_eq!(client.deadline_ms, Some(10_000));
    client.pass(10_000);
    assert!(client.is_closed() && client.read().is_empty());
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
fn a_peer_may_connect_while_the_transport_of_an_earlier_one_is_still_open() {
    let mut client = Client::ready();
    assert_eq!(ids(&client.ask(&close_connection().on(0))), [(10, 51)]);
    let left =
        std::mem::replace(&mut client.id, client.server.connect_amqp(Peer { loopback: true, ..Peer::default() }));
    assert_eq!(ids(&client.ask(HEADER)), [GREETING]);
    client.server.disconnected(left);
    assert_eq!(ids(&client.ask(&plain_login(&[]).on(0))), [(10, 30)]);
}

#[wasm_bindgen_test(unsupported = test)]
fn frames_are_small_until_a_larger_size_is_negotiated() {
    let padded = |size: usize| {
        let response = format!("\0guest\0{}", "x".repeat(size));
        let login = start_ok("PLAIN", response.as_bytes(), &["authentication_failure_close"]).on(0);
        (login.len(), login)
    };
    let rest = padded(0).0;
    let answer_to = |size: usize| {
        let (length, login) = padded(size - rest);
        assert_eq!(length, size);
        let mut client = Client::connect(Limits::default(), true);
        client.ask(HEADER);
        client.ask(&login)[0].refusal().0
    };
    // As for every frame, the payload counts.
    assert_eq!((answer_to(8192 + 8), answer_to(8193 + 8)), (403, 501));

    let mut client = Client::ready();
    client.ask(&declare_queue("q", 0).on(1));
    client.send(&publish_in_parts(1, "q", 0, &[0; 20_000], 20_000));
    assert_eq!(client.read(), [], "afterwards they may be larger");
}
