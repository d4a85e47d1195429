//! Transactions: effects wait until the commit; confirms of full queues, and acks that come too late.

use super::*;
use crate::peer::*;
use wasm_bindgen_test::wasm_bindgen_test;

const SELECT_OK: (u16, u16) = (90, 11);
const COMMIT_OK: (u16, u16) = (90, 21);
const ROLLBACK_OK: (u16, u16) = (90, 31);

fn select() -> Vec<u8> {
    call(90, 10).on(1)
}

fn commit() -> Vec<u8> {
    call(90, 20).on(1)
}

fn rollback() -> Vec<u8> {
    call(90, 30).on(1)
}

fn nack(tag: u64) -> Vec<u8> {
    call(60, 120).longlong(tag).octet(2).on(1)
}

fn ready(client: &Client) -> usize {
    client.server.broker().report().queues[0].ready
}

#[wasm_bindgen_test(unsupported = test)]
fn nothing_is_published_before_the_commit() {
    let mut client = Client::ready();
    assert_eq!(ids(&client.ask(&[declare_queue("q", 0).on(1), select(), select()].concat())[1..]), [SELECT_OK; 2]);
    assert_eq!(client.ask(&[publish(1, "q", b"1"), publish(1, "q", b"2")].concat()), []);
    assert_eq!(ready(&client), 0);
    assert_eq!(ids(&client.ask(&commit())), [COMMIT_OK]);
    assert_eq!(ready(&client), 2);
    assert_eq!(ids(&client.ask(&[publish(1, "q", b"3"), rollback(), commit()].concat())), [ROLLBACK_OK, COMMIT_OK]);
    assert_eq!(ready(&client), 2);
}

#[wasm_bindgen_test(unsupported = test)]
fn unroutable_messages_are_returned_before_the_commit_is_confirmed() {
    let mut client = Client::ready();
    client.ask(&select());
    let publish = |bits| publish_in_parts(1, "nowhere", bits, b"back", 8000);
    assert_eq!(client.ask(&[publish(1), publish(0)].concat()), []);
    let answers = client.ask(&commit());
    assert_eq!((ids(&answers), bodies(&answers)), (vec![RETURN, COMMIT_OK], vec![&b"back"[..]]));
    assert_eq!((answers[0].short_at(4), answers[0].text_at(6)), (312, "NO_ROUTE"));
}

#[wasm_bindgen_test(unsupported = test)]
fn an_ack_takes_effect_only_with_the_commit() {
    let mut client = Client::ready();
    client.ask(&[declare_queue("q", 0).on(1), publish(1, "q", b"1"), publish(1, "q", b"2"), select()].concat());
    client.ask(&[get("q", false).on(1), get("q", false).on(1)].concat());
    assert_eq!(ids(&client.ask(&[ack(1, false).on(1), nack(2), rollback()].concat())), [ROLLBACK_OK]);
    assert_eq!(ready(&client), 0, "a rollback does not requeue");
    assert_eq!(ids(&client.ask(&[ack(1, false).on(1), nack(2), commit()].concat())), [COMMIT_OK]);
    assert_eq!(ready(&client), 1);
}

#[wasm_bindgen_test(unsupported = test)]
fn a_channel_has_transactions_or_confirms_and_commits_only_transactions() {
    let confirm = select_confirms().on(1);
    let cases: [(&[Vec<u8>], Expected); 4] = [
        (&[select(), confirm.clone()], (406, "PRECONDITION_FAILED - cannot switch from tx to confirm mode", (85, 10))),
        (&[confirm, select()], (406, "PRECONDITION_FAILED - cannot switch from confirm to tx mode", (90, 10))),
        (&[commit()], (406, "PRECONDITION_FAILED - channel is not transactional", (90, 20))),
        (&[rollback()], (406, "PRECONDITION_FAILED - channel is not transactional", (90, 30))),
    ];
    for (input, expected) in cases {
        let answers = Client::ready().ask(&input.concat());
        check(answers.last().unwrap(), expected);
    }
}

#[wasm_bindgen_test(unsupported = test)]
fn refusals_of_full_queues_arrive_in_order() {
    let mut client = Client::ready();
    let full = [number_entry("x-max-length", 2), text_entry("x-overflow", "reject-publish")];
    client.ask(&[declare_queue_with("q", 0, &full).on(1), select_confirms().on(1)].concat());
    let six: Vec<u8> = ["q", "q", "q", "q", "nowhere", "q"].iter().flat_map(|key| publish(1, key, b"x")).collect();
    let confirms = client.ask(&six);
    assert_eq!(ids(&confirms), [ACK, NACK, ACK, NACK]);
    let tags: Vec<_> = confirms.iter().map(|answer| (answer.longlong_at(4), answer.payload[12] & 1)).collect();
    assert_eq!(tags, [(2, 1), (4, 1), (5, 0), (6, 0)]);
}

#[wasm_bindgen_test(unsupported = test)]
fn a_late_ack_closes_the_channel_and_requeues_the_message() {
    let mut client = Client::ready();
    client.ask(&declare_queue_with("q", 0, &[number_entry("x-consumer-timeout", 60_000)]).on(1));
    client.ask(&[publish(1, "q", b"1"), consume("q", "tag", 0).on(1)].concat());
    client.pass(59_999);
    assert_eq!(ids(&client.read()), []);
    client.pass(1);
    let text = "PRECONDITION_FAILED - delivery acknowledgement on channel 1 timed out. Timeout value used: 60000 ms. This \
                timeout value can be configured, see consumers doc guide to learn more";
    let closed = client.read();
    let closed: Vec<_> = closed.iter().filter(|answer| answer.kind == 1).collect();
    assert_eq!(closed[0].refusal(), (406, text, (0, 0)));
    assert_eq!(ready(&client), 1);
}
