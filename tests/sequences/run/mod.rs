//! Run: a sequence of commands for the broker, for its twin that knows only the facts, and for the reference.

mod bench;
mod facts;
#[path = "../../reference/mod.rs"]
pub mod reference;
mod verbs;
mod words;

use bench::Bench;

/// What to do, and with which of the words; every value means something.
pub type Command = [u8; 8];

/// Follows the commands, and in the end takes everything away.
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

/// The same of bytes; what is left of a last command is ignored.
pub fn check_bytes(bytes: &[u8]) {
    check(bytes.as_chunks().0);
}
