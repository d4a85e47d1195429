//! Disk: a simulated disk, which separates what is written from what is durable, and simulates crashes.
//!
//! ```text
//!   create, append, remove ──> live, pending ── flush ──> durable
//!                                   │                        │
//!                        each by itself survives,            │
//!                        is lost or is torn                  │
//!                                   └───────> image <────────┘
//! ```

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use pocketmq::journal::{Segment, Store, StoreError};

use super::forge::{Forgery, Known, forge, forge_segment};
use super::random::Random;

/// A lost or torn write leaves whole sectors.
const SECTOR_BYTES: usize = 512;

/// A planted bug of the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lie {
    /// A flush does nothing.
    FlushesNothing,
    /// A flush forgets the last write before it.
    ForgetsLastWrite,
    /// The removal of a segment is durable before the copies of its facts.
    RemovesEarly,
    /// Wrong facts are written or read.
    Forges(Forgery),
}

/// A handle of the disk; the server's store is another one.
#[derive(Clone, Debug, Default)]
pub struct Disk(Rc<RefCell<Platter>>);

type Files = BTreeMap<Segment, Vec<u8>>;

#[derive(Clone, Debug, Default)]
struct Platter {
    live: Files,
    durable: Files,
    /// The durable files before the last flush.
    before: Files,
    pending: Vec<Write>,
    /// Number of pending writes that the current flush makes durable.
    flushing: Option<usize>,
    /// Free space in bytes, if it is limited.
    room_bytes: Option<usize>,
    lie: Option<Lie>,
    known: Known,
}

#[derive(Clone, Debug)]
enum Write {
    Create(Segment),
    Append(Segment, Vec<u8>),
    Remove(Segment),
}

impl Disk {
    /// Makes a disk with a planted bug.
    pub fn lying(lie: Lie) -> Self {
        Platter { lie: Some(lie), ..Platter::default() }.into()
    }

    /// Starts to flush everything written so far.
    pub fn start_flush(&self) {
        let mut platter = self.0.borrow_mut();
        platter.flushing = Some(platter.pending.len());
    }

    /// Makes the writes before the start of the flush durable, unless the disk is full.
    pub fn finish_flush(&self) -> Result<(), StoreError> {
        self.0.borrow_mut().finish_flush()
    }

    /// Limits the free space.
    pub fn set_room(&self, bytes: Option<usize>) {
        self.0.borrow_mut().room_bytes = bytes;
    }

    /// Describes the length of each segment and how much of it is durable, for the trace.
    pub fn describe(&self) -> String {
        let platter = self.0.borrow();
        let durable = |segment| platter.durable.get(segment).map_or(0, Vec::len);
        let segments = platter.live.iter().map(|(segment, file)| {
            format!("{}/{}: {} of {}", segment.number, segment.leadership, durable(segment), file.len())
        });
        segments.collect::<Vec<_>>().join(", ")
    }

    /// Returns the space in use.
    pub fn live_bytes(&self) -> usize {
        self.0.borrow().live.values().map(Vec::len).sum()
    }

    /// Returns the disk after a power loss.
    pub fn after_power_loss(&self, random: &mut Random) -> Self {
        self.0.borrow().after_power_loss(random).into()
    }

    /// Returns the disk after a kill of the program: all writes are there, and a new program must flush them first.
    pub fn after_kill(&self) -> Self {
        let Platter { live, lie, known, .. } = self.0.borrow().clone();
        Platter { durable: live.clone(), live, lie, known, ..Platter::default() }.into()
    }

    /// Plants the bug of a broker that misreads the disk as it starts.
    pub fn misread(&self) {
        let mut platter = self.0.borrow_mut();
        let Some(Lie::Forges(forgery)) = platter.lie else { return };
        let last = platter.live.keys().copied().max_by_key(|segment| (segment.leadership, segment.number));
        for (&segment, file) in &mut platter.live {
            if forgery != Forgery::MissesLastBatch || Some(segment) == last {
                forge_segment(file, segment, forgery);
            }
        }
        platter.durable = platter.live.clone();
    }
}

impl From<Platter> for Disk {
    fn from(platter: Platter) -> Self {
        Self(Rc::new(RefCell::new(platter)))
    }
}

