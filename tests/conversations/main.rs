//! Conversations: complete ones of clients with a server, natively and in browsers.

mod access;
mod errors;
mod handshake;
mod messages;
mod operator;
#[path = "../peer/mod.rs"]
mod peer;
mod pressure;
mod transactions;
mod turns;
mod virtual_hosts;

use peer::Answer;

#[cfg(target_arch = "wasm32")]
wasm_bindgen_test::wasm_bindgen_test_configure!(run_in_dedicated_worker);

const GREETING: (u16, u16) = (10, 10);
const CLOSE_CONNECTION: (u16, u16) = (10, 50);
const CLOSE_CHANNEL: (u16, u16) = (20, 40);
const ACK: (u16, u16) = (60, 80);
const NACK: (u16, u16) = (60, 120);
const DELIVER: (u16, u16) = (60, 60);
const RETURN: (u16, u16) = (60, 50);

/// An expected refusal: its code, the beginning of its text, and the method that failed.
type Expected = (u16, &'static str, (u16, u16));

fn check(answer: &Answer, (code, beginning, method): Expected) {
    let refusal = answer.refusal();
    assert_eq!((refusal.0, refusal.2), (code, method), "{}", refusal.1);
    assert!(refusal.1.starts_with(beginning), "{} instead of {beginning}", refusal.1);
}

fn contains(bytes: &[u8], part: &str) -> bool {
    bytes.windows(part.len()).any(|window| window == part.as_bytes())
}

/// Returns the bodies among the replies.
fn bodies(answers: &[Answer]) -> Vec<&[u8]> {
    answers.iter().filter(|answer| answer.kind == 3).map(|body| &body.payload[..]).collect()
}
