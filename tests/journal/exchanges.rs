//! Exchanges: one that is deleted and declared again has the arguments of its last declaration.

use pocketmq::embedded::Verb;
use pocketmq::server::Server;
use pocketmq::table::{Table, Value};

use super::program::{NOW_MS, Program, flush, open_small};
use super::store::Bytes;

fn declare(server: &mut Server, header: &str) {
    let arguments = [("hash-header", header), ("x-note", header)].into_iter().collect();
    Program(server).exchange("e", "x-consistent-hash", &arguments);
}

/// Fills a part of a segment with a message that is soon gone.
fn fill(server: &mut Server) {
    Program(server).send("filler", &"x".repeat(500));
    flush(server, NOW_MS);
    Program(server).take("filler", true).expect("it was just sent");
    flush(server, NOW_MS);
}

#[test]
fn an_exchange_that_was_declared_again_has_its_last_arguments_whatever_was_cleaned() {
    // The first declaration may be in the segment of the last one, or in an older one that is cleaned alone.
    for steps_between in 0..20 {
        let store = Bytes::default();
        let mut server = open_small(&store);
        Program(&mut server).queue("filler", &Table::new());
        declare(&mut server, "first");
        (0..steps_between).for_each(|_| fill(&mut server));
        server.verb(Verb::DeleteExchange { name: "e", if_unused: false }).unwrap();
        declare(&mut server, "last");
        for _ in 0..10 {
            fill(&mut server);
            drop(server);
            server = open_small(&store);
            let [exchange] = &server.broker().list_exchanges(Some("e"))[..] else { panic!("it is gone") };
            let Some(Value::Table(arguments)) = exchange.get("arguments") else { panic!("it has no arguments") };
            for name in ["hash-header", "x-note"] {
                assert_eq!(arguments.get(name).and_then(Value::as_str), Some("last"), "{name}");
            }
        }
    }
}
