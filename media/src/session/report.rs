//! Reports and figures.

use std::net::SocketAddr;
use std::time::Instant;

use super::{Session, SessionStats};
use crate::SAMPLES_PER_MS;
use crate::jitter_buffer::UNITS_PER_MS;
use crate::quality::Conditions;
use crate::rtp::rtcp;
use crate::srtp::MAX_RTCP_OVERHEAD;

/// Room that [`Session::poll_rtcp`] and [`Session::close`] need.
pub const MAX_REPORT_BYTES: usize = rtcp::MAX_BYTES + MAX_RTCP_OVERHEAD;

impl Session {
    /// Writes the RTCP report if one is due: send `out[..n]` to [`Session::rtcp_destination`]. `out` must hold
    /// [`MAX_REPORT_BYTES`].
    pub fn poll_rtcp(&mut self, now: Instant, out: &mut [u8]) -> Option<usize> {
        (now >= self.reports.due()).then(|| self.write_report(false, now, out)).filter(|length| *length > 0)
    }

    /// When [`Session::poll_rtcp`] has something next.
    #[must_use]
    pub fn next_report(&self) -> Instant {
        self.reports.due()
    }

    /// The last report, with BYE (RFC 3550 §6.6): to be sent when the call has ended.
    pub fn close(&mut self, now: Instant, out: &mut [u8]) -> usize {
        self.write_report(true, now, out)
    }

    /// Where reports go: RTP's destination if they share the port, else where the SDP says, at the address that RTP
    /// goes to if NAT makes the SDP's meaningless.
    #[must_use]
    pub fn rtcp_destination(&self) -> Option<SocketAddr> {
        let rtp = self.destination()?;
        if self.agreement.rtcp_mux {
            return Some(rtp);
        }
        let told = self.agreement.remote_rtcp?;
        let same_host = told.ip().to_canonical() == self.agreement.remote.ip().to_canonical();
        let moved = rtp.ip() != self.agreement.remote.ip().to_canonical();
        let port = if moved && rtp.port() != self.agreement.remote.port() {
            // Behind NAT: the next port is as good a guess as there is (RFC 3550 §11).
            rtp.port().checked_add(1)?
        } else {
            told.port()
        };
        Some(if same_host || moved { SocketAddr::new(rtp.ip(), port) } else { told })
    }

    fn write_report(&mut self, bye: bool, now: Instant, out: &mut [u8]) -> usize {
        let length = self.reports.write(&self.sender, &mut self.receiver, bye, now, out);
        match &mut self.security {
            Some(security) if length > 0 => security.protect_rtcp(out, length),
            _ => length,
        }
    }

    /// Counters.
    #[must_use]
    pub fn stats(&self) -> SessionStats {
        let totals = self.receiver.totals();
        let (sent, sent_octets) = self.sender.sent();
        let (buffer, heard) = self.hearing.stats();
        let round_trip_ms = self.reports.round_trip().map(|trip| trip.as_secs_f32() * 1_000.0);
        SessionStats {
            codec: Some(self.agreement.codec),
            srtp: self.agreement.keys.as_ref().map(|keys| keys.send.suite()),
            received: totals.received,
            lost: self.receiver.lost(),
            duplicate: totals.duplicate + buffer.duplicate,
            discarded: buffer.late + buffer.overflow,
            reordered: totals.reordered,
            restarts: totals.restarts,
            jitter_ms: self.receiver.jitter_ms(),
            delay_ms: self.hearing.target_ms(),
            heard_ms: heard.decoded / UNITS_PER_MS,
            concealed_ms: heard.concealed / UNITS_PER_MS,
            buffer,
            rtcp: self.reports.stats(),
            remote: self.reports.remote(),
            round_trip_ms,
            mos: self.mos(buffer.late + buffer.overflow, round_trip_ms),
            unproven: self.stats.unproven + totals.doubtful,
            sent,
            sent_octets,
            ..self.stats
        }
    }

    /// The score of what is heard: loss on the way and in the buffer, and the delay from mouth to ear.
    fn mos(&self, discarded: u64, round_trip_ms: Option<f32>) -> Option<f32> {
        let expected = self.receiver.expected();
        if expected == 0 {
            return None;
        }
        let unheard = self.receiver.lost() + discarded;
        let packet_ms = (self.frame_samples / SAMPLES_PER_MS) as f32;
        let buffered_ms = self.hearing.target_ms() as f32;
        Some(
            Conditions {
                codec: self.agreement.codec,
                loss_percent: unheard as f32 * 100.0 / expected as f32,
                delay_ms: round_trip_ms.unwrap_or(0.0) / 2.0 + packet_ms + buffered_ms,
            }
            .mos(),
        )
    }
}
