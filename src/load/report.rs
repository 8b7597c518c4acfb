//! What came out, for people and for programs.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::Serialize;

use super::histogram::Spread;
use super::media::Work;
use super::plan::{Depth, PTIME_MS, Plan};
use super::tally::{End, Tally};

/// Of all turns, as many may be late before the run says so.
const LATE_SHARE: f64 = 0.001;
/// A thread that has more of a core than this has no reserve.
const BUSY_THREAD: f64 = 0.8;
/// A machine that is busier than this has none.
const BUSY_MACHINE: f64 = 0.95;
/// Calls may be placed so much later than planned at p99 before the run says so.
const BEHIND_MS: f64 = 20.0;

/// All that a run knows at its end.
pub struct Outcome<'a> {
    /// What was to be done.
    pub plan: &'a Plan,
    /// How the calls went.
    pub tally: &'a Tally,
    /// What the media threads did; none without media.
    pub media: Option<&'a Work>,
    /// Whether the tone that was played can be known again.
    pub marked: bool,
    /// From the first INVITE to the last answer.
    pub took: Duration,
    /// From the first INVITE to the last one.
    pub placing: Duration,
    /// Our own processor time.
    pub processor: Duration,
    /// How busy the machine was, 0 to 1.
    pub busy: Option<f64>,
    /// It was ended before its time.
    pub stopped: bool,
}

/// The report.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// Whether every call was what it should have been, and packets were lost within bounds.
    pub success: bool,
    /// Why not.
    pub failures: Vec<String>,
    /// What stood in the way of measuring or of more load. Empty: neither we nor the far end.
    pub limits: Vec<String>,
    /// Whether it was ended before its time.
    pub stopped: bool,
    /// Whom was called.
    pub targets: Vec<String>,
    /// The calls.
    pub calls: Calls,
    /// From INVITE to its first answer, in milliseconds.
    pub invite_to_first_response_ms: Option<Spread>,
    /// From INVITE to 200, in milliseconds.
    pub invite_to_200_ms: Option<Spread>,
    /// From BYE to its answer, in milliseconds.
    pub bye_to_200_ms: Option<Spread>,
    /// RTP; none with signalling only.
    pub rtp: Option<Rtp>,
    /// What the run itself took.
    pub own: Own,
}

/// The calls.
#[derive(Debug, Clone, Serialize)]
pub struct Calls {
    /// Asked for.
    pub asked: u32,
    /// Placed.
    pub placed: u32,
    /// Answered.
    pub answered: u32,
    /// The most that were up at a time.
    pub most_up: u32,
    /// How they ended.
    pub ends: BTreeMap<String, u32>,
    /// Asked for a second.
    pub rate_asked: f64,
    /// Placed a second.
    pub rate: f64,
    /// How long a call was to last, in seconds.
    pub seconds: f64,
    /// Seconds that all answered calls were up, together.
    pub call_seconds: f64,
    /// How long it all took, in seconds.
    pub took_seconds: f64,
}

/// RTP, both ways.
#[derive(Debug, Clone, Serialize)]
pub struct Rtp {
    /// Packets sent.
    pub sent: u64,
    /// Packets that this machine didn't take for sending.
    pub unsent: u64,
    /// Packets of ours that the far end reported lost by RTCP; none where it reports nothing.
    pub far_end_lost: Option<u64>,
    /// Packets received.
    pub received: u64,
    /// Packets that were numbered but never came.
    pub lost: u64,
    /// The same of those that were numbered, in percent.
    pub lost_percent: f64,
    /// Of the lost ones at most so many were lost here, in a full buffer of ours.
    pub lost_here: u64,
    /// Packets that came after a later one.
    pub reordered: u64,
    /// Datagrams that were no RTP.
    pub foreign: u64,
    /// Packets from addresses that no answer named.
    pub unknown_source: u64,
    /// Answered calls that heard nothing.
    pub silent_calls: u64,
    /// Streams that paused on purpose.
    pub pauses: u64,
    /// Jitter of each call at its end (RFC 3550 §6.4.1), in milliseconds.
    pub jitter_ms: Option<Spread>,
    /// Between one packet and the next as they arrived, in milliseconds.
    pub gap_ms: Option<Spread>,
    /// From the 200 to the first packet, in milliseconds; 0 where it came before.
    pub answer_to_first_packet_ms: Option<Spread>,
    /// From a talk spurt of ours to what came back of it, in milliseconds, to within 20; none
    /// where nothing came back.
    pub round_trip_ms: Option<Spread>,
    /// Calls that listened for it, and talk spurts that they sent.
    pub echo_calls: u64,
    /// Talk spurts that they sent.
    pub echo_spurts: u64,
}

