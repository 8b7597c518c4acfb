//! One call's media in its worker.

use std::collections::VecDeque;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError};
use std::time::{Duration, Instant, SystemTime};

use media::playout::PlayoutCommand;
use media::session::Session;
use tokio::sync::mpsc;

use super::block::Block;
use super::handle::{Control, EventSink, beep};
use super::ports::PortPair;
use super::quality::Quality;
use super::recorder::{Job, RecordingEnd, RecordingId};
use super::tape::{Spares, Tape};
use super::{CallerFrame, RtpEvent};
use crate::net::batch::ReceiveArena;

/// Datagrams taken by one system call. A turn finds one mostly, and each place costs.
pub(super) const RECEIVE_BATCH: usize = 4;
/// Batches taken in one turn; what a flood leaves behind is dropped by the kernel.
const BATCHES_PER_TURN: usize = 32;
/// Longer datagrams are no RTP audio and are dropped.
pub(super) const PACKET_SIZE: usize = 2048;
/// Playout commands taken in one turn.
const COMMANDS_PER_TURN: usize = 64;
/// The session itself catches up at most three packets; this only bounds the loop.
const TICKS_PER_TURN: usize = 4;
/// The longest that a datagram is believed to have waited; the RTCP port is read once a second or so.
const LONGEST_WAIT: Duration = Duration::from_secs(3);
/// The RTCP port is read once in so many turns.
const RTCP_EVERY: u32 = 50;

/// What the calls of one worker share: buffers and counts.
pub(super) struct Bench {
    pub(super) arena: ReceiveArena<RECEIVE_BATCH>,
    pub(super) packet: [u8; PACKET_SIZE],
    pub(super) jobs: SyncSender<Job>,
    pub(super) received: u64,
    pub(super) sent: u64,
    pub(super) send_failed: u64,
    pub(super) quality: Quality,
    pub(super) spares: Spares,
}

pub(super) struct Call {
    pub(super) id: u64,
    session: Session,
    pair: PortPair,
    closed: Arc<AtomicBool>,
    playout: mpsc::Receiver<PlayoutCommand>,
    /// Taken from `playout` when the session had no room for them.
    held: VecDeque<PlayoutCommand>,
    events: EventSink,
    /// Taken from the session when `events` had no room for it.
    unreported: Option<RtpEvent>,
    audio: Option<mpsc::Sender<CallerFrame>>,
    block: Block,
    recording: Option<Recording>,
    /// The recording of the whole call, if it is recorded.
    tape: Option<Tape>,
    /// Orders for the recorder that its channel had no room for.
    backlog: VecDeque<Job>,
    /// Anything arrived on the port.
    carried: bool,
    turns: u32,
    /// What the call adds to its worker's figures.
    counted: Quality,
    /// See [`super::wheel::Wheel::join`].
    pub(super) shift: Duration,
    pub(super) due: Instant,
}

struct Recording {
    id: u64,
    frames_left: u64,
    /// Frames that the recorder's channel had no room for since the last one it took.
    missed: u32,
    /// Frames of silence that end it, and how many have come in a row.
    silent_frames: Option<u64>,
    silent: u64,
}

/// When a datagram came, by the kernel's stamp on the wall clock; `now` without one.
fn arrival(stamp: Option<Duration>, wall: Duration, now: Instant) -> Instant {
    let waited = stamp.map_or(Duration::ZERO, |at| wall.saturating_sub(at));
    // A step of the wall clock must not date a packet before its call.
    now.checked_sub(waited.min(LONGEST_WAIT)).unwrap_or(now)
}

/// Below about −46 dBFS on average: what a line carries when nobody speaks.
fn is_quiet(frame: &CallerFrame) -> bool {
    const QUIET: u64 = 160 * 160;
    let energy: u64 = frame.iter().map(|sample| u64::from(sample.unsigned_abs()).pow(2)).sum();
    energy < QUIET * frame.len() as u64
}

impl Call {
    pub(super) fn new(
        id: u64,
        session: Session,
        pair: PortPair,
        closed: Arc<AtomicBool>,
        playout: mpsc::Receiver<PlayoutCommand>,
        events: EventSink,
        audio: Option<mpsc::Sender<CallerFrame>>,
    ) -> Self {
        Self {
            id,
            session,
            pair,
            closed,
            playout,
            held: VecDeque::new(),
            counted: Quality::default(),
            events,
            unreported: None,
            audio,
            block: Block::default(),
            recording: None,
            tape: None,
            backlog: VecDeque::new(),
            carried: false,
            turns: 0,
            shift: Duration::ZERO,
            due: Instant::now(),
        }
    }

    /// The port and whether anything arrived on it. Frees the rest.
    pub(super) fn into_port(self) -> (PortPair, bool) {
        (self.pair, self.carried)
    }

    /// When the session wants its next turn, the call's shift included.
    pub(super) fn next_due(&self) -> Instant {
        self.session.next_tick() + self.shift
    }

