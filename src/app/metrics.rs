//! The counters in Prometheus' text format.

use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use sip::endpoint::Counters;

use crate::call::inbound::Inbound;
use crate::call::registry::Registry;
use crate::net::defence::overload::Shed;
use crate::net::defence::{Dropped, Reason};
use crate::net::rtp::{GRADES, RtpCounters, RtpPool};
use crate::net::signalling::{IntakeCounters, SignallingHandle};
use crate::net::stream::StreamCounters;
use crate::store::carrier::Carrier;
use crate::trace::TraceHandle;
use crate::trunk::Trunk;

/// Where the counters are.
#[derive(Clone)]
pub(super) struct Sources {
    pub signalling: SignallingHandle,
    pub registry: Registry,
    pub inbound: Arc<Inbound>,
    pub pool: RtpPool,
    pub carrier: Arc<Carrier>,
    pub trace: TraceHandle,
}

/// What both stream transports count.
fn streams(page: &mut Page, transport: &str, counted: StreamCounters) {
    let mut row = |name: &str, help: &str, value: u64| {
        page.counter(&format!("offhook_sip_{transport}_{name}_total"), help, value);
    };
    row("accepted", "Connections that others opened.", counted.accepted);
    row("opened", "Connections that were opened to others.", counted.opened);
    row("unreachable", "Connections that couldn't be opened.", counted.unreachable);
    row("over_limit", "Connections refused or closed because of a limit.", counted.refused + counted.evicted);
    row("queue_full", "Messages dropped because the far end is slow.", counted.queue_full);
}

/// All counters, as a scrape wants them.
pub(super) async fn render(sources: Sources) -> String {
    let snapshot = sources.signalling.snapshot().await.unwrap_or_default();
    let (sip, udp, tcp, tls) = (snapshot.endpoint, snapshot.udp, snapshot.tcp, snapshot.tls);
    let (refused, rtp) = (&sources.inbound.refused, sources.pool.counters());
    let records = sources.carrier.health();
    let mut page = Page::default();
    page.gauge("offhook_calls", "Calls that are up.", sources.registry.count() as u64);
    page.gauge("offhook_sip_dialogs", "Dialogs known, ended ones included.", snapshot.dialogs as u64);
    page.gauge("offhook_sip_transactions", "SIP transactions known.", snapshot.transactions as u64);
    page.gauge("offhook_sip_tcp_connections", "Open TCP connections.", tcp.open);
    page.gauge("offhook_sip_tls_connections", "Open TLS connections.", tls.open);
    page.counter("offhook_sip_received_total", "SIP messages received.", sip.received);
    page.counter("offhook_sip_sent_total", "SIP messages sent, repetitions included.", sip.sent);
    page.counter("offhook_sip_invites_total", "INVITEs that began a call.", sip.invites);
    page.counter(
        "offhook_sip_unreadable_total",
        "Messages dropped because they can't be read.",
        sip.unreadable,
    );
    page.counter(
        "offhook_sip_malformed_total",
        "Requests answered with an error for their form.",
        sip.malformed,
    );
    page.counter("offhook_sip_retransmissions_total", "Repeated requests received.", sip.retransmissions);
    page.counter(
        "offhook_sip_stray_requests_total",
        "Requests for dialogs that don't exist.",
        sip.stray_requests,
    );
    page.counter("offhook_sip_stray_responses_total", "Responses to nothing of ours.", sip.stray_responses);
    page.counter("offhook_sip_shed_total", "Requests turned away for load or shutdown.", sip.shed);
    page.counter(
        "offhook_sip_refused_total",
        "Requests refused for their method, extension or body, or as loops.",
        sip.refused,
    );
    traffic(&mut page, &sip);
    page.counter(
        "offhook_sip_udp_lost_total",
        "Datagrams the kernel dropped for lack of room.",
        udp.dropped_by_kernel,
    );
    page.counter(
        "offhook_sip_udp_unreachable_total",
        "Requests that came back by ICMP: nobody listens there, or no such host.",
        udp.unreachable,
    );
    page.counter("offhook_sip_tcp_cut_total", "TCP streams that ended within a message.", tcp.cut);
    page.counter("offhook_sip_tcp_unframed_total", "TCP streams that were no SIP.", tcp.unframed);
    page.counter(
        "offhook_sip_tcp_timed_out_total",
        "TCP connections closed for their silence.",
        tcp.timed_out,
    );
    page.counter(
        "offhook_sip_tls_handshakes_failed_total",
        "TLS handshakes of clients that failed.",
        tls.handshakes_failed,
    );
    page.counter(
        "offhook_sip_tls_timed_out_total",
        "TLS connections closed for their silence.",
        tls.timed_out,
    );
    for (transport, stream) in [("tcp", tcp), ("tls", tls)] {
        streams(&mut page, transport, stream);
    }
    let refusals = [
        (
            "unlisted_source",
            refused.unlisted.load(Ordering::Relaxed) + snapshot.intake.guard.unlisted_invites,
        ),
        ("unknown_number", refused.unknown_number.load(Ordering::Relaxed)),
        ("unavailable", refused.unavailable.load(Ordering::Relaxed)),
    ];
    page.head("offhook_calls_refused_total", "Calls refused before they had a record.", "counter");
    for (reason, count) in refusals {
        page.sample(&format!("offhook_calls_refused_total{{reason=\"{reason}\"}}"), count);
    }
    defence(&mut page, &snapshot.intake);
    trunks(&mut page, &sources.inbound);
    page.gauge("offhook_rtp_streams", "RTP streams that flow.", rtp.calls);
    quality(&mut page, &rtp);
    page.counter("offhook_rtp_received_total", "RTP packets received.", rtp.received);
    page.counter("offhook_rtp_sent_total", "RTP packets sent.", rtp.sent);
    page.counter(
        "offhook_rtp_late_ticks_total",
        "Turns of a call that came more than 5 ms after their time.",
        rtp.late,
    );
    page.counter("offhook_records_carried_total", "Call records put into the store.", records.carried);
    page.counter(
        "offhook_calls_interrupted_total",
        "Calls closed at start because a process had died.",
        records.interrupted,
    );
    traces(sources.trace.counters(), &mut page);
    page.0
}