/// What the run itself took.
#[derive(Debug, Clone, Serialize)]
pub struct Own {
    /// Processor time, in seconds.
    pub cpu_seconds: f64,
    /// The same for each second of a call, in milliseconds.
    pub cpu_ms_per_call_second: Option<f64>,
    /// How much later than planned calls were placed, in milliseconds.
    pub placed_late_ms: Option<Spread>,
    /// Turns of the sending clock, and those that came more than 5 ms late.
    pub turns: u64,
    /// Those that came more than 5 ms late.
    pub late_turns: u64,
    /// The latest, in milliseconds.
    pub latest_turn_ms: f64,
    /// The largest part of a core that one media thread had, in percent.
    pub busiest_thread_percent: f64,
    /// Whether the media threads ran with real-time priority.
    pub real_time: bool,
    /// How busy all cores were with whatever, in percent.
    pub machine_busy_percent: Option<f64>,
}

impl Report {
    /// Draws it up.
    #[must_use]
    pub fn new(outcome: &Outcome<'_>) -> Self {
        let failures = failures(outcome);
        Self {
            success: failures.is_empty(),
            failures,
            limits: limits(outcome),
            stopped: outcome.stopped,
            targets: outcome.plan.targets.iter().map(ToString::to_string).collect(),
            calls: calls(outcome),
            invite_to_first_response_ms: outcome.tally.first_response.spread(),
            invite_to_200_ms: outcome.tally.setup.spread(),
            bye_to_200_ms: outcome.tally.bye.spread(),
            rtp: outcome.media.map(rtp),
            own: own(outcome),
        }
    }
}

fn calls(outcome: &Outcome<'_>) -> Calls {
    let Outcome { plan, tally, took, placing, .. } = outcome;
    // The first call takes no time: so many intervals lie between them.
    let intervals = f64::from(tally.placed.saturating_sub(1));
    let rate = if placing.is_zero() { 0.0 } else { intervals / placing.as_secs_f64() };
    Calls {
        asked: plan.calls,
        placed: tally.placed,
        answered: tally.answered,
        most_up: tally.most_up,
        ends: tally.ends.iter().map(|(end, count)| (end.name(), *count)).collect(),
        rate_asked: plan.rate,
        rate: round(rate, 1),
        seconds: plan.length.as_secs_f64(),
        call_seconds: round(tally.held.as_secs_f64(), 3),
        took_seconds: round(took.as_secs_f64(), 3),
    }
}

fn rtp(work: &Work) -> Rtp {
    let measured = &work.measured;
    Rtp {
        sent: measured.sent.saturating_sub(work.unsent),
        unsent: work.unsent,
        far_end_lost: (measured.reported > 0).then_some(measured.reported_lost),
        received: measured.received,
        lost: measured.lost,
        lost_percent: round(loss(work) * 100.0, 4),
        lost_here: work.overflowed.min(measured.lost),
        reordered: measured.reordered,
        foreign: measured.foreign,
        unknown_source: work.unknown,
        silent_calls: measured.silent,
        pauses: measured.pauses,
        jitter_ms: measured.jitter.spread(),
        gap_ms: measured.gap.spread(),
        answer_to_first_packet_ms: measured.first.spread(),
        round_trip_ms: measured.round_trip.spread(),
        echo_calls: measured.listened,
        echo_spurts: measured.spurts,
    }
}