    /// Does all that is due now. `false`: the call is closed and complete.
    pub(super) fn turn(&mut self, bench: &mut Bench, now: Instant) -> bool {
        self.flush_backlog(&bench.jobs);
        if self.closed.load(Ordering::Acquire) {
            self.stop_recording(RecordingEnd::Closed, &bench.jobs);
            self.stop_tape(&bench.jobs);
            if !self.backlog.is_empty() {
                return true;
            }
            let length = self.session.close(now, &mut bench.packet);
            self.send_report(bench, length);
            // The owner may have no room or be gone: the figures are not worth waiting for.
            let _ = (self.events)(RtpEvent::Ended(Box::new(self.session.stats())));
            return false;
        }
        self.receive(bench, now);
        self.feed();
        self.pace(bench, now);
        self.report();
        true
    }

    /// Takes what arrived.
    fn receive(&mut self, bench: &mut Bench, now: Instant) {
        for _ in 0..BATCHES_PER_TURN {
            let Ok(count) = bench.arena.receive(self.pair.rtp.as_fd()) else { break };
            self.carried = true;
            bench.received += count as u64;
            // Read after the packets were taken: none of them is younger.
            let wall = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
            for received in bench.arena.received() {
                if received.truncated {
                    continue;
                }
                let arrived = arrival(received.arrived, wall, now);
                self.session.handle_rtp(received.payload, received.source, arrived);
            }
            if count < RECEIVE_BATCH {
                break;
            }
        }
        self.turns = self.turns.wrapping_add(1);
        if self.turns.is_multiple_of(RTCP_EVERY) {
            self.count(bench);
            for _ in 0..BATCHES_PER_TURN {
                let Ok(count) = bench.arena.receive(self.pair.rtcp.as_fd()) else { break };
                bench.received += count as u64;
                self.carried = true;
                let wall = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
                for received in bench.arena.received() {
                    // A report waited up to a second for us; the round trip is counted without that.
                    let arrived = arrival(received.arrived, wall, now);
                    self.session.handle_rtcp(received.payload, received.source, arrived);
                }
            }
        }
    }

    fn count(&mut self, bench: &mut Bench) {
        let now = Quality::of(&self.session.stats());
        bench.quality.replace(self.counted, now);
        self.counted = now;
    }

    /// The call is over: what it counted stays, its levels go.
    pub(super) fn count_out(&mut self, bench: &mut Bench) {
        self.count(bench);
        bench.quality.replace(self.counted, self.counted.ended());
    }

    /// Hands on what shall be played, as far as the session has room.
    fn feed(&mut self) {
        for _ in 0..COMMANDS_PER_TURN {
            let next = self.held.pop_front().or_else(|| self.playout.try_recv().ok());
            let Some(command) = next else { break };
            if self.session.playout(command.clone()).is_err() {
                self.held.push_front(command);
                self.overtake();
                break;
            }
        }
    }

    /// There is no room for audio; whoever interrupts it doesn't wait behind it.
    fn overtake(&mut self) {
        while self.held.len() < COMMANDS_PER_TURN
            && let Ok(command) = self.playout.try_recv()
        {
            self.held.push_back(command);
        }
        let is_clear = |command: &PlayoutCommand| *command == PlayoutCommand::Clear;
        if let Some(last) = self.held.iter().rposition(is_clear) {
            self.play(PlayoutCommand::Clear);
            for dropped in self.held.drain(..=last) {
                // Every utterance that has its end is reported, this one as empty if it was all here.
                if let PlayoutCommand::End { utterance } = dropped {
                    let _ = self.session.playout(PlayoutCommand::End { utterance });
                }
            }
        }
        let session = &mut self.session;
        self.held.retain(|command| match command {
            // What stands still is all that is queued and will be: the place among it doesn't matter.
            PlayoutCommand::Pause | PlayoutCommand::Resume => session.playout(command.clone()).is_err(),
            PlayoutCommand::Audio { .. } | PlayoutCommand::End { .. } | PlayoutCommand::Clear => true,
        });
    }

    /// Sends the packets that are due and passes on the caller's audio of the same time.
    fn pace(&mut self, bench: &mut Bench, now: Instant) {
        for _ in 0..TICKS_PER_TURN {
            let Some(length) = self.session.tick(now, &mut bench.packet) else { break };
            let packet = bench.packet.get(..length).unwrap_or_default();
            if !packet.is_empty()
                && let Some(destination) = self.session.destination()
            {
                match self.pair.rtp.send_to(packet, destination) {
                    Ok(_) => bench.sent += 1,
                    // No network error ends a call: the next packet may get through.
                    Err(_) => bench.send_failed += 1,
                }
            }
            self.listen(&bench.jobs);
            if let Some(tape) = &mut self.tape {
                tape.take(&self.session, &bench.spares, &bench.jobs);
            }
        }
        if let Some(length) = self.session.poll_rtcp(now, &mut bench.packet) {
            self.send_report(bench, length);
        }
    }

    /// RTCP's losses are nobody's: the next report says the same.
    fn send_report(&self, bench: &Bench, length: usize) {
        let report = bench.packet.get(..length).unwrap_or_default();
        if let Some(destination) = self.session.rtcp_destination() {
            let socket = if self.session.agreement().rtcp_mux { &self.pair.rtp } else { &self.pair.rtcp };
            let _ = socket.send_to(report, destination);
        }
    }

