//! Flat: the cost of a message in a broker that is full of other things, and in queues that do more than others.

use std::time::Instant;

use pocketmq::properties::PropertyValues;
use pocketmq::table::{Table, Value};

use crate::allocations;
use crate::workload::{Exchange, Setup, Workload};

const BATCH: usize = 100;
/// Rounds are short and many, so that some run without interruption by the rest of the machine.
const MESSAGES: usize = 500;
const ROUNDS: usize = 500;
/// In addition to those that are measured.
const BACKLOG: usize = 1_000_000;
const QUEUES: usize = 10_000;
const BINDINGS: usize = 100_000;

/// One measurement.
pub struct Row {
    pub name: String,
    /// Time of one message, published, delivered and acked.
    pub nanoseconds: f64,
    /// Ratio to the plain case, between the best round of each.
    pub ratio: f64,
    pub allocations: f64,
    /// Allocations are deterministic, so they are asserted.
    pub allocations_max: f64,
}

/// A case and the plain case to compare it with.
struct Case {
    name: String,
    setup: Setup,
    plain: Setup,
    /// Fills the broker.
    fill: Box<dyn Fn(&mut Workload)>,
    allocations_max: f64,
}

/// Measures all cases.
pub fn measure(scale: usize) -> Vec<Row> {
    cases(scale).into_iter().map(|case| case.measure(ROUNDS / scale.min(10))).collect()
}

/// Returns the nanoseconds to delete a queue with ten bindings: of a single one, and of one among many.
pub fn deletion(scale: usize) -> (f64, f64) {
    let delete = |others: usize| {
        let mut workload = Workload::new(&exchange_setup("direct"));
        let rounds = 100;
        (0..others + rounds).for_each(|number| declare_bound(&mut workload, number, BINDINGS / QUEUES));
        let start = Instant::now();
        (0..rounds).for_each(|number| workload.delete(&format!("other-{}", number * (others / rounds).max(1))));
        start.elapsed().as_secs_f64() * 1e9 / rounds as f64
    };
    (delete(0), delete(QUEUES / scale))
}

impl Case {
    fn measure(self, rounds: usize) -> Row {
        let mut ours = Workload::new(&self.setup);
        (self.fill)(&mut ours);
        let mut plain = Workload::new(&self.plain);
        for workload in [&mut ours, &mut plain] {
            workload.consume();
            workload.run(MESSAGES, BATCH);
        }
        let before = allocations();
        ours.run(MESSAGES, BATCH);
        let allocations = (allocations() - before) as f64 / MESSAGES as f64;
        let (mut best, mut best_plain) = (f64::MAX, f64::MAX);
        for _ in 0..rounds {
            best = best.min(nanoseconds(&mut ours));
            best_plain = best_plain.min(nanoseconds(&mut plain));
        }
        let Self { name, allocations_max, .. } = self;
        Row { name, nanoseconds: best, ratio: best / best_plain, allocations, allocations_max }
    }
}

fn nanoseconds(workload: &mut Workload) -> f64 {
    let start = Instant::now();
    workload.run(MESSAGES, BATCH);
    start.elapsed().as_secs_f64() * 1e9 / MESSAGES as f64
}

fn cases(scale: usize) -> Vec<Case> {
    let mut cases = Vec::new();
    for backlog in [1, 1_000, BACKLOG / scale] {
        let fill = Box::new(move |workload: &mut Workload| (0..backlog).for_each(|_| workload.publish()));
        cases.push(Case { fill, ..case(format!("{backlog} in the queue"), Setup::default()) });
    }
    let queues = QUEUES / scale;
    let fill = Box::new(move |workload: &mut Workload| {
        (0..queues).for_each(|number| workload.declare(&format!("other-{number}"), &Table::new()));
    });
    cases.push(Case { fill, ..case(format!("{queues} queues"), Setup::default()) });
    for kind in ["direct", "topic", "headers"] {
        cases.push(bindings_case(kind, BINDINGS / scale));
    }
    cases.extend(argument_cases());
    cases.extend(message_cases());
    cases
}

fn case(name: String, setup: Setup) -> Case {
    Case { name, setup, plain: Setup::default(), fill: Box::new(|_| {}), allocations_max: 1.01 }
}

/// An exchange with many bindings of which one matches, compared with that binding alone.
fn bindings_case(kind: &'static str, bindings: usize) -> Case {
    let setup = exchange_setup(kind);
    let fill = Box::new(move |workload: &mut Workload| {
        let each = 10;
        (0..bindings / each).for_each(|number| declare_bound(workload, number, each));
    });
    // Headers are decoded into a table before they are compared.
    let allocations_max = if kind == "headers" { 20.0 } else { 1.01 };
    let name = format!("{bindings} bindings of a {kind} exchange");
    Case { name, plain: setup.clone(), setup, fill, allocations_max }
}

