//! Answering an offer (RFC 3264 §6).

use sdp_types::{Media, Session};

use super::crypto::{self, Crypto};
use super::description::{self, Stream};
use super::write::{self, Audio, Line};
use super::{CodecOrder, Keys, LocalMedia, Negotiated, PayloadTypes, SdpError};
use crate::codec::Codec;

/// Answers an offer: one usable audio line with a common codec is taken with that one codec (and telephone-event, if
/// offered), every other line is refused in place. A line that SRTP can be agreed on goes before one that it can't,
/// then the first is taken.
///
/// # Errors
/// An [`SdpError`] whose [`SdpError::status`] is the final response to give.
pub fn negotiate(offer: &[u8], local: &LocalMedia) -> Result<Negotiated, SdpError> {
    let session = description::parse(offer)?;
    let mut refusal = SdpError::NoAudio;
    let mut taken: Option<Choice<'_>> = None;
    for (index, media) in session.medias.iter().enumerate() {
        match Choice::of(&session, index, media, local) {
            Ok(choice) if taken.as_ref().is_none_or(|best| choice.is_better_than(best)) => {
                taken = Some(choice)
            }
            Ok(_) => {}
            Err(error) => refusal = more_telling(refusal, error),
        }
    }
    let Some(Choice { index, media, stream, codec, payload_type, crypto }) = taken else {
        return Err(refusal);
    };
    let (crypto, keys) = crypto.unzip();
    let direction = stream.direction.reversed().and(local.direction);
    let codecs = [(codec, payload_type)];
    let (event, ptime_ms) = (stream.event_for(codec), stream.ptime_for(codec));
    let lines = session.medias.iter().enumerate().map(|(other, refused)| {
        if other != index {
            return Line::Refused(refused);
        }
        Line::Audio(Audio {
            proto: &media.proto,
            codecs: &codecs,
            events: event.as_slice(),
            ptime_ms,
            direction,
            rtcp_mux: stream.rtcp_mux,
            crypto: crypto.as_slice(),
        })
    });
    let lines = lines.collect::<Vec<_>>();
    let (sdp, mut origin) = write::write(local, &lines);
    origin.secured = crypto;
    Ok(Negotiated {
        sdp,
        origin,
        codec,
        payload_type: PayloadTypes::same(payload_type),
        telephone_event: event.map(|(_, number)| PayloadTypes::same(number)),
        event_clock_hz: event.map_or(codec.clock_hz(), |(clock, _)| clock),
        ptime_ms,
        remote: stream.remote,
        remote_rtcp: stream.rtcp,
        direction,
        rtcp_mux: stream.rtcp_mux,
        held: !stream.direction.receives(),
        keys,
    })
}

/// A line of the offer that the call can run on.
struct Choice<'a> {
    index: usize,
    media: &'a Media,
    stream: Stream,
    codec: Codec,
    payload_type: u8,
    crypto: Option<(Crypto, Keys)>,
}

impl<'a> Choice<'a> {
    fn of(session: &Session, index: usize, media: &'a Media, local: &LocalMedia) -> Result<Self, SdpError> {
        let stream = description::stream(session, media, local.address)?;
        let (codec, payload_type) = choose(&stream, local).ok_or(SdpError::NoCommonCodec)?;
        let crypto = secure(&stream, local)?;
        Ok(Self { index, media, stream, codec, payload_type, crypto })
    }

    fn is_better_than(&self, other: &Self) -> bool {
        self.crypto.is_some() && other.crypto.is_none()
    }
}

/// The key to answer with, by the policy and by what was agreed before. Keys offered on `RTP/AVP` are taken: that is
/// how a peer asks for SRTP where possible.
fn secure(stream: &Stream, local: &LocalMedia) -> Result<Option<(Crypto, Keys)>, SdpError> {
    let Some(seed) = local.srtp.seed() else {
        return if stream.secure { Err(SdpError::UnsupportedTransport) } else { Ok(None) };
    };
    match stream.crypto.first() {
        Some(offered) => Ok(Some(crypto::answer(offered, seed))),
        None if local.origin.secured.is_some() => Err(SdpError::SrtpDowngrade),
        None if stream.secure => Err(SdpError::NoCommonCrypto),
        None if local.srtp.is_required() => Err(SdpError::SrtpRequired),
        None => Ok(None),
    }
}

/// Of two reasons the one that tells its reader more: what comes nearest to success.
fn more_telling(one: SdpError, other: SdpError) -> SdpError {
    let rank = |error: &SdpError| match error {
        SdpError::NoAudio => 0,
        SdpError::UnsupportedTransport => 1,
        SdpError::NoCommonCodec => 2,
        _ => 3,
    };
    if rank(&other) > rank(&one) { other } else { one }
}

/// The codec by the order that the setting prefers.
fn choose(stream: &Stream, local: &LocalMedia) -> Option<(Codec, u8)> {
    match local.order {
        CodecOrder::Offer => stream.codecs.iter().find(|(codec, _)| local.codecs.contains(codec)).copied(),
        CodecOrder::Local => local
            .codecs
            .iter()
            .find_map(|ours| stream.codecs.iter().find(|(codec, _)| codec == ours).copied()),
    }
}

#[cfg(test)]
mod tests;
