//! Dump: all that a server keeps, as text, to compare two of them.

use std::fmt::Write as _;

use pocketmq::server::Server;

/// Everything that outlives a server which ends cleanly.
pub fn dump(server: &Server) -> String {
    let mut text = String::new();
    for host in server.virtual_hosts().iter() {
        let broker = host.broker();
        writeln!(text, "{}", host.name()).expect("a text takes all");
        for queue in broker.report().queues {
            writeln!(text, "  {}: {} ready", queue.name, queue.ready).expect("a text takes all");
            for message in broker.messages(&queue.name).into_iter().flatten() {
                let beginning = message.body.get(..8).unwrap_or_default();
                writeln!(text, "    {} {}", message.position, beginning.escape_ascii()).expect("a text takes all");
            }
        }
        for (name, policy) in broker.policies() {
            writeln!(text, "  policy {name}: {policy:?}").expect("a text takes all");
        }
    }
    text
}
