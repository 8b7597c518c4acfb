//! Our own offers (delayed offer, outgoing calls, a re-INVITE without a body) and the answers to them.

use bytes::Bytes;
use smallvec::SmallVec;

use super::crypto;
use super::description;
use super::write::{self, Audio, Line};
use super::{LocalMedia, Negotiated, Origin, PayloadTypes, SdpError};
use crate::codec::Codec;

/// An offer, and what to remember with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    /// The body to send.
    pub sdp: Bytes,
    /// To be put into [`LocalMedia::origin`] before the answer is accepted.
    pub origin: Origin,
}

/// Builds an offer. If something was agreed before, its lines stay in place (RFC 3264 §8): refused ones refused,
/// payload type numbers as they were (§8.3.2).
///
/// # Errors
/// [`SdpError::Malformed`] if `local.origin.last` isn't one of our descriptions.
pub fn build(local: &LocalMedia) -> Result<Offer, SdpError> {
    let before = local.origin.last.as_deref().map(description::parse).transpose()?;
    let medias = before.as_ref().map_or(&[][..], |session| &session.medias);
    let live = medias.iter().position(|media| media.port != 0);
    let agreed = match (&before, live.and_then(|index| medias.get(index))) {
        (Some(session), Some(media)) => {
            Some((media.proto.as_str(), description::stream(session, media, local.address)?))
        }
        _ => None,
    };
    let number = |codec: Codec| {
        let earlier =
            agreed.as_ref().and_then(|(_, stream)| stream.codecs.iter().find(|(known, _)| *known == codec));
        earlier.map_or(codec.payload_type(), |(_, number)| *number)
    };
    let codecs: Vec<_> = local.codecs.iter().map(|codec| (*codec, number(*codec))).collect();
    let mut events = SmallVec::<[(u32, u8); 2]>::new();
    for codec in &local.codecs {
        let clock = codec.clock_hz();
        if events.iter().all(|(known, _)| *known != clock) {
            let earlier = agreed
                .as_ref()
                .and_then(|(_, stream)| stream.events.iter().find(|(known, _)| *known == clock));
            let fresh = local.telephone_event + u8::from(!events.is_empty());
            events.push((clock, earlier.map_or(fresh, |(_, number)| *number)));
        }
    }
    let proto = if local.srtp.is_required() { "RTP/SAVP" } else { "RTP/AVP" };
    // What was agreed stays: an offer within a call neither drops the keys nor brings them up again.
    let seed = local.srtp.seed().filter(|_| before.is_none() || local.origin.secured.is_some());
    let crypto = seed.map(|seed| crypto::offer(seed, local.origin.secured.as_ref())).unwrap_or_default();
    let audio = || {
        Line::Audio(Audio {
            proto: agreed.as_ref().map_or(proto, |(proto, _)| proto),
            codecs: &codecs,
            events: &events,
            ptime_ms: local.ptime_ms,
            direction: local.direction,
            rtcp_mux: agreed.as_ref().is_some_and(|(_, stream)| stream.rtcp_mux),
            crypto: &crypto,
        })
    };
    let mut lines: Vec<_> = medias
        .iter()
        .enumerate()
        .map(|(index, media)| if Some(index) == live { audio() } else { Line::Refused(media) })
        .collect();
    if live.is_none() {
        lines.push(audio());
    }
    let (sdp, origin) = write::write(local, &lines);
    Ok(Offer { sdp, origin })
}

/// Takes the answer to the offer in `local.origin.last`. The first codec that the answer lists is the one to send.
///
/// # Errors
/// [`SdpError::NoAudio`] if the answer refuses our line, [`SdpError::AnswerMismatch`] if it doesn't fit the offer,
/// [`SdpError::NoCommonCrypto`] or [`SdpError::SrtpDowngrade`] if it has no key where there must be one.
pub fn accept_answer(answer: &[u8], local: &LocalMedia) -> Result<Negotiated, SdpError> {
    let sdp = local.origin.last.clone().ok_or(SdpError::AnswerMismatch)?;
    let offered = description::parse(&sdp)?;
    let answered = description::parse(answer)?;
    let index = offered.medias.iter().position(|media| media.port != 0).ok_or(SdpError::AnswerMismatch)?;
    let ours_line = offered.medias.get(index).ok_or(SdpError::AnswerMismatch)?;
    let theirs = answered.medias.get(index).filter(|media| description::is_audio(media));
    let theirs = theirs.ok_or(SdpError::AnswerMismatch)?;
    let ours = description::stream(&offered, ours_line, local.address)?;
    let keys = crypto::accept(&crypto::lines(ours_line), theirs)?;
    let theirs = description::stream(&answered, theirs, local.address)?;
    if ours.secure != theirs.secure {
        return Err(SdpError::AnswerMismatch);
    }
    if keys.is_none() && local.origin.secured.is_some() {
        return Err(SdpError::SrtpDowngrade);
    }
    if keys.is_none() && (ours.secure || local.srtp.is_required()) {
        return Err(SdpError::NoCommonCrypto);
    }
    let (secured, keys) = keys.unzip();
    let offered_as =
        |codec: Codec| ours.codecs.iter().find(|(known, _)| *known == codec).map(|(_, number)| *number);
    let (codec, payload_type) = theirs
        .codecs
        .iter()
        .find_map(|(codec, send)| {
            offered_as(*codec).map(|receive| (*codec, PayloadTypes { send: *send, receive }))
        })
        .ok_or(SdpError::NoCommonCodec)?;
    // The same clock on both sides, or there is none.
    let event = theirs.event_for(codec).and_then(|(clock, send)| {
        let receive = ours.events.iter().find(|(known, _)| *known == clock)?.1;
        Some((clock, PayloadTypes { send, receive }))
    });
    Ok(Negotiated {
        sdp,
        origin: Origin { secured, ..local.origin.clone() },
        codec,
        payload_type,
        telephone_event: event.map(|(_, numbers)| numbers),
        event_clock_hz: event.map_or(codec.clock_hz(), |(clock, _)| clock),
        ptime_ms: theirs.ptime_for(codec),
        remote: theirs.remote,
        remote_rtcp: theirs.rtcp,
        direction: theirs.direction.reversed().and(local.direction),
        rtcp_mux: theirs.rtcp_mux && ours.rtcp_mux,
        keys,
        held: !theirs.direction.receives(),
    })
}

#[cfg(test)]
mod tests;