fn own(outcome: &Outcome<'_>) -> Own {
    let work = outcome.media.cloned().unwrap_or_default();
    let held = outcome.tally.held.as_secs_f64();
    let milliseconds = outcome.processor.as_secs_f64() * 1_000.0;
    Own {
        cpu_seconds: round(outcome.processor.as_secs_f64(), 2),
        // The kernel counts in hundredths of a second.
        cpu_ms_per_call_second: (held >= 1.0).then(|| round(milliseconds / held, 3)),
        placed_late_ms: outcome.tally.behind.spread(),
        turns: work.turns,
        late_turns: work.late,
        latest_turn_ms: round(work.latest.as_secs_f64() * 1_000.0, 2),
        busiest_thread_percent: round(work.busiest * 100.0, 1),
        real_time: work.real_time,
        machine_busy_percent: outcome.busy.map(|busy| round(busy * 100.0, 1)),
    }
}

/// Lost packets as a part of those that were numbered.
fn loss(work: &Work) -> f64 {
    let measured = &work.measured;
    let expected = measured.received + measured.lost;
    if expected == 0 { 0.0 } else { measured.lost as f64 / expected as f64 }
}

fn failures(outcome: &Outcome<'_>) -> Vec<String> {
    let Outcome { plan, tally, media, .. } = outcome;
    let mut failures: Vec<String> = tally
        .ends
        .iter()
        .filter(|(end, _)| end.is_failure())
        .map(|(end, count)| format!("{count} call(s) {}", told(*end)))
        .collect();
    if tally.placed == 0 {
        failures.push("no call was placed".to_owned());
    }
    if let Some(work) = media {
        if work.measured.silent > 0 && plan.length >= Duration::from_secs(1) {
            failures.push(format!("{} answered call(s) heard nothing", work.measured.silent));
        }
        if loss(work) > plan.most_loss {
            failures.push(format!(
                "{:.2} % of the far end's packets were lost; up to {:.2} % are allowed (--max-loss)",
                loss(work) * 100.0,
                plan.most_loss * 100.0
            ));
        }
    }
    failures
}

/// What became of a call, for people.
fn told(end: End) -> String {
    match end {
        End::Completed => "ended in order".to_owned(),
        End::Stopped => "were given up when the run was stopped".to_owned(),
        End::Refused(status) => format!("were refused with {status}"),
        End::TimedOut => "had no answer in time (--timeout)".to_owned(),
        End::Unreachable => "couldn't be delivered: nobody listens there".to_owned(),
        End::Unusable => "were answered with a session description that can't be used".to_owned(),
        End::CutShort => "were ended by the far end before their time".to_owned(),
        End::ByeUnanswered => "had no answer to BYE".to_owned(),
        End::NoSocket => "had no socket: raise the limit of open files".to_owned(),
    }
}

/// What limited the run: ourselves first, so that nobody blames the far end for it.
fn limits(outcome: &Outcome<'_>) -> Vec<String> {
    let mut limits = Vec::new();
    if let Some(busy) = outcome.busy.filter(|busy| *busy > BUSY_MACHINE) {
        limits.push(format!(
            "this machine was {:.0} % busy: what it runs beside us, the far end perhaps, and we slowed each other down",
            busy * 100.0
        ));
    }
    if let Some(work) = outcome.media {
        own_limits(work, &mut limits);
    }
    let behind = outcome.tally.behind.spread();
    if let Some(late) = behind.filter(|late| late.p99 > BEHIND_MS) {
        limits.push(format!(
            "calls were placed up to {:.0} ms late (p99 {:.0} ms): the rate asked for is more than we can place",
            late.max, late.p99
        ));
    }
    let tally = outcome.tally;
    let refused: u32 =
        tally.ends.iter().filter(|(end, _)| matches!(end, End::Refused(_))).map(|(_, count)| count).sum();
    if refused > 0 {
        limits.push(format!("the far end refused {refused} call(s)"));
    }
    if tally.count(End::TimedOut) > 0 {
        limits.push(format!("the far end left {} call(s) without an answer", tally.count(End::TimedOut)));
    }
    limits
}

