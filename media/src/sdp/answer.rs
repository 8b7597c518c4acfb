//! Answering an offer (RFC 3264 §6).

use super::description::{self, Stream};
use super::write::{self, Audio, Line};
use super::{CodecOrder, LocalMedia, Negotiated, PayloadTypes, SdpError};
use crate::codec::Codec;

/// Answers an offer: the first usable audio line with a common codec is taken with that one codec (and
/// telephone-event, if offered), every other line is refused in place.
///
/// # Errors
/// An [`SdpError`] whose [`SdpError::status`] is the final response to give.
pub fn negotiate(offer: &[u8], local: &LocalMedia) -> Result<Negotiated, SdpError> {
    let session = description::parse(offer)?;
    let mut refusal = SdpError::NoAudio;
    let mut taken = None;
    for (index, media) in session.medias.iter().enumerate() {
        match description::stream(&session, media, local.address) {
            Ok(stream) => match choose(&stream, local) {
                Some(format) => {
                    taken = Some((index, media, stream, format));
                    break;
                }
                None => refusal = SdpError::NoCommonCodec,
            },
            // The most telling reason wins: a codec problem, then a transport, then nothing at all.
            Err(SdpError::UnsupportedTransport) if refusal == SdpError::NoAudio => {
                refusal = SdpError::UnsupportedTransport;
            }
            Err(_) => {}
        }
    }
    let Some((index, media, stream, (codec, number))) = taken else { return Err(refusal) };
    let direction = stream.direction.reversed().and(local.direction);
    let codecs = [(codec, number)];
    let lines = session.medias.iter().enumerate().map(|(other, refused)| {
        if other != index {
            return Line::Refused(refused);
        }
        Line::Audio(Audio {
            proto: &media.proto,
            codecs: &codecs,
            telephone_event: stream.telephone_event,
            ptime_ms: stream.ptime_ms,
            direction,
        })
    });
    let lines = lines.collect::<Vec<_>>();
    let (sdp, origin) = write::write(local, &lines);
    Ok(Negotiated {
        sdp,
        origin,
        codec,
        payload_type: PayloadTypes::same(number),
        telephone_event: stream.telephone_event.map(PayloadTypes::same),
        ptime_ms: stream.ptime_ms,
        remote: stream.remote,
        remote_rtcp: stream.rtcp,
        direction,
        held: !stream.direction.receives(),
    })
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