fn exchange_setup(kind: &'static str) -> Setup {
    let headers = table(&[("kind", "order".into()), ("region", "eu".into()), ("number", 1.into())]);
    let arguments = table(&[("kind", "order".into()), ("region", "eu".into())]);
    let exchange = Exchange { kind, routing_key: "order.created.eu", arguments: arguments.clone() };
    let message = PropertyValues { headers: (kind == "headers").then_some(headers), ..PropertyValues::default() };
    Setup { exchange: Some(exchange), message, ..Setup::default() }
}

/// Declares one of many queues, with bindings that are similar to the published messages and do not match.
fn declare_bound(workload: &mut Workload, number: usize, bindings: usize) {
    let name = format!("other-{number}");
    workload.declare(&name, &Table::new());
    for other in (number * bindings..).take(bindings) {
        let pattern = match other % 4 {
            0 => format!("order.created.{other}"),
            1 => format!("order.*.{other}"),
            2 => format!("order.#.{other}"),
            _ => format!("*.created.{other}.#"),
        };
        let arguments = table(&[("kind", "order".into()), ("number", (1_000 + other as i64).into())]);
        workload.bind(&name, &pattern, &arguments);
    }
}

/// Queues with an argument that has no effect on these messages.
fn argument_cases() -> Vec<Case> {
    let dead_letters = [("x-dead-letter-exchange", "amq.fanout".into()), ("x-dead-letter-routing-key", "dead".into())];
    let classic: [(&str, Vec<(&str, Value)>); 10] = [
        ("x-message-ttl", vec![("x-message-ttl", 60_000.into())]),
        ("x-expires", vec![("x-expires", 60_000.into())]),
        ("x-max-length", vec![("x-max-length", 1_000.into())]),
        ("x-max-length-bytes", vec![("x-max-length-bytes", 1_000_000.into())]),
        ("x-overflow reject-publish", vec![("x-max-length", 1_000.into()), ("x-overflow", "reject-publish".into())]),
        ("dead-letter exchange and routing key", dead_letters.into()),
        ("x-max-priority 10", vec![("x-max-priority", 10.into())]),
        ("x-single-active-consumer", vec![("x-single-active-consumer", true.into())]),
        ("x-consumer-timeout", vec![("x-consumer-timeout", 60_000.into())]),
        ("x-message-deduplication", vec![("x-message-deduplication", true.into())]),
    ];
    let others: [(&str, Vec<(&str, Value)>); 5] = [
        ("all of these", classic.iter().flat_map(|(_, arguments)| arguments.clone()).collect()),
        ("x-max-priority 255", vec![("x-max-priority", 255.into())]),
        ("x-queue-type quorum", vec![("x-queue-type", "quorum".into())]),
        ("x-delivery-limit", vec![("x-queue-type", "quorum".into()), ("x-delivery-limit", 5.into())]),
        ("x-partitions", vec![("x-partitions", 4.into())]),
    ];
    let case_of = |(name, arguments): (&str, Vec<(&str, Value)>)| {
        case(name.into(), Setup { arguments: arguments.into_iter().collect(), ..Setup::default() })
    };
    classic.into_iter().chain(others).map(case_of).collect()
}

/// Messages with properties that affect their queue.
fn message_cases() -> Vec<Case> {
    let expiring = PropertyValues { expiration: Some("60000".into()), ..PropertyValues::default() };
    let urgent = PropertyValues { priority: Some(7), ..PropertyValues::default() };
    let arguments = table(&[("x-max-priority", 255.into())]);
    let urgent = Setup { arguments, message: urgent, ..Setup::default() };
    let named = table(&[("x-deduplication-id", "message-00000000".into())]);
    let named = PropertyValues { headers: Some(named), ..PropertyValues::default() };
    let named = Setup { message: named, is_numbered: true, ..Setup::default() };
    let task = PropertyValues { headers: Some(table(&[("task", "resize".into())])), ..PropertyValues::default() };
    let arguments = table(&[("x-message-deduplication", true.into())]);
    let unique = Setup { arguments, ..named.clone() };
    let beside_plain = |name: &str, setup: Setup| case(name.into(), setup);
    vec![
        beside_plain("expiration on the message", Setup { message: expiring, ..Setup::default() }),
        beside_plain("x-max-priority 255, priority on the message", urgent),
        beside_plain("a header on the message", Setup { message: task, ..Setup::default() }),
        // Compared with the same message. Its id is stored as long as it is in the queue.
        Case {
            plain: named,
            allocations_max: 2.01,
            ..beside_plain("x-message-deduplication, id on the message", unique)
        },
    ]
}

fn table(pairs: &[(&str, Value)]) -> Table {
    pairs.iter().cloned().collect()
}