fn own_limits(work: &Work, limits: &mut Vec<String>) {
    if work.turns > 0 && work.late as f64 / work.turns as f64 > LATE_SHARE {
        limits.push(format!(
            "our own sending clock was late: {} of {} turns by more than 5 ms, {:.0} ms at most; our packets left \
             in bursts then",
            work.late,
            work.turns,
            work.latest.as_secs_f64() * 1_000.0
        ));
    }
    if work.busiest > BUSY_THREAD {
        limits.push(format!(
            "a media thread of ours had {:.0} % of a core: more --threads, or fewer calls",
            work.busiest * 100.0
        ));
    }
    if work.overflowed > 0 {
        limits.push(format!(
            "{} packet(s) were lost in a full buffer of ours: raise net.core.rmem_max",
            work.overflowed
        ));
    }
    if work.unsent > 0 {
        limits.push(format!("this machine didn't take {} packet(s) of ours for sending", work.unsent));
    }
    if work.unknown > 0 {
        limits.push(format!(
            "{} packet(s) came from addresses that no answer named, and belong to no call: --sockets call tells \
             calls apart where the far end sends from elsewhere than it receives",
            work.unknown
        ));
    }
}

fn round(value: f64, digits: i32) -> f64 {
    let factor = 10_f64.powi(digits);
    (value * factor).round() / factor
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let calls = &self.calls;
        writeln!(
            f,
            "calls      {} placed of {}, {} answered, {} at a time; {:.1}/s of {:.1}/s asked for; {:.1} s in all",
            calls.placed,
            calls.asked,
            calls.answered,
            calls.most_up,
            calls.rate,
            calls.rate_asked,
            calls.took_seconds
        )?;
        let ends: Vec<_> = calls.ends.iter().map(|(name, count)| format!("{count} {name}")).collect();
        writeln!(f, "ended      {}", if ends.is_empty() { "none".to_owned() } else { ends.join(", ") })?;
        spread(f, "first 1xx+", self.invite_to_first_response_ms)?;
        spread(f, "INVITE-200", self.invite_to_200_ms)?;
        spread(f, "BYE-200", self.bye_to_200_ms)?;
        if let Some(rtp) = &self.rtp {
            rtp.write(f)?;
        }
        self.own.write(f)?;
        for limit in &self.limits {
            writeln!(f, "limit      {limit}")?;
        }
        Ok(())
    }
}

impl Rtp {
    fn write(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let far = self.far_end_lost.map_or_else(
            || "the far end reports nothing of them".to_owned(),
            |lost| format!("{lost} lost by the far end's reports"),
        );
        writeln!(f, "RTP out    {} packets, {far}", self.sent)?;
        writeln!(
            f,
            "RTP in     {} packets, {} lost ({:.3} %), {} reordered; {} silent call(s), {} pause(s)",
            self.received, self.lost, self.lost_percent, self.reordered, self.silent_calls, self.pauses
        )?;
        spread(f, "gap in", self.gap_ms)?;
        spread(f, "jitter", self.jitter_ms)?;
        spread(f, "first RTP", self.answer_to_first_packet_ms)?;
        match self.round_trip_ms {
            Some(_) => spread(f, "round trip", self.round_trip_ms),
            None if self.echo_spurts > 0 => writeln!(
                f,
                "round trip none: nothing of {} talk spurts in {} call(s) came back",
                self.echo_spurts, self.echo_calls
            ),
            None => writeln!(f, "round trip not measured: what is played has no marks"),
        }
    }
}

impl Own {
    fn write(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cost =
            self.cpu_ms_per_call_second.map_or_else(String::new, |ms| format!(", {ms:.3} ms a call-second"));
        let busy = self.machine_busy_percent.map_or_else(String::new, |p| format!("; machine {p:.0} % busy"));
        writeln!(f, "ourselves  {:.2} s of processor time{cost}{busy}", self.cpu_seconds)?;
        if self.turns == 0 {
            return Ok(());
        }
        writeln!(
            f,
            "           {} of {} turns late, latest {:.2} ms; busiest thread {:.1} % of a core; every {PTIME_MS} ms \
             a packet",
            self.late_turns, self.turns, self.latest_turn_ms, self.busiest_thread_percent
        )
    }
}

