//! The reading end of the journal, for the carrier.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use tokio::sync::watch;

use super::frame::{HEADER_BYTES, Header};
use super::segment::{self, Damage};

/// A place in the journal. Places are ordered as events are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// The segment.
    pub segment: u64,
    /// The byte in it.
    pub offset: u64,
}

/// An event as it lies in the journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawEvent {
    /// The call's identifier, its 16 bytes: to tell calls apart without reading the record.
    pub call: [u8; 16],
    /// The call record as JSON.
    pub json: Vec<u8>,
}

/// What one reading gave.
#[derive(Debug, Default)]
pub struct Batch {
    /// The events, in order.
    pub events: Vec<RawEvent>,
    /// What couldn't be read.
    pub damages: Vec<Damage>,
}

/// The reading end. It sees only what is wholly written.
#[derive(Debug)]
pub struct JournalTail {
    directory: PathBuf,
    journal: u64,
    /// The first segment of this process; those before are what earlier ones left.
    own_first: u64,
    written: watch::Receiver<Position>,
    next: Position,
}

impl JournalTail {
    pub(super) fn new(directory: PathBuf, header: Header, written: watch::Receiver<Position>) -> Self {
        let next = Position { segment: 0, offset: 0 };
        Self { directory, journal: header.journal, own_first: header.segment, written, next }
    }

    /// Which journal this is; random, chosen when its directory was created.
    #[must_use]
    pub fn journal(&self) -> u64 {
        self.journal
    }

    /// Where the journal lies.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Where the next reading begins.
    #[must_use]
    pub fn position(&self) -> Position {
        self.next
    }

    /// Goes on at `position` of journal `journal`, which a checkpoint kept. A checkpoint of another
    /// journal, or of a later state of this one (a directory put back from a backup), doesn't
    /// count: everything present is read again.
    pub fn resume(&mut self, journal: u64, position: Position) {
        let counts = journal == self.journal && position.segment < self.own_first;
        self.next = if counts { position } else { Position { segment: 0, offset: 0 } };
    }

    /// Whether all that earlier processes left has been read.
    #[must_use]
    pub fn reached_own(&self) -> bool {
        self.next.segment >= self.own_first
    }

    /// Whether all that has been written has been read.
    #[must_use]
    pub fn caught_up(&self) -> bool {
        self.next >= *self.written.borrow()
    }

    /// Waits until something unread has been written. Gives false once nothing can come any more.
    pub async fn more(&mut self) -> bool {
        let next = self.next;
        self.written.wait_for(|written| *written > next).await.is_ok()
    }

    /// Whether nothing can be written any more.
    #[must_use]
    pub fn closed(&self) -> bool {
        self.written.has_changed().is_err()
    }

    /// Reads the next events, at most `most` of them, from at most one segment, and none of this
    /// process together with those of earlier ones. An empty batch doesn't mean that nothing is
    /// left: ask [`JournalTail::reached_own`] and [`JournalTail::caught_up`]. Blocks on the disk.
    ///
    /// # Errors
    /// What the disk said; the position stays.
    pub fn read(&mut self, most: usize) -> io::Result<Batch> {
        let end = self.end();
        let mut batch = Batch::default();
        let Some(at) = self.settle(end, &mut batch)? else {
            return Ok(batch);
        };
        let limit = self.limit(at.segment, end)?;
        let frames = segment::read(&self.directory, at.segment, at.offset, limit, most)?;
        self.next = Position { segment: at.segment, offset: frames.next };
        batch.damages.extend(frames.damages);
        batch.events.extend(frames.payloads.into_iter().filter_map(event));
        Ok(batch)
    }

    /// Gives up on the segment that can't be read and goes on with the next, unless it is the one
    /// being written. Gives what is passed over.
    pub fn skip_segment(&mut self) -> Option<Damage> {
        if self.next.segment >= self.written.borrow().segment {
            return None;
        }
        let Position { segment, offset } = self.next;
        self.next = Position { segment: segment.saturating_add(1), offset: 0 };
        Some(Damage { segment, offset, bytes: 0, torn: false })
    }

    /// Removes the segments of a journal's directory before `segment`: all of them have been
    /// carried. Blocks on the disk.
    ///
    /// # Errors
    /// What the disk said; the rest is removed another time.
    pub fn remove_before(directory: &Path, segment: u64) -> io::Result<()> {
        for carried in segment::list(directory)?.into_iter().filter(|known| *known < segment) {
            fs::remove_file(segment::path(directory, carried))?;
        }
        Ok(())
    }

    /// Up to where there is something to read. What earlier processes left is a reading of its own,
    /// so that the carrier can act between the two.
    fn end(&self) -> Position {
        if self.reached_own() {
            *self.written.borrow()
        } else {
            Position { segment: self.own_first, offset: 0 }
        }
    }

    /// Moves on to a segment that is there and has something left. `None` when all is read.
    fn settle(&mut self, end: Position, batch: &mut Batch) -> io::Result<Option<Position>> {
        while self.next < end {
            let Position { segment, offset } = self.next;
            let present = segment::path(&self.directory, segment).exists();
            let done = !present || (segment < end.segment && offset >= self.limit(segment, end)?);
            if done {
                let following = segment::list(&self.directory)?.into_iter().find(|known| *known > segment);
                let Some(following) = following.filter(|known| *known <= end.segment) else {
                    return Ok(None);
                };
                self.next = Position { segment: following, offset: 0 };
            } else if offset == 0 {
                self.next.offset = as_u64(HEADER_BYTES);
                let unreadable = segment::header(&self.directory, segment)?.is_none();
                let bytes = self.limit(segment, end)?.min(as_u64(HEADER_BYTES));
                if unreadable && bytes > 0 {
                    batch.damages.push(Damage {
                        segment,
                        offset: 0,
                        bytes,
                        torn: bytes < as_u64(HEADER_BYTES),
                    });
                }
            } else {
                return Ok(Some(self.next));
            }
        }
        Ok(None)
    }

    /// Up to where a segment may be read.
    fn limit(&self, segment: u64, end: Position) -> io::Result<u64> {
        if segment == end.segment {
            return Ok(end.offset);
        }
        fs::metadata(segment::path(&self.directory, segment)).map(|found| found.len())
    }
}

/// The event in a payload. A kind of a later version is passed over.
fn event(mut payload: Vec<u8>) -> Option<RawEvent> {
    let (kind, rest) = payload.split_first()?;
    let call = *rest.first_chunk::<16>()?;
    if !(1..=3).contains(kind) {
        return None;
    }
    payload.drain(..17);
    Some(RawEvent { call, json: payload })
}

fn as_u64(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}