/// How calls sound.
fn quality(page: &mut Page, rtp: &RtpCounters) {
    let quality = &rtp.quality;
    page.counter("offhook_rtp_lost_total", "RTP packets that never came.", quality.lost);
    page.counter(
        "offhook_rtp_discarded_total",
        "RTP packets that came too late to be heard, or twice.",
        quality.discarded,
    );
    page.counter(
        "offhook_rtp_concealed_ms_total",
        "Speech made up for what was missing, in milliseconds.",
        quality.concealed_ms,
    );
    page.counter(
        "offhook_rtp_refused_total",
        "Datagrams on RTP ports from sources that may not speak.",
        quality.refused,
    );
    page.counter(
        "offhook_srtp_unauthenticated_total",
        "SRTP packets that failed authentication, or were seen before.",
        quality.unauthenticated,
    );
    page.gauge(
        "offhook_rtp_jitter_us",
        "Jitter of the streams that flow, on average.",
        quality.jitter_us / rtp.calls.max(1),
    );
    page.gauge(
        "offhook_rtp_round_trip_us",
        "Round trip of the streams that know it, on average.",
        quality.round_trip_us / quality.round_trips.max(1),
    );
    page.head("offhook_rtp_streams_by_mos", "Streams that flow by estimated score.", "gauge");
    for ((grade, _), count) in GRADES.iter().zip(quality.grades) {
        page.sample(&format!("offhook_rtp_streams_by_mos{{grade=\"{grade}\"}}"), count);
    }
}

/// SIP by method and status class, and who wasn't listened to.
fn traffic(page: &mut Page, sip: &Counters) {
    let directions = [("in", sip.traffic_in), ("out", sip.traffic_out)];
    page.head("offhook_sip_requests_total", "SIP requests, repetitions not counted again.", "counter");
    for (direction, traffic) in directions {
        for (method, count) in traffic.requests() {
            let labels = format!("direction=\"{direction}\",method=\"{method}\"");
            page.sample(&format!("offhook_sip_requests_total{{{labels}}}"), count);
        }
    }
    page.head("offhook_sip_responses_total", "SIP responses to each method by class.", "counter");
    for (direction, traffic) in directions {
        // Most of the table stays empty for ever.
        for (method, class, count) in traffic.responses().filter(|(.., count)| *count > 0) {
            let labels = format!("direction=\"{direction}\",method=\"{method}\",class=\"{class}\"");
            page.sample(&format!("offhook_sip_responses_total{{{labels}}}"), count);
        }
    }
    page.counter("offhook_sip_unlisted_total", "Messages of strangers, dropped.", sip.unlisted);
    page.counter("offhook_sip_wrong_source_total", "Messages for a call from elsewhere.", sip.wrong_source);
    page.counter("offhook_sip_challenged_total", "Requests answered with a challenge.", sip.challenged);
    page.counter(
        "offhook_sip_wrong_credentials_total",
        "Credentials that were wrong.",
        sip.authentication_failed,
    );
    page.counter("offhook_sip_braked_total", "Credentials not looked at any more.", sip.braked);
    page.counter("offhook_sip_sessions_expired_total", "Calls whose session ran out.", sip.sessions_expired);
}

