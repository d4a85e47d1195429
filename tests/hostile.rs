//! Hostile: random bytes and requests; a connection never panics, stays within its limits, and accepts its input cut
//! anywhere.
#![cfg(not(target_arch = "wasm32"))]

#[path = "fuzz/run/corpus.rs"]
mod corpus;
#[path = "fuzz/run/mod.rs"]
mod run;

use pocketmq::limits::Limits;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use run::peer::*;
use run::{conversations, values};

const MEMORY_MAX: usize = 60_000;
const OUTPUT_HIGH: usize = 4096;
/// Upper bound of what one reply adds to an output that was not above the limit yet.
const ANSWER_MAX: usize = 25_000;

fn limits() -> Limits {
    Limits {
        memory_max_bytes: MEMORY_MAX,
        message_max_bytes: 20_000,
        output_high_bytes: OUTPUT_HIGH,
        ..Limits::default()
    }
}

fn queues() -> impl Strategy<Value = &'static str> {
    prop_oneof![9 => select(vec!["a", "b"]), 1 => select(vec!["", "missing", "amq.rabbitmq.reply-to", "ä"])]
}

fn exchanges() -> impl Strategy<Value = &'static str> {
    prop_oneof![
        16 => Just(""),
        4 => select(vec!["amq.topic", "amq.fanout", "amq.headers"]),
        1 => select(vec!["missing", "own"])
    ]
}

fn tables() -> impl Strategy<Value = &'static [u8]> {
    let unusual: Vec<&[u8]> =
        vec![b"\x07x-matchS\0\0\0\x03any\x01kI\0\0\0\x01", b"\x0cx-queue-typeS\0\0\0\x07classic", b"\x01a?"];
    prop_oneof![30 => Just(&b""[..]), 1 => select(unusual)]
}

fn properties() -> impl Strategy<Value = &'static [u8]> {
    let unusual: Vec<&[u8]> = vec![
        &[0, 16, 5, b'g', b'u', b'e', b's', b't'],
        &[0, 16, 5, b'a', b'd', b'm', b'i', b'n'],
        &[0x30, 0, 0, 0, 0, 7, 1, b'k', b'I', 0, 0, 0, 1, 2],
        &[0x02, 0, 1, b'a'],
    ];
    prop_oneof![8 => Just(&[0, 0][..]), 1 => select(unusual)]
}

/// Well-formed requests on an open channel, most of them allowed.
fn requests() -> impl Strategy<Value = Call> {
    let (q, e) = (queues, exchanges);
    let bit = || 0..2u8;
    prop_oneof![
        4 => (q(), 0..2u8, tables()).prop_map(|(q, bits, t)| call(50, 10).short(0).text(q).octet(bits).bytes(t)),
        4 => (q(), select(vec!["", "x", "y"]), 0..4u8).prop_map(|(q, tag, bits)| consume(q, tag, bits)),
        3 => (q(), any::<bool>()).prop_map(|(q, no_ack)| get(q, no_ack)),
        6 => Just(ack(0, true)),
        1 => (0..4u64, any::<bool>()).prop_map(|(tag, multiple)| ack(tag, multiple)),
        1 => (0..4u64, 0..4u8).prop_map(|(tag, bits)| call(60, 120).longlong(tag).octet(bits)),
        2 => Just(call(60, 120).longlong(0).octet(3)),
        1 => (0..4u64, bit()).prop_map(|(tag, requeue)| call(60, 90).longlong(tag).octet(requeue)),
        2 => (q(), e(), q(), tables())
            .prop_map(|(q, e, k, t)| call(50, 20).short(0).text(q).text(e).text(k).octet(0).bytes(t)),
        1 => (q(), e(), q(), tables()).prop_map(|(q, e, k, t)| call(50, 50).short(0).text(q).text(e).text(k).bytes(t)),
        1 => (e(), 0..32u8).prop_map(|(e, bits)| call(40, 10).short(0).text(e).text("topic").octet(bits).bytes(b"")),
        1 => (e(), e(), tables())
            .prop_map(|(to, from, t)| call(40, 30).short(0).text(to).text(from).text("#").octet(0).bytes(t)),
        1 => (e(), 0..4u8).prop_map(|(e, bits)| call(40, 20).short(0).text(e).octet(bits)),
        1 => (q(), 1..4u8).prop_map(|(q, bits)| call(50, 40).short(0).text(q).octet(bits)),
        1 => q().prop_map(|q| call(50, 30).short(0).text(q).octet(0)),
        2 => (0..4u16, bit()).prop_map(|(count, global)| call(60, 10).long(0).short(count).octet(global)),
        1 => select(vec!["x", "y", "z"]).prop_map(|tag| call(60, 30).text(tag).octet(0)),
        1 => Just(call(60, 110).octet(1)),
        4 => Just(select_confirms()),
        1 => Just(close_channel()),
    ]
}

