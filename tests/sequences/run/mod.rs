//! Run: a sequence of commands for the broker, for its twin that sees only the facts, and for the reference.

mod bench;
mod facts;
#[path = "../../reference/mod.rs"]
pub mod reference;
mod verbs;
mod words;

use bench::Bench;

/// A verb and its parameters; every value is valid.
pub type Command = [u8; 8];

/// Runs the commands, and removes everything in the end.
pub fn check(commands: &[Command]) {
    let mut bench = Bench::new();
    for (index, &command) in commands.iter().enumerate() {
        bench.run(command);
        if index.is_multiple_of(16) {
            bench.compare();
        }
    }
    bench.compare();
    bench.close_down();
}

/// Runs commands from bytes; an incomplete last command is ignored.
pub fn check_bytes(bytes: &[u8]) {
    check(bytes.as_chunks().0);
}