    fn listen(&mut self, jobs: &SyncSender<Job>) {
        let Self { session, block, audio, recording, backlog, .. } = self;
        let Some(mut samples) = session.next_frame() else { return };
        if audio.is_none() && recording.is_none() {
            return;
        }
        while let Some(frame) = block.fill(&mut samples) {
            if let Some(audio) = audio {
                // A listener that is behind misses frames rather than holding up the line.
                let _ = audio.try_send(*frame);
            }
            let Some(active) = recording else { continue };
            if backlog.is_empty() {
                match jobs.try_send(Job::Frame(active.id, active.missed, *frame)) {
                    Ok(()) => active.missed = 0,
                    Err(_) => active.missed += 1,
                }
            } else {
                active.missed += 1;
            }
            active.frames_left = active.frames_left.saturating_sub(1);
            active.silent = if is_quiet(frame) { active.silent + 1 } else { 0 };
            let end = if active.frames_left == 0 {
                Some(RecordingEnd::Limit)
            } else if active.silent_frames.is_some_and(|most| active.silent >= most) {
                Some(RecordingEnd::Silence)
            } else {
                None
            };
            if let Some(end) = end {
                let stop = Job::Stop(RecordingId { call: active.id, whole: false }, end);
                *recording = None;
                order(backlog, jobs, stop);
            }
        }
    }

    fn report(&mut self) {
        loop {
            let next = self.unreported.take().or_else(|| self.session.poll_event().map(RtpEvent::Media));
            let Some(event) = next else { return };
            if let Err(event) = (self.events)(event) {
                self.unreported = Some(event);
                return;
            }
        }
    }

    pub(super) fn control(&mut self, control: Control, jobs: &SyncSender<Job>, now: Instant) {
        match control {
            Control::Update(agreement) => self.session.update(*agreement, now),
            Control::Play(command) => self.play(command),
            Control::Beep(utterance) => beep(utterance).into_iter().for_each(|c| self.play(c)),
            Control::Clear => {
                self.held.clear();
                while self.playout.try_recv().is_ok() {}
                self.play(PlayoutCommand::Clear);
            }
            Control::Press(digit, duration_ms) => {
                if !self.session.send_digit(digit, duration_ms) {
                    tracing::debug!("no telephone-event agreed: a key was not sent");
                }
            }
            Control::Audio(audio) => self.audio = audio,
            Control::Record(spec, events) => {
                self.stop_recording(RecordingEnd::Replaced, jobs);
                let frames_left = spec.frames();
                let silent_frames = spec.silent_frames();
                self.recording =
                    Some(Recording { id: self.id, frames_left, missed: 0, silent_frames, silent: 0 });
                order(&mut self.backlog, jobs, Job::Start(self.id, spec, events));
            }
            Control::StopRecording => self.stop_recording(RecordingEnd::Stopped, jobs),
            Control::RecordCall(spec, events) => {
                if self.tape.is_none() {
                    self.tape = Some(Tape::new(RecordingId { call: self.id, whole: true }));
                    order(&mut self.backlog, jobs, Job::StartTape(self.id, spec, events));
                }
            }
        }
    }

    /// Completes the recording, waiting for the recorder: for the end of the process only.
    pub(super) fn close(&mut self, jobs: &SyncSender<Job>) {
        self.stop_recording(RecordingEnd::Closed, jobs);
        self.stop_tape(jobs);
        for job in self.backlog.drain(..) {
            // A recorder that is gone takes no orders.
            let _ = jobs.send(job);
        }
    }

    fn play(&mut self, command: PlayoutCommand) {
        if let Err(full) = self.session.playout(command) {
            tracing::debug!(%full, "audio dropped");
        }
    }

    fn stop_recording(&mut self, end: RecordingEnd, jobs: &SyncSender<Job>) {
        if let Some(recording) = self.recording.take() {
            order(&mut self.backlog, jobs, Job::Stop(RecordingId { call: recording.id, whole: false }, end));
        }
    }

    fn stop_tape(&mut self, jobs: &SyncSender<Job>) {
        if let Some(mut tape) = self.tape.take() {
            tape.hand_over(jobs);
            order(&mut self.backlog, jobs, Job::Stop(tape.id(), RecordingEnd::Closed));
        }
    }

    fn flush_backlog(&mut self, jobs: &SyncSender<Job>) {
        while let Some(job) = self.backlog.pop_front() {
            if let Err(TrySendError::Full(job)) = jobs.try_send(job) {
                self.backlog.push_front(job);
                return;
            }
        }
    }
}

/// Passes an order to the recorder, behind those that still wait. It must not be lost, so it
/// waits when there is no room; a recorder that is gone takes no orders.
fn order(backlog: &mut VecDeque<Job>, jobs: &SyncSender<Job>, job: Job) {
    if !backlog.is_empty() {
        backlog.push_back(job);
    } else if let Err(TrySendError::Full(job)) = jobs.try_send(job) {
        backlog.push_back(job);
    }
}
