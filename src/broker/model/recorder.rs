//! Recorder: notes the facts that outlive a broker, as it commits them.
//!
//! A broker has one only if something writes the facts down. The broker knows nothing else of that, so a program that
//! never makes a recorder does not contain what it takes to write facts down and to restore them.

use super::pager::Location;
use super::record::Record;
use super::state::State;
use crate::wire::Malformed;

/// Counts of facts so far that a reply may have to wait for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Noted {
    /// Facts that outlive the broker.
    pub facts: u64,
    /// Messages that were not added because they had arrived before, by facts that may not be durable yet.
    pub repeats: u64,
}

/// Notes facts until they are written down.
pub(crate) trait Recorder {
    /// Notes a fact that is about to be applied.
    fn note(&mut self, state: &State, record: &Record<'_>);

    /// Notes the positions of messages that waited in a partition, after a fact was applied.
    fn note_opened(&mut self, state: &mut State);

    /// Counts a message that is not added, as it arrived before. Returns whether its publisher may rely on it.
    fn note_repeat(&mut self) -> bool;

    /// Notes the name of the virtual host.
    fn note_virtual_host(&mut self, name: &str);

    /// Notes how far each queue was delivered.
    fn note_deliveries(&mut self, state: &State);

    /// Notes those of these facts again that still hold, as their copy is about to be deleted. `name` is that of the
    /// virtual host.
    ///
    /// # Errors
    /// When these bytes are not facts.
    fn recall(&mut self, state: &State, name: &str, facts: &[u8]) -> Result<(), Malformed>;

    /// Returns how many facts were noted so far that a reply may have to wait for.
    fn noted(&self) -> Noted;

    /// Returns the facts that are to be written down.
    fn facts(&self) -> &[u8];

    /// Confirms that the facts were written down, beginning at this location.
    fn facts_written(&mut self, state: &mut State, at: Location);

    /// Returns the bytes of the facts that hold now, if each were written down once.
    fn live_bytes(&self, state: &State) -> usize;

    /// Measures the bytes of the topology's facts anew if they have grown much.
    fn measure_topology(&mut self, state: &State);

    /// Stops noting anything, as what was written down can no longer be relied on.
    fn fail(&mut self);

    /// Returns whether it has failed.
    fn has_failed(&self) -> bool;
}