fn messages() -> impl Strategy<Value = Call> {
    (exchanges(), queues(), 0..2u8).prop_map(|(exchange, key, bits)| publish_method(exchange, key, bits))
}

#[derive(Clone, Debug)]
enum Step {
    Request(u16, Call),
    Message {
        channel: u16,
        method: Call,
        properties: &'static [u8],
        size: usize,
        part: usize,
    },
    Noise(Vec<u8>),
    /// The server makes deliveries.
    Turn,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let sizes = prop_oneof![6 => 0..50usize, 2 => 0..5_000usize, 1 => 18_000..25_000usize];
    let noise = (1..4u8, 0..4u16, vec(any::<u8>(), 0..20));
    let step = prop_oneof![
        120 => (1..4u16, requests()).prop_map(|(channel, request)| Step::Request(channel, request)),
        120 => (1..4u16, messages(), properties(), sizes, 1..9000usize)
            .prop_map(|(channel, method, properties, size, part)| Step::Message { channel, method, properties, size, part }),
        40 => Just(Step::Turn),
        2 => Just(Step::Noise(frame(8, 0, b""))),
        1 => noise.prop_map(|(kind, channel, noise)| Step::Noise(frame(kind, channel, &noise))),
    ];
    vec(step, 1..80)
}

impl Step {
    fn bytes(&self) -> Vec<u8> {
        match self {
            Self::Request(channel, request) => request.on(*channel),
            Self::Message { channel, method, properties, size, part } => {
                let mut bytes = method.on(*channel);
                bytes.extend(frame(2, *channel, &content_header(*size as u64, properties)));
                bytes.extend(vec![b'x'; *size].chunks(*part).flat_map(|part| frame(3, *channel, part)));
                bytes
            }
            Self::Noise(bytes) => bytes.clone(),
            Self::Turn => Vec::new(),
        }
    }

    fn closes_channel(&self) -> Option<u16> {
        match self {
            Self::Request(channel, request) if request.on(0) == close_channel().on(0) => Some(*channel),
            _ => None,
        }
    }
}

/// Returns the bytes of a client that follows these steps, and reopens its channels when they were closed; between the
/// parts the server makes deliveries.
fn conversation(steps: &[Step]) -> Vec<Vec<u8>> {
    let mut client = Client::connect(limits(), true);
    let start: Vec<u8> = (1..4u16).flat_map(|channel| open_channel().on(channel)).collect();
    let queues = [declare_queue("a", 0).on(1), declare_queue("b", 0).on(1), consume("a", "", 0).on(2)].concat();
    let mut written = vec![[handshake(), start, queues].concat()];
    client.write(&written[0]);
    for step in steps {
        let mut bytes = Vec::new();
        for closed in client.read().iter().filter(|answer| answer.id() == (20, 40)) {
            bytes.extend([close_channel_ok().on(closed.channel), open_channel().on(closed.channel)].concat());
        }
        bytes.extend(step.bytes());
        bytes.extend(step.closes_channel().map(|channel| open_channel().on(channel)).unwrap_or_default());
        client.write(&bytes);
        written.last_mut().unwrap().extend(bytes);
        if let Step::Turn = step {
            client.turn();
            written.push(Vec::new());
        }
    }
    written
}

