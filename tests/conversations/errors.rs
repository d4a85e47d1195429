//! Errors: each fault has its code, and closes the channel or the connection.

use super::*;
use crate::peer::*;
use wasm_bindgen_test::wasm_bindgen_test;

/// Each input must be refused on a new connection, with a single reply that is the same at once and byte by byte.
fn refuses(cases: Vec<(Vec<u8>, Expected)>) {
    for (input, expected) in cases {
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

/// A frame after the method that announces content.
fn in_content(frame: Vec<u8>) -> Vec<u8> {
    [publish_method("", "q", 0).on(1), frame].concat()
}

/// Bytes after a content header that announces four bytes.
fn in_body(bytes: Vec<u8>) -> Vec<u8> {
    in_content([frame(2, 1, &content_header(4, &[0, 0])), bytes].concat())
}

#[wasm_bindgen_test(unsupported = test)]
fn malformed_frames_are_501() {
    let mut bad_end = close_channel().on(1);
    *bad_end.last_mut().unwrap() = 0;
    let too_large = [1, 0, 1, 0, 2, 0, 1].to_vec();
    refuses(vec![
        (bad_end, (501, "FRAME_ERROR", (0, 0))),
        (too_large, (501, "FRAME_ERROR", (0, 0))),
        (frame(9, 1, b""), (501, "FRAME_ERROR - unknown frame type 9", (0, 0))),
    ]);
}

#[wasm_bindgen_test(unsupported = test)]
fn malformed_methods_are_502() {
    refuses(vec![
        (frame(1, 1, &[0, 50]), (502, "SYNTAX_ERROR", (0, 0))),
        (call(50, 10).short(0).text("q").octet(0).bytes(b"\x01k?").on(1), (502, "SYNTAX_ERROR", (50, 10))),
        (frame(1, 1, &[0, 50, 0, 30, 0, 0, 1, 0xff, 0]), (502, "SYNTAX_ERROR", (50, 30))),
        (in_content(frame(2, 1, &content_header(0, &[0, 1]))), (502, "SYNTAX_ERROR", (60, 40))),
        (in_content(frame(2, 1, &[0, 50, 0, 0])), (502, "SYNTAX_ERROR", (60, 40))),
    ]);
}

#[wasm_bindgen_test(unsupported = test)]
fn unknown_methods_are_503() {
    refuses(vec![
        (call(60, 99).on(1), (503, "COMMAND_INVALID", (60, 99))),
        (call(99, 10).on(1), (503, "COMMAND_INVALID", (99, 10))),
        (call(10, 50).short(200).text("").short(0).short(0).on(1), (503, "COMMAND_INVALID", (10, 50))),
    ]);
}

#[wasm_bindgen_test(unsupported = test)]
fn methods_out_of_place_are_504() {
    refuses(vec![
        (declare_queue("q", 0).on(0), (504, "CHANNEL_ERROR - unexpected method in connection state", (50, 10))),
        (open_channel().on(1), (504, "CHANNEL_ERROR - second 'channel.open' seen", (20, 10))),
        (declare_queue("q", 0).on(2), (504, "CHANNEL_ERROR - expected 'channel.open'", (50, 10))),
        (close_channel_ok().on(7), (504, "CHANNEL_ERROR - expected 'channel.open'", (20, 41))),
        (tune_ok(0, 0, 0).on(0), (504, "CHANNEL_ERROR - unexpected method in connection state running", (10, 31))),
        (plain_login(&[]).on(0), (504, "CHANNEL_ERROR - unexpected method in connection state", (10, 11))),
        (open("/").on(0), (504, "CHANNEL_ERROR - unexpected method in connection state", (10, 40))),
    ]);
}

#[wasm_bindgen_test(unsupported = test)]
fn frames_out_of_place_are_505() {
    refuses(vec![
        (frame(8, 1, b""), (505, "UNEXPECTED_FRAME", (0, 0))),
        (frame(2, 2, &content_header(0, &[0, 0])), (505, "UNEXPECTED_FRAME", (0, 0))),
        (frame(3, 1, b"stray"), (505, "UNEXPECTED_FRAME - expected method frame", (0, 0))),
        (in_content(declare_queue("q", 0).on(1)), (505, "UNEXPECTED_FRAME - expected content header", (60, 40))),
        (in_body(declare_queue("q", 0).on(1)), (505, "UNEXPECTED_FRAME - expected content body", (60, 40))),
        (in_body(close_channel().on(1)), (505, "UNEXPECTED_FRAME - expected content body", (60, 40))),
        (in_body(frame(3, 1, b"12345")), (505, "UNEXPECTED_FRAME - more content body", (60, 40))),
        (frame(2, 0, &content_header(0, &[0, 0])), (505, "UNEXPECTED_FRAME - content on channel 0", (0, 0))),
        (in_content(frame(8, 1, b"")), (505, "UNEXPECTED_FRAME - a heartbeat on a channel other than 0", (0, 0))),
    ]);
}

#[wasm_bindgen_test(unsupported = test)]
fn violations_of_the_negotiation_are_530() {
    refuses(vec![(open_channel().on(2048), (530, "NOT_ALLOWED - channel number 2048", (20, 10)))]);
    let mut client = Client::ready();
    client.ask(&[declare_queue("q", 0).on(1), consume("q", "tag", 0).on(1)].concat());
    let again = client.ask(&consume("q", "tag", 0).on(1));
    check(&again[0], (530, "NOT_ALLOWED - attempt to reuse consumer tag 'tag'", (60, 20)));
}

#[wasm_bindgen_test(unsupported = test)]
fn unsupported_requests_are_540() {
    refuses(vec![
        (publish_method("", "q", 2).on(1), (540, "NOT_IMPLEMENTED - immediate=true", (60, 40))),
        (call(60, 10).long(1).short(0).octet(0).on(1), (540, "NOT_IMPLEMENTED - prefetch_size!=0 (1)", (60, 10))),
        (call(60, 110).octet(0).on(1), (540, "NOT_IMPLEMENTED", (60, 110))),
        (call(60, 100).octet(0).on(1), (540, "NOT_IMPLEMENTED", (60, 100))),
        (call(20, 20).octet(0).on(1), (540, "NOT_IMPLEMENTED - active=false", (20, 20))),
    ]);
}

#[wasm_bindgen_test(unsupported = test)]
fn reserved_names_are_403() {
    let declare_exchange = |name: &str| call(40, 10).short(0).text(name).text("topic").octet(0).bytes(b"").on(1);
    let bind = call(50, 20).short(0).text("q").text("").text("k").octet(0).bytes(b"");
    refuses(vec![
        (declare_exchange(""), (403, "ACCESS_REFUSED - operation not permitted on the default exchange", (40, 10))),
        (declare_exchange("amq.new"), (403, "ACCESS_REFUSED - exchange name 'amq.new' contains", (40, 10))),
        (declare_queue("amq.new", 0).on(1), (403, "ACCESS_REFUSED - queue name 'amq.new' contains", (50, 10))),
        (bind.on(1), (403, "ACCESS_REFUSED - operation not permitted on the default exchange", (50, 20))),
    ]);
}

#[wasm_bindgen_test(unsupported = test)]
fn unknown_names_are_404() {
    refuses(vec![
        (get("missing", false).on(1), (404, "NOT_FOUND - no queue 'missing' in vhost '/'", (60, 70))),
        (consume("", "", 0).on(1), (404, "NOT_FOUND - no previously declared queue", (60, 20))),
    ]);
}

#[wasm_bindgen_test(unsupported = test)]
fn exclusive_queues_of_others_are_405() {
    let mut client = Client::ready();
    client.ask(&declare_queue("mine", 4).on(1));
    client.join("guest", "/", &[]);
    for (input, method) in [(declare_queue("mine", 1), (50, 10)), (consume("mine", "", 0), (60, 20))] {
        let answers = client.ask(&[open_channel().on(2), input.on(2), close_channel_ok().on(2)].concat());
        check(&answers[1], (405, "RESOURCE_LOCKED - cannot obtain exclusive access to locked queue 'mine'", method));
    }
}

#[wasm_bindgen_test(unsupported = test)]
fn failed_preconditions_are_406() {
    let user_id = [0, 16, 5, b'a', b'd', b'm', b'i', b'n'];
    refuses(vec![
        (call(90, 20).on(1), (406, "PRECONDITION_FAILED - channel is not transactional", (90, 20))),
        (call(90, 30).on(1), (406, "PRECONDITION_FAILED - channel is not transactional", (90, 30))),
        (ack(9, false).on(1), (406, "PRECONDITION_FAILED - unknown delivery tag 9", (60, 80))),
        (in_content(frame(2, 1, &content_header(0, &user_id))), (406, "PRECONDITION_FAILED - user_id", (60, 40))),
        (
            in_content(frame(2, 1, &content_header(16 * 1024 * 1024 + 1, &[0, 0]))),
            (406, "PRECONDITION_FAILED - message size 16777217 is larger than configured max size 16777216", (60, 40)),
        ),
    ]);
}

#[wasm_bindgen_test(unsupported = test)]
fn a_channel_error_leaves_the_connection_and_its_number_for_reuse() {
    let mut client = Client::ready();
    let closed = client.ask(&declare_queue("missing", 1).on(1));
    assert_eq!(closed[0].refusal(), (404, "NOT_FOUND - no queue 'missing' in vhost '/'", (50, 10)));

    // Requests that were sent before the peer knew are ignored, whatever they are.
    let late = [publish(1, "q", b"late"), frame(3, 1, b"stray"), declare_queue("q", 0).on(1), open_channel().on(1)];
    assert_eq!(client.ask(&late.concat()), []);
    assert_eq!(ids(&client.ask(&close_channel().on(1))), [(20, 41)], "both closed at once");
    assert_eq!(client.ask(&close_channel_ok().on(1)), []);

    assert_eq!(ids(&client.ask(&open_channel().on(1))), [(20, 11)]);
    assert_eq!(ids(&client.ask(&declare_queue("q", 0).on(1))), [(50, 11)]);
}

#[wasm_bindgen_test(unsupported = test)]
fn a_channel_error_follows_earlier_confirms() {
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
fn a_stream_that_lost_its_frames_is_closed_after_a_moment() {
    let mut client = Client::ready();
    let closed = client.ask(&[frame(9, 0, b""), declare_queue("q", 0).on(1)].concat());
    assert_eq!(ids(&closed), [CLOSE_CONNECTION]);
    assert_eq!(client.ask(&close_connection_ok().on(0)), [], "nothing is understood any more");
    client.pass(2_000);
    assert!(client.is_closed());
}