fn spread(f: &mut fmt::Formatter<'_>, name: &str, spread: Option<Spread>) -> fmt::Result {
    let Some(s) = spread else { return writeln!(f, "{name:<10} none") };
    writeln!(
        f,
        "{name:<10} p50 {:.2} ms, p90 {:.2}, p99 {:.2}, p99.9 {:.2}, max {:.2} ({} measured)",
        s.p50, s.p90, s.p99, s.p999, s.max, s.count
    )
}

/// Whether media is played at all.
#[must_use]
pub fn has_media(plan: &Plan) -> bool {
    matches!(plan.depth, Depth::Media(_))
}

#[cfg(test)]
mod tests {
    use super::super::plan::plan;
    use super::*;

    fn outcome<'a>(plan: &'a Plan, tally: &'a Tally, media: Option<&'a Work>) -> Outcome<'a> {
        Outcome {
            plan,
            tally,
            media,
            marked: true,
            took: Duration::from_secs(2),
            placing: Duration::from_secs(1),
            processor: Duration::from_millis(300),
            busy: Some(0.4),
            stopped: false,
        }
    }

    fn tally(ends: &[End]) -> Tally {
        let mut tally = Tally { placed: 11, held: Duration::from_secs(10), ..Tally::default() };
        ends.iter().for_each(|end| tally.end(*end));
        tally
    }

    #[test]
    fn a_run_in_order_is_a_success_without_limits() {
        let (plan, tally, work) = (plan(11, 10.0, 60), tally(&[End::Completed; 11]), Work::default());
        let report = Report::new(&outcome(&plan, &tally, Some(&work)));
        assert!(report.success && report.limits.is_empty(), "{report:?}");
        assert_eq!((report.calls.rate, report.own.cpu_ms_per_call_second), (10.0, Some(30.0)));
        let text = report.to_string();
        assert!(text.contains("11 completed") && text.contains("not measured"), "{text}");
    }

    #[test]
    fn each_kind_of_failure_is_told() {
        let plan = plan(11, 10.0, 60);
        for (end, word) in [
            (End::Refused(404), "404"),
            (End::TimedOut, "--timeout"),
            (End::Unreachable, "nobody listens"),
            (End::CutShort, "before their time"),
            (End::ByeUnanswered, "BYE"),
        ] {
            let tally = tally(&[End::Completed, end, end]);
            let report = Report::new(&outcome(&plan, &tally, None));
            assert!(!report.success);
            assert!(matches!(&report.failures[..], [one] if one.starts_with("2 ") && one.contains(word)));
        }
        assert!(!Report::new(&outcome(&plan, &Tally::default(), None)).success, "nothing is no success");
    }

    #[test]
    fn loss_and_silence_are_failures_where_there_is_media() {
        let (plan, tally) = (plan(11, 10.0, 60), tally(&[End::Completed]));
        let mut work = Work::default();
        (work.measured.received, work.measured.lost) = (990, 10);
        assert!(Report::new(&outcome(&plan, &tally, Some(&work))).success, "just as much as is allowed");
        work.measured.lost = 20;
        let report = Report::new(&outcome(&plan, &tally, Some(&work)));
        assert!(report.failures.iter().any(|failure| failure.contains("--max-loss")));
        work = Work::default();
        work.measured.silent = 1;
        assert!(!Report::new(&outcome(&plan, &tally, Some(&work))).success);
    }

    #[test]
    fn what_we_did_badly_ourselves_is_said_first() {
        let (plan, mut tally) = (plan(11, 10.0, 60), tally(&[End::Refused(503)]));
        tally.behind.record(Duration::from_millis(100));
        let work = Work {
            late: 10,
            turns: 1_000,
            busiest: 0.9,
            overflowed: 1,
            unsent: 2,
            unknown: 3,
            ..Work::default()
        };
        let mut outcome = outcome(&plan, &tally, Some(&work));
        outcome.busy = Some(0.99);
        let limits = Report::new(&outcome).limits;
        let order = [
            "99 % busy",
            "sending clock",
            "a core",
            "full buffer",
            "didn't take 2",
            "--sockets",
            "placed",
            "refused 1",
        ];
        assert_eq!(limits.len(), order.len(), "{limits:?}");
        for (limit, word) in limits.iter().zip(order) {
            assert!(limit.contains(word), "{limit} says nothing of {word}");
        }
    }
}
