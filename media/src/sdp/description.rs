//! Reading the other side's description, leniently where equipment is known to be sloppy.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use sdp_types::{AddrType, Attribute, Connection, Media, Session};
use smallvec::SmallVec;

use super::crypto::{self, Crypto};
use super::{Direction, MAX_BYTES, MAX_LINE_BYTES, MAX_LINES, MAX_MEDIA, SdpError};
use crate::codec::Codec;
use crate::{MAX_PTIME_MS, MIN_PTIME_MS};

/// The one event list that we ask for: the sixteen keys (RFC 4733 §3.2).
pub(super) const EVENTS: &str = "0-15";
const TELEPHONE_EVENT: &str = "telephone-event";
const DEFAULT_PTIME_MS: u8 = 20;

/// An audio line that could carry a call.
#[derive(Debug)]
pub(super) struct Stream {
    /// RTP address; unspecified when held in the manner of RFC 2543.
    pub remote: SocketAddr,
    pub rtcp: Option<SocketAddr>,
    /// Our codecs among the formats, in the line's order.
    pub codecs: SmallVec<[(Codec, u8); 4]>,
    /// telephone-event by its clock.
    pub events: SmallVec<[(u32, u8); 2]>,
    /// Asked for by `ptime` within `maxptime`; not every codec can make it.
    pub ptime_ms: u8,
    /// Direction from the peer's side, `c=0.0.0.0` taken into account.
    pub direction: Direction,
    /// RTP and RTCP may share a port (RFC 5761).
    pub rtcp_mux: bool,
    /// The profile is one of SRTP.
    pub secure: bool,
    /// The keys that we can work with, in the line's order.
    pub crypto: SmallVec<[Crypto; 4]>,
}

/// Parses a description within the limits.
///
/// Only the lines that matter to a call are given to the parser: a carrier's odd `b=` or `o=` line can't lose one.
pub(super) fn parse(bytes: &[u8]) -> Result<Session, SdpError> {
    if bytes.len() > MAX_BYTES {
        return Err(SdpError::TooLarge);
    }
    let text = String::from_utf8_lossy(bytes);
    let mut kept = String::with_capacity(text.len());
    let (mut lines, mut media) = (0, 0);
    for line in text.split(['\r', '\n', '\0']).map(str::trim_ascii).filter(|line| !line.is_empty()) {
        lines += 1;
        media += usize::from(line.starts_with("m="));
        if lines > MAX_LINES || line.len() > MAX_LINE_BYTES || media > MAX_MEDIA {
            return Err(SdpError::TooLarge);
        }
        keep(line, &mut kept);
    }
    Session::parse(kept.as_bytes()).map_err(|error| SdpError::Malformed(error.to_string()))
}

fn keep(line: &str, kept: &mut String) {
    if line.starts_with("m=") {
        // Runs of blanks would be empty fields to the parser.
        for (index, word) in line.split_ascii_whitespace().enumerate() {
            kept.push_str(if index == 0 { "" } else { " " });
            kept.push_str(word);
        }
    } else if ["v=", "c=", "a="].iter().any(|kind| line.starts_with(kind)) {
        kept.push_str(line);
    } else {
        return;
    }
    kept.push_str("\r\n");
}

/// Reads an `m=` line.
///
/// # Errors
/// Why it can't carry the call: not audio or port 0, unknown transport, no unicast address.
pub(super) fn stream(session: &Session, media: &Media, local: IpAddr) -> Result<Stream, SdpError> {
    if !media.media.eq_ignore_ascii_case("audio") || media.port == 0 {
        return Err(SdpError::NoAudio);
    }
    // RFC 4585's profile is a superset: feedback is optional, so plain RTP answers it.
    let secure = crypto::is_secure_profile(&media.proto);
    if !secure && !["RTP/AVP", "RTP/AVPF"].iter().any(|known| media.proto.eq_ignore_ascii_case(known)) {
        return Err(SdpError::UnsupportedTransport);
    }
    let connection = media.connections.first().or(session.connection.as_ref()).ok_or(SdpError::NoAudio)?;
    let address = unicast(connection).ok_or(SdpError::NoAudio)?;
    let remote = SocketAddr::new(of_our_family(address, local), media.port);
    let said = direction(session, media);
    // RFC 2543 §B.5, RFC 3264 §8.4: an unspecified address asks for silence.
    let direction = if address.is_unspecified() { said.and(Direction::SendOnly) } else { said };
    Ok(Stream {
        remote,
        rtcp: rtcp(media, remote),
        codecs: codecs(media),
        events: events(media),
        ptime_ms: ptime(session, media),
        direction,
        rtcp_mux: media.has_attribute("rtcp-mux"),
        secure,
        crypto: crypto::lines(media),
    })
}

/// An address of the other family can't be sent to. A host with both names either, whichever its signalling came by: it
/// is unspecified then, and stands for where the signalling comes from.
fn of_our_family(address: IpAddr, local: IpAddr) -> IpAddr {
    match (address.to_canonical(), local.to_canonical()) {
        (IpAddr::V4(_), IpAddr::V4(_)) | (IpAddr::V6(_), IpAddr::V6(_)) => address,
        (_, IpAddr::V4(_)) => Ipv4Addr::UNSPECIFIED.into(),
        (_, IpAddr::V6(_)) => Ipv6Addr::UNSPECIFIED.into(),
    }
}

/// Whether two lines are in force the same way: used to find our line in an answer.
pub(super) fn is_audio(media: &Media) -> bool {
    media.media.eq_ignore_ascii_case("audio")
}