fn traces(counters: &crate::trace::Counters, page: &mut Page) {
    let whole = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
    let count = |number: &std::sync::atomic::AtomicU64| number.load(Ordering::Relaxed);
    let (bytes, calls) = (counters.bytes.load(Ordering::Relaxed), counters.calls.load(Ordering::Relaxed));
    page.gauge("offhook_trace_bytes", "Bytes of SIP messages held in memory.", whole(bytes));
    page.gauge("offhook_trace_calls", "Calls and other exchanges whose messages are held.", whole(calls));
    page.counter(
        "offhook_trace_dropped_total",
        "SIP messages that were handled and not traced, for lack of time.",
        count(&counters.dropped),
    );
    page.counter("offhook_trace_stored_total", "Traces written to files.", count(&counters.stored));
    page.counter(
        "offhook_trace_store_failed_total",
        "Traces that could not be written.",
        count(&counters.store_failed),
    );
    page.counter("offhook_hep_sent_total", "Messages sent to the HEP collector.", count(&counters.hep_sent));
    page.counter(
        "offhook_hep_failed_total",
        "Messages that could not be sent to the HEP collector.",
        count(&counters.hep_failed),
    );
}

fn defence(page: &mut Page, intake: &IntakeCounters) {
    let (guard, overload) = (intake.guard, intake.overload);
    page.head("offhook_defence_dropped_total", "Messages dropped without an answer.", "counter");
    for (reason, count) in Dropped::ALL.iter().map(|reason| reason.as_str()).zip(guard.dropped) {
        page.sample(&format!("offhook_defence_dropped_total{{reason=\"{reason}\"}}"), count);
    }
    page.head("offhook_defence_bans_total", "Bans of sources.", "counter");
    for (reason, count) in Reason::ALL.iter().map(|reason| reason.as_str()).zip(guard.bans) {
        page.sample(&format!("offhook_defence_bans_total{{reason=\"{reason}\"}}"), count);
    }
    page.gauge("offhook_defence_banned", "Sources banned now.", guard.banned);
    page.gauge("offhook_defence_sources", "Sources whose limits are remembered.", guard.sources);
    page.counter(
        "offhook_defence_invites_over_total",
        "INVITEs beyond the rate of their source.",
        guard.invites_over,
    );
    page.head("offhook_overload_shed_total", "New calls turned away for load.", "counter");
    for (reason, count) in Shed::ALL.iter().map(|reason| reason.as_str()).zip(overload.shed) {
        page.sample(&format!("offhook_overload_shed_total{{reason=\"{reason}\"}}"), count);
    }
    page.gauge("offhook_overload", "Whether new calls are being turned away.", overload.overloaded.into());
    page.gauge(
        "offhook_overload_message_wait_us",
        "Least wait of new calls' messages.",
        overload.message_wait_us,
    );
    page.gauge(
        "offhook_overload_call_wait_us",
        "Least wait of new calls for a processor.",
        overload.call_wait_us,
    );
    page.gauge("offhook_calls_setting_up", "Calls that have no answer yet.", overload.setting_up);
    page.counter(
        "offhook_sip_intake_dropped_total",
        "Messages dropped because too many waited.",
        intake.dropped,
    );
}

fn trunks(page: &mut Page, inbound: &Inbound) {
    let trunks = inbound.trunks.list();
    let series = |name: &str, trunk: &Trunk| format!("{name}{{trunk=\"{}\"}}", trunk.config.name);
    page.head("offhook_trunk_up", "Whether calls can go over the trunk, as far as is known.", "gauge");
    for trunk in trunks.iter() {
        page.sample(&series("offhook_trunk_up", trunk), trunk.status().up.into());
    }
    page.head("offhook_trunk_calls", "Calls on the trunk.", "gauge");
    for trunk in trunks.iter() {
        let calls = inbound.admission.calls_on_trunk(&trunk.config.name);
        page.sample(&series("offhook_trunk_calls", trunk), calls.into());
    }
    page.head("offhook_trunk_refused_total", "Calls beyond a limit of the trunk.", "counter");
    for trunk in trunks.iter() {
        let (name, refused) = (&trunk.config.name, trunk.refused());
        for (limit, count) in [("max_calls", &refused.full), ("max_calls_per_second", &refused.too_fast)] {
            let series = format!("offhook_trunk_refused_total{{trunk=\"{name}\",limit=\"{limit}\"}}");
            page.sample(&series, count.load(Ordering::Relaxed));
        }
    }
}

#[derive(Default)]
struct Page(String);

impl Page {
    fn gauge(&mut self, name: &str, help: &str, value: u64) {
        self.head(name, help, "gauge");
        self.sample(name, value);
    }

    fn counter(&mut self, name: &str, help: &str, value: u64) {
        self.head(name, help, "counter");
        self.sample(name, value);
    }

    fn head(&mut self, name: &str, help: &str, kind: &str) {
        // Writing to a String can't fail.
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn sample(&mut self, series: &str, value: u64) {
        let _ = writeln!(self.0, "{series} {value}");
    }
}
