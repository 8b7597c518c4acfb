//! Writing our description.

use bytes::Bytes;
use sdp_types::{Attribute, Connection, Media, Session, Time};

use super::crypto::{self, Crypto};
use super::description::EVENTS;
use super::{Direction, LocalMedia, Origin};
use crate::MAX_PTIME_MS;
use crate::codec::Codec;

/// One `m=` line of ours.
pub(super) enum Line<'a> {
    /// The call's audio.
    Audio(Audio<'a>),
    /// The other side's line, refused: port 0, all else mirrored (RFC 3264 §6).
    Refused(&'a Media),
}

/// What our audio line says.
pub(super) struct Audio<'a> {
    pub proto: &'a str,
    pub codecs: &'a [(Codec, u8)],
    /// telephone-event by its clock.
    pub events: &'a [(u32, u8)],
    pub ptime_ms: u8,
    pub direction: Direction,
    pub rtcp_mux: bool,
    pub crypto: &'a [Crypto],
}

/// Writes a description, and its origin with a version that rises only if the text changed (RFC 3264 §8).
pub(super) fn write(local: &LocalMedia, lines: &[Line<'_>]) -> (Bytes, Origin) {
    let text_at = |version| text(local, lines, version);
    let origin = &local.origin;
    let same = text_at(origin.version);
    let (version, sdp) = match &origin.last {
        Some(last) if *last != same => {
            let next = origin.version.wrapping_add(1);
            (next, text_at(next))
        }
        _ => (origin.version, same),
    };
    (sdp.clone(), Origin { version, last: Some(sdp), ..origin.clone() })
}

fn text(local: &LocalMedia, lines: &[Line<'_>], version: u64) -> Bytes {
    let origin = sdp_types::Origin::with_ip_addr(local.origin.session_id, version, local.address);
    let mut session = Session::new(origin, "-");
    session.connection = Some(Connection::from_ip_addr(local.address));
    session.times = vec![Time::new(0, 0)];
    session.medias = lines.iter().map(|line| media(local, line)).collect();
    let mut out = Vec::with_capacity(512);
    // Writing to memory can't fail; an empty body would be refused by the peer and show in tests.
    if session.write(&mut out).is_err() {
        out.clear();
    }
    Bytes::from(out)
}

fn media(local: &LocalMedia, line: &Line<'_>) -> Media {
    let (name, port, proto, fmt) = match line {
        Line::Audio(audio) => ("audio", local.port, audio.proto, formats(audio)),
        Line::Refused(refused) => (refused.media.as_str(), 0, refused.proto.as_str(), refused.fmt.clone()),
    };
    Media {
        media: name.to_owned(),
        port,
        num_ports: None,
        proto: proto.to_owned(),
        fmt,
        media_title: None,
        connections: Vec::new(),
        bandwidths: Vec::new(),
        key: None,
        attributes: match line {
            Line::Audio(audio) => attributes(audio),
            Line::Refused(_) => Vec::new(),
        },
    }
}

fn formats(audio: &Audio<'_>) -> String {
    let codecs = audio.codecs.iter().map(|(_, number)| *number);
    let numbers = codecs.chain(audio.events.iter().map(|(_, number)| *number));
    numbers.map(|number| number.to_string()).collect::<Vec<_>>().join(" ")
}

fn attributes(audio: &Audio<'_>) -> Vec<Attribute> {
    let mut attributes = Vec::with_capacity(8);
    for (codec, number) in audio.codecs {
        let (name, clock) = (codec.encoding_name(), codec.clock_hz());
        let channels = if codec.channels() > 1 { format!("/{}", codec.channels()) } else { String::new() };
        attributes.push(Attribute::with_value("rtpmap", format_args!("{number} {name}/{clock}{channels}")));
        if let Some(parameters) = codec.format_parameters() {
            attributes.push(Attribute::with_value("fmtp", format_args!("{number} {parameters}")));
        }
    }
    for (clock, number) in audio.events {
        attributes.push(Attribute::with_value("rtpmap", format_args!("{number} telephone-event/{clock}")));
        attributes.push(Attribute::with_value("fmtp", format_args!("{number} {EVENTS}")));
    }
    attributes.push(Attribute::with_value("ptime", audio.ptime_ms));
    attributes.push(Attribute::with_value("maxptime", MAX_PTIME_MS));
    attributes.push(Attribute::new(audio.direction.as_str()));
    if audio.rtcp_mux {
        attributes.push(Attribute::new("rtcp-mux"));
    }
    attributes.extend(audio.crypto.iter().map(|line| Attribute::with_value("crypto", crypto::write(line))));
    attributes
}