fn handshake() -> Vec<u8> {
    let capabilities = ["consumer_cancel_notify", "authentication_failure_close"];
    let login = plain_login(&capabilities).on(0);
    [HEADER, &login, &tune_ok(0, 8192 + 1000, 0).on(0), &open("/").on(0)].concat()
}

/// Returns, by channel, all replies but confirms in order, and the last confirmed number of each time that the channel
/// was open.
fn by_channel(answers: &[Answer]) -> Vec<(Vec<Answer>, Vec<u64>)> {
    let replies = |channel| {
        let (mut rest, mut confirmed) = (Vec::new(), Vec::new());
        for answer in answers.iter().filter(|answer| answer.channel == channel) {
            match answer.id() {
                (60, 80) => *confirmed.last_mut().expect("confirms are sent on open channels") = answer.longlong_at(4),
                // A reopened channel counts from 1 again.
                (20, 11) => confirmed.push(0),
                _ => {}
            }
            if answer.id() != (60, 80) {
                rest.push(answer.clone());
            }
        }
        (rest, confirmed)
    };
    (0..4).map(replies).collect()
}

/// Feeds each part in pieces of these sizes, repeatedly, and makes deliveries after it.
fn converse(parts: &[Vec<u8>], sizes: &[usize]) -> Vec<Answer> {
    let mut client = Client::connect(limits(), true);
    let mut sizes = sizes.iter().cycle();
    for part in parts {
        let mut rest = &part[..];
        while !rest.is_empty() {
            let (piece, after) = rest.split_at(rest.len().min(*sizes.next().unwrap()));
            client.write(piece);
            rest = after;
        }
        client.turn();
    }
    client.read()
}

/// Feeds the input, reads output only when input has to wait, and checks the limits all the time.
fn press(input: &[u8], size: usize) {
    let mut client = Client::connect(limits(), true);
    let id = client.id;
    for piece in input.chunks(size) {
        // A connection that waits for memory wants no input either, and has no output to take.
        while !client.server.wants_input(id) && !client.server.output(id).is_empty() {
            let bytes = client.server.output(id).len();
            client.server.output_taken(id, bytes);
        }
        client.server.receive(id, piece);
        client.deadline_ms = client.server.turn(client.now_ms);
        assert!(client.server.output(id).len() <= OUTPUT_HIGH + ANSWER_MAX);
        assert!(client.memory_bytes() <= MEMORY_MAX);
    }
    client.server.disconnected(id);
    let report = client.server.broker().report();
    assert_eq!((report.connections, report.channels), (0, 0));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn input_may_be_cut_anywhere(steps in steps(), sizes in vec(1..3000usize, 1..5)) {
        let parts = conversation(&steps);
        let whole = by_channel(&converse(&parts, &[usize::MAX]));
        prop_assert_eq!(whole, by_channel(&converse(&parts, &sizes)));
    }

    #[test]
    fn conversations_keep_within_the_limits(steps in steps(), size in 1..5000usize) {
        press(&conversation(&steps).concat(), size);
    }

    #[test]
    fn damaged_conversations_keep_within_the_limits(
        steps in steps(),
        damage in vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in any::<prop::sample::Index>(),
        size in 1..5000usize,
    ) {
        let mut input = conversation(&steps).concat();
        for (at, value) in damage {
            let at = at.index(input.len());
            input[at] ^= value;
        }
        input.truncate(cut.index(input.len()).max(input.len() / 2));
        press(&input, size);
    }

    #[test]
    fn noise_after_the_handshake_keeps_within_the_limits(noise in vec(any::<u8>(), 0..2000), greeted in any::<bool>()) {
        let start = if greeted { handshake() } else { Vec::new() };
        press(&[start, noise].concat(), 100);
    }
}

#[test]
fn the_corpus_of_the_fuzzer_finds_nothing() {
    corpus::of("values").iter().for_each(|bytes| values::check(bytes));
    corpus::of("conversations").iter().for_each(|bytes| conversations::check(bytes));
}
