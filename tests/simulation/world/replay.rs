//! Replay: everything that a recorded server did, done again from its recording.

use pocketmq::id::TransportId;
use pocketmq::journal::JournalError;
use pocketmq::recording::{Recording, replay};
use pocketmq::server::{Input, Restored, Server};

use super::{ALL_BYTES, Sizes, World, config, options};
use crate::disk::Disk;
use crate::dump::{difference, dump};
use crate::ledger::{Checked, violation};

/// Output that a host has taken, in its order.
type Output = Vec<(TransportId, Vec<u8>)>;

/// A server that was opened, and its recording.
type Opened = (Result<(Server, Restored), JournalError>, Option<Life>);

/// A recording of the present server, and its output so far.
pub struct Life {
    recording: Recording,
    pub output: Output,
}

/// Opens a server on a disk, and records it if that is wanted.
pub(super) fn open(sizes: &Sizes, disk: Disk, now_ms: u64, is_recorded: bool) -> Opened {
    if !is_recorded {
        return (Server::open(config(sizes), Box::new(disk), &options(sizes), now_ms), None);
    }
    let (opened, recording) = Recording::open(config(sizes), Box::new(disk), &options(sizes), now_ms);
    (opened, Some(Life { recording, output: Vec::new() }))
}

/// With `POCKETMQ_RECORD` the recording of the last server is written to this file, if the run ends with it.
impl Drop for World {
    fn drop(&mut self) {
        if let (Some(path), Some(life)) = (std::env::var_os("POCKETMQ_RECORD"), &self.life) {
            std::fs::write(path, life.recording.take()).expect("the file for the recording can be written");
        }
    }
}

impl World {
    /// Opens a server on a disk, and records it if the world is recorded.
    pub(super) fn open_on(&self, disk: Disk) -> Opened {
        open(&self.sizes, disk, self.clock.now_ms, self.is_recorded)
    }

    /// Replays the present server, if it is recorded, and compares output and state.
    pub fn check_replay(&mut self) -> Checked {
        let Some(Life { recording, output }) = self.life.take() else { return Ok(()) };
        let mut again = Output::new();
        let replayed = replay(&recording.take(), &mut |step| {
            if let Input::OutputTaken { id, .. } = step.input {
                again.push((id, step.leaving.to_vec()));
            }
        });
        let replayed = match replayed {
            Ok(replayed) => replayed,
            Err(error) => return violation(error.to_string()),
        };
        if again != output {
            return violation("a replay has other output");
        }
        self.replayed_bytes += output.iter().map(|(_, bytes)| bytes.len()).sum::<usize>();
        let sees_bodies = self.sizes.page_bytes >= ALL_BYTES;
        let [state, again] = [&self.server, &replayed].map(|server| dump(server, |_, _, _| sees_bodies));
        if state != again {
            return violation(format!("a replay has another state:{}", difference(&state, &again)));
        }
        Ok(())
    }
}
