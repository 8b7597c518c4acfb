//! To the telephone's 8 kHz.

use super::SpeechError;
use super::wav::Wav;

/// The sound at 8,000 Hz.
pub(super) fn to_8_khz(wav: Wav) -> Result<Vec<i16>, SpeechError> {
    if wav.rate_hz == 8_000 {
        return Ok(wav.samples);
    }
    todo!()
}