fn unicast(connection: &Connection) -> Option<IpAddr> {
    let address = connection.try_address().ok()?.ip;
    let broadcast = matches!(address, IpAddr::V4(v4) if v4.is_broadcast());
    let as_said = match connection.addrtype {
        AddrType::Ip4 => address.is_ipv4(),
        AddrType::Ip6 => address.is_ipv6(),
        AddrType::Other(_) => false,
    };
    (as_said && !address.is_multicast() && !broadcast).then_some(address)
}

/// The media level overrides the session level (RFC 8866 §6.7); sendrecv without either.
fn direction(session: &Session, media: &Media) -> Direction {
    let last = |attributes: &[Attribute]| {
        attributes.iter().rev().find_map(|attribute| Direction::from_attribute(attribute.attribute.trim()))
    };
    last(&media.attributes).or_else(|| last(&session.attributes)).unwrap_or(Direction::SendRecv)
}

/// RFC 3605, else the next higher port.
fn rtcp(media: &Media, remote: SocketAddr) -> Option<SocketAddr> {
    let Some(value) = media.get_first_attribute_value("rtcp").flatten() else {
        return remote.port().checked_add(1).map(|port| SocketAddr::new(remote.ip(), port));
    };
    let mut words = value.split_ascii_whitespace();
    let port = words.next()?.parse::<u16>().ok().filter(|port| *port != 0)?;
    let address = words.nth(2).and_then(|word| word.parse().ok()).unwrap_or(remote.ip());
    Some(SocketAddr::new(address, port))
}

impl Stream {
    /// The packet time to send a codec with: what was asked for if the codec can make it, else 20 ms.
    pub fn ptime_for(&self, codec: Codec) -> u8 {
        if codec.can_packetize(self.ptime_ms) { self.ptime_ms } else { DEFAULT_PTIME_MS.min(self.ptime_ms) }
    }

    /// The telephone-event that goes with a codec: of the same clock (RFC 4733 §2.1), or, as many peers offer no
    /// other, of 8,000 Hz.
    pub fn event_for(&self, codec: Codec) -> Option<(u32, u8)> {
        let of = |clock: u32| self.events.iter().find(|(known, _)| *known == clock).copied();
        of(codec.clock_hz()).or_else(|| of(Codec::Pcma.clock_hz()))
    }
}

struct Format<'a> {
    name: &'a str,
    clock: u32,
    channels: u8,
}

/// The formats of the line in its order, with their names: by `rtpmap`, or by RFC 3551 §6 without one.
fn formats(media: &Media) -> impl Iterator<Item = (u8, Format<'_>)> {
    media.fmt.split_ascii_whitespace().filter_map(move |word| {
        let number = word.parse::<u8>().ok().filter(|number| *number < 128)?;
        let mapped = media.get_attribute_values("rtpmap").flatten().find_map(|value| rtpmap(value, number));
        let format = mapped.or_else(|| {
            let codec = Codec::from_static_payload_type(number)?;
            Some(Format { name: codec.encoding_name(), clock: codec.clock_hz(), channels: codec.channels() })
        });
        format.map(|format| (number, format))
    })
}

/// `<payload type> <encoding name>/<clock rate>[/<channels>]`, only if it is about `number`.
fn rtpmap(value: &str, number: u8) -> Option<Format<'_>> {
    let (mapped, encoding) = value.trim().split_once([' ', '\t'])?;
    if mapped.parse() != Ok(number) {
        return None;
    }
    let mut parts = encoding.trim().split('/');
    let (name, clock) = (parts.next()?, parts.next()?.trim().parse().ok()?);
    let channels = parts.next().map_or(Some(1), |channels| channels.trim().parse().ok())?;
    Some(Format { name, clock, channels })
}

fn codecs(media: &Media) -> SmallVec<[(Codec, u8); 4]> {
    let mut found = SmallVec::<[(Codec, u8); 4]>::new();
    for (number, format) in formats(media) {
        let codec = Codec::from_rtpmap(format.name, format.clock, format.channels);
        if let Some(codec) = codec.filter(|codec| found.iter().all(|(known, _)| known != codec)) {
            found.push((codec, number));
        }
    }
    found
}

fn events(media: &Media) -> SmallVec<[(u32, u8); 2]> {
    let mut found = SmallVec::<[(u32, u8); 2]>::new();
    for (number, format) in
        formats(media).filter(|(_, format)| format.name.eq_ignore_ascii_case(TELEPHONE_EVENT))
    {
        // Clocks without a codec of ours mean nothing to us, and a list of them isn't kept.
        let known = Codec::ALL.iter().any(|codec| codec.clock_hz() == format.clock);
        if known && found.iter().all(|(clock, _)| *clock != format.clock) {
            found.push((format.clock, number));
        }
    }
    found
}

/// The packet time to send with: the peer's `ptime` if we can make it, within its `maxptime`, else 20 ms.
fn ptime(session: &Session, media: &Media) -> u8 {
    let value = |name: &str| {
        let own = media.get_first_attribute_value(name).flatten();
        let value = own.or_else(|| session.get_first_attribute_value(name).flatten())?;
        // "20.0" and "20 " exist.
        value.trim().split('.').next()?.parse::<u32>().ok()
    };
    let range = u32::from(MIN_PTIME_MS)..=u32::from(MAX_PTIME_MS);
    let asked =
        value("ptime").filter(|ms| ms % 10 == 0 && range.contains(ms)).unwrap_or(u32::from(DEFAULT_PTIME_MS));
    let most =
        value("maxptime").filter(|ms| *ms >= u32::from(MIN_PTIME_MS)).unwrap_or(u32::from(MAX_PTIME_MS));
    let chosen = asked.min(most - most % 10);
    u8::try_from(chosen).unwrap_or(DEFAULT_PTIME_MS)
}
