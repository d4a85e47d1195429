//! Dump: the state of a server as text, to compare two of them.

use pocketmq::server::Server;
use pocketmq::table::{Table, Value};

/// Dumps topology, policies and messages; of the messages those for which `is_included` holds, by virtual host, queue
/// and body.
pub fn dump(server: &Server, is_included: impl Fn(&str, &str, &[u8]) -> bool) -> String {
    let mut lines = Vec::new();
    for host in server.virtual_hosts().iter() {
        let (name, broker) = (host.name(), host.broker());
        lines.push(format!("virtual host {name}"));
        for queue in broker.report().queues {
            let mut messages = broker.messages(&queue.name).unwrap_or_default();
            messages.retain(|message| is_included(name, &queue.name, &message.body));
            lines.push(format!("  queue {}: {} messages", queue.name, messages.len()));
            lines.extend(messages.iter().map(|message| {
                format!("    {} {}", message.position, message.body[..message.body.len().min(8)].escape_ascii())
            }));
        }
        let exchanges = broker.list_exchanges(None);
        lines.extend(exchanges.iter().map(|exchange| format!("  exchange {}", texts(exchange, &["name", "type"]))));
        let bindings = broker.list_bindings();
        let names = ["source", "destination", "routing_key"];
        lines.extend(bindings.iter().map(|binding| format!("  binding {}", texts(binding, &names))));
        lines.extend(broker.policies().map(|(name, policy)| format!("  policy {name}: {policy:?}")));
    }
    lines.join("\n")
}

fn texts(table: &Table, names: &[&str]) -> String {
    names.iter().map(|name| format!("{name} '{}' ", table.get(name).and_then(Value::as_str).unwrap_or("?"))).collect()
}

/// Returns the lines that only one of two dumps has.
pub fn difference(one: &str, other: &str) -> String {
    let only = |sign: &str, these: &str, those: &str| {
        let lines = these.lines().filter(|line| !those.lines().any(|known| known == *line));
        lines.map(|line| format!("\n{sign} {line}")).collect::<String>()
    };
    only("-", one, other) + &only("+", other, one)
}
