//! The recording of a whole call, on its way from the audio to the thread that writes it: both
//! voices in pieces of 200 ms, whose memory goes round.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use media::session::Session;

use super::recorder::{Job, RecordingId};

/// Samples of a piece: 200 ms.
const PIECE: usize = 1_600;
/// Pieces that wait to be used again, per worker; more are given back to the system.
const SPARES: usize = 256;

/// A stretch of a call.
pub(super) struct Piece {
    /// Samples before it that were never made, or had no room.
    pub gap: u64,
    length: usize,
    caller: [i16; PIECE],
    agent: [i16; PIECE],
    home: SyncSender<Box<Piece>>,
}

impl Piece {
    pub fn caller(&self) -> &[i16] {
        self.caller.get(..self.length).unwrap_or_default()
    }

    pub fn agent(&self) -> &[i16] {
        self.agent.get(..self.length).unwrap_or_default()
    }

    /// Goes back to the worker it came from.
    pub fn give_back(self: Box<Self>) {
        let home = self.home.clone();
        // Enough wait there already, or the worker has ended.
        let _ = home.try_send(self);
    }

    fn room(&self) -> usize {
        PIECE - self.length
    }
}

/// Where a worker's calls get pieces from.
pub(super) struct Spares {
    home: SyncSender<Box<Piece>>,
    returned: Receiver<Box<Piece>>,
}

impl Spares {
    pub fn new() -> Self {
        let (home, returned) = sync_channel(SPARES);
        Self { home, returned }
    }

    fn take(&self, gap: u64) -> Box<Piece> {
        match self.returned.try_recv() {
            Ok(mut piece) => {
                (piece.gap, piece.length) = (gap, 0);
                piece
            }
            Err(_) => {
                let home = self.home.clone();
                Box::new(Piece { gap, length: 0, caller: [0; PIECE], agent: [0; PIECE], home })
            }
        }
    }
}

/// The recording of one call.
pub(super) struct Tape {
    id: RecordingId,
    /// Samples of the call so far, as recorded.
    at: u64,
    /// Samples that the recorder had no room for, or that were never made, since the last piece.
    gap: u64,
    piece: Option<Box<Piece>>,
}

impl Tape {
    pub fn new(id: RecordingId) -> Self {
        Self { id, at: 0, gap: 0, piece: None }
    }

    /// Takes the frame of the last tick, both voices.
    pub fn take(&mut self, session: &Session, spares: &Spares, jobs: &SyncSender<Job>) {
        let (mut caller, mut agent) = (session.frame(), session.sent_frame());
        let begins = session.clock().saturating_sub(caller.len() as u64);
        if begins > self.at {
            // A stall ate frames: silence keeps the recording in step with the call.
            self.hand_over(jobs);
            self.gap += begins - self.at;
            self.at = begins;
        }
        while !caller.is_empty() {
            let gap = &mut self.gap;
            let piece = self.piece.get_or_insert_with(|| spares.take(std::mem::take(gap)));
            let count = caller.len().min(piece.room());
            let (now, later) = caller.split_at(count);
            let (sent, unsent) = agent.split_at(count.min(agent.len()));
            copy(now, piece.caller.get_mut(piece.length..).unwrap_or_default());
            copy(sent, piece.agent.get_mut(piece.length..).unwrap_or_default());
            piece.length += count;
            self.at += count as u64;
            (caller, agent) = (later, unsent);
            if piece.room() == 0 {
                self.hand_over(jobs);
            }
        }
    }

    /// Passes on what was taken. What the recorder has no room for becomes silence.
    pub fn hand_over(&mut self, jobs: &SyncSender<Job>) {
        let Some(piece) = self.piece.take() else { return };
        if let Err(refused) = jobs.try_send(Job::Piece(self.id, piece)) {
            let (std::sync::mpsc::TrySendError::Full(job) | std::sync::mpsc::TrySendError::Disconnected(job)) =
                refused;
            if let Job::Piece(_, piece) = job {
                self.gap += piece.gap + piece.length as u64;
                piece.give_back();
            }
        }
    }

    pub fn id(&self) -> RecordingId {
        self.id
    }
}

fn copy(from: &[i16], to: &mut [i16]) {
    for (place, sample) in to.iter_mut().zip(from) {
        *place = *sample;
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use media::codec::Codec;
    use media::session::{Agreement, SessionConfig};

    use super::*;

    const ID: RecordingId = RecordingId { call: 1, whole: true };

    fn length(job: &Job) -> (u64, usize) {
        match job {
            Job::Piece(_, piece) => (piece.gap, piece.caller().len()),
            _ => panic!("only pieces are sent"),
        }
    }

    #[test]
    fn a_stall_and_a_full_recorder_leave_silence_of_their_length() {
        let now = Instant::now();
        let agreement = Agreement::new(Codec::Pcma, "127.0.0.1:4000".parse().unwrap());
        let mut session = Session::new(SessionConfig::new(agreement, 1, 1, 1), now);
        let (jobs, recorder) = sync_channel(1);
        let (spares, mut tape, mut out) = (Spares::new(), Tape::new(ID), [0; 2_048]);
        let mut run = |from: u64, to: u64, tape: &mut Tape| {
            for frame in from..to {
                while session.tick(now + Duration::from_millis(frame * 20), &mut out).is_some() {
                    tape.take(&session, &spares, &jobs);
                }
            }
        };
        run(0, 10, &mut tape);
        assert_eq!(length(&recorder.try_recv().unwrap()), (0, 1_600));
        // A second in which nothing ran, then 100 ms of frames; three of those missed are caught up.
        run(60, 65, &mut tape);
        tape.hand_over(&jobs);
        let (gap, samples) = length(&recorder.try_recv().unwrap());
        assert_eq!((gap + samples as u64, samples), (55 * 160, 7 * 160), "in step with the clock");
        run(65, 85, &mut tape);
        tape.hand_over(&jobs);
        assert_eq!(length(&recorder.try_recv().unwrap()), (0, 1_600));
        run(85, 95, &mut tape);
        tape.hand_over(&jobs);
        assert_eq!(length(&recorder.try_recv().unwrap()), (1_600, 1_600), "what found no room is a gap");
    }

    #[test]
    fn pieces_are_used_again() {
        let spares = Spares::new();
        let piece = spares.take(5);
        let place = std::ptr::from_ref(&*piece);
        piece.give_back();
        let again = spares.take(7);
        assert_eq!((std::ptr::from_ref(&*again), again.gap, again.length), (place, 7, 0));
    }
}