impl Platter {
    fn write(&mut self, write: Write) {
        apply(&mut self.live, &write);
        self.pending.push(write);
    }

    fn finish_flush(&mut self) -> Result<(), StoreError> {
        let count = self.flushing.take().expect("a flush that ends was begun");
        if self.room_bytes == Some(0) {
            return Err(StoreError("the simulated disk is full".into()));
        }
        self.before = self.durable.clone();
        let mut writes: Vec<_> = self.pending.drain(..count).collect();
        match self.lie {
            Some(Lie::FlushesNothing) => return Ok(()),
            Some(Lie::ForgetsLastWrite) => drop(writes.pop()),
            _ => {}
        }
        for write in &writes {
            apply(&mut self.durable, write);
        }
        Ok(())
    }

    fn after_power_loss(&self, random: &mut Random) -> Self {
        let mut files = self.durable.clone();
        // Often the first writes were made already.
        let made = if random.chance(60) { random.below(self.pending.len() + 1) } else { 0 };
        for (place, write) in self.pending.iter().enumerate() {
            match write {
                _ if place < made => apply(&mut files, write),
                Write::Append(segment, bytes) => {
                    // A later write may survive this one: then there are zeros in its place.
                    let file = files.entry(*segment).or_default();
                    let begin = file.len();
                    file.resize(begin + bytes.len(), 0);
                    tear(&mut file[begin..], bytes, random);
                }
                _ if random.chance(50) => apply(&mut files, write),
                _ => {}
            }
        }
        let lost = self.pending[made..].iter().filter_map(|write| match write {
            Write::Create(segment) if random.chance(30) => Some(*segment),
            _ => None,
        });
        lost.for_each(|segment| drop(files.remove(&segment)));
        for (segment, file) in &mut files {
            let durable = self.durable.get(segment).map_or(0, Vec::len);
            cut_zeros(file, durable, random);
        }
        Self { live: files.clone(), durable: files, lie: self.lie, known: self.known.clone(), ..Self::default() }
    }
}

/// Writes the part of an unflushed append that survives.
fn tear(place: &mut [u8], bytes: &[u8], random: &mut Random) {
    match random.below(4) {
        0 => {}
        1 => {
            let length = random.below(bytes.len() + 1);
            place[..length].copy_from_slice(&bytes[..length]);
        }
        2 => {
            for (place, bytes) in place.chunks_mut(SECTOR_BYTES).zip(bytes.chunks(SECTOR_BYTES)) {
                if random.chance(60) {
                    place.copy_from_slice(bytes);
                }
            }
        }
        _ => place.copy_from_slice(bytes),
    }
}

/// A file whose last writes were lost may have its new length, or a shorter one.
fn cut_zeros(file: &mut Vec<u8>, durable: usize, random: &mut Random) {
    let end = file.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1).max(durable);
    if random.chance(70) {
        file.truncate(end + random.below(file.len() - end + 1) * usize::from(random.chance(30)));
    }
}

fn apply(files: &mut Files, write: &Write) {
    match write {
        Write::Create(segment) => drop(files.entry(*segment).or_default()),
        Write::Append(segment, bytes) => files.entry(*segment).or_default().extend_from_slice(bytes),
        Write::Remove(segment) => drop(files.remove(segment)),
    }
}

impl Store for Disk {
    fn segments(&mut self) -> Result<Vec<(Segment, u64)>, StoreError> {
        let platter = self.0.borrow();
        Ok(platter.live.iter().rev().map(|(segment, bytes)| (*segment, bytes.len() as u64)).collect())
    }

    fn read(&mut self, segment: Segment, offset: u64, into: &mut [u8]) -> Result<(), StoreError> {
        let platter = self.0.borrow();
        let file = platter.live.get(&segment);
        let begin = usize::try_from(offset).expect("a simulated segment is small");
        match file.and_then(|file| file.get(begin..begin + into.len())) {
            Some(bytes) => into.copy_from_slice(bytes),
            None => return Err(StoreError(format!("{segment:?} has no {} bytes at {offset}", into.len()).into())),
        }
        Ok(())
    }

    fn create(&mut self, segment: Segment) -> Result<(), StoreError> {
        let mut platter = self.0.borrow_mut();
        if platter.live.contains_key(&segment) {
            return Err(StoreError(format!("{segment:?} is there already").into()));
        }
        platter.write(Write::Create(segment));
        Ok(())
    }

    fn append(&mut self, segment: Segment, bytes: &[u8]) -> Result<(), StoreError> {
        let mut platter = self.0.borrow_mut();
        if !platter.live.contains_key(&segment) {
            return Err(StoreError(format!("{segment:?} is not there").into()));
        }
        let mut bytes = bytes.to_vec();
        if let Some(Lie::Forges(forgery)) = platter.lie {
            let offset = platter.live[&segment].len();
            forge(&mut bytes, segment, offset, forgery, &mut platter.known);
        }
        let fits = platter.room_bytes.map_or(bytes.len(), |room| room.min(bytes.len()));
        platter.room_bytes = platter.room_bytes.map(|room| room - fits);
        platter.write(Write::Append(segment, bytes[..fits].to_vec()));
        if fits < bytes.len() { Err(StoreError("the simulated disk is full".into())) } else { Ok(()) }
    }

    fn remove(&mut self, segment: Segment) -> Result<(), StoreError> {
        let mut platter = self.0.borrow_mut();
        if platter.lie == Some(Lie::RemovesEarly) {
            platter.durable = platter.before.clone();
            platter.durable.remove(&segment);
        }
        platter.write(Write::Remove(segment));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: Segment = Segment { number: 1, leadership: 1 };
    const SECOND: Segment = Segment { number: 2, leadership: 1 };

    /// A disk with a durable first segment and later writes that are not durable.
    fn disk() -> Disk {
        let mut disk = Disk::default();
        disk.create(FIRST).unwrap();
        disk.append(FIRST, b"durable").unwrap();
        disk.start_flush();
        disk.append(FIRST, b" pending").unwrap();
        disk.finish_flush().unwrap();
        disk.create(SECOND).unwrap();
        disk.append(SECOND, b"new").unwrap();
        disk.remove(FIRST).unwrap();
        disk
    }

    fn content(disk: &Disk, segment: Segment) -> Option<Vec<u8>> {
        disk.0.borrow().live.get(&segment).cloned()
    }

    #[test]
    fn a_killed_program_leaves_all_writes() {
        let left = disk().after_kill();
        assert_eq!(content(&left, FIRST), None);
        assert_eq!(content(&left, SECOND).as_deref(), Some(&b"new"[..]));
    }

    #[test]
    fn a_crash_leaves_what_is_durable_and_any_part_of_the_rest() {
        let disk = disk();
        let images: Vec<_> = (0..200).map(|seed| disk.after_power_loss(&mut Random::new(seed))).collect();
        let firsts: Vec<_> = images.iter().map(|image| content(image, FIRST)).collect();
        assert!(firsts.iter().flatten().all(|bytes| bytes.starts_with(b"durable")));
        let has = |meant: &dyn Fn(Option<&[u8]>) -> bool| firsts.iter().any(|bytes| meant(bytes.as_deref()));
        assert!(has(&|bytes| bytes.is_none()), "the removal survives");
        assert!(has(&|bytes| bytes == Some(b"durable")), "the append is lost");
        assert!(has(&|bytes| bytes == Some(b"durable pending")), "the append survives");
        assert!(has(&|bytes| bytes.is_some_and(|bytes| bytes.ends_with(b" pen"))), "the append is torn");
        assert!(has(&|bytes| bytes.is_some_and(|bytes| bytes.ends_with(b"\0"))), "there are zeros");
        let seconds: Vec<_> = images.iter().map(|image| content(image, SECOND)).collect();
        assert!(seconds.contains(&None) && seconds.contains(&Some(b"new".to_vec())));
    }

    #[test]
    fn a_full_disk_writes_a_part() {
        let mut disk = disk();
        disk.set_room(Some(3));
        assert!(disk.append(SECOND, b"more").is_err());
        assert_eq!(content(&disk, SECOND).as_deref(), Some(&b"newmor"[..]));
        disk.start_flush();
        assert!(disk.finish_flush().is_err());
    }
}
