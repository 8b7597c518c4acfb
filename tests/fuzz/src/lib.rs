//! What the fuzzer runs, one plain function a target. A function panics when something is wrong,
//! which is all a fuzzer needs; the same functions replay the committed inputs as an ordinary
//! test (`tests/fuzz/main.rs`).

pub mod digest;
pub mod endpoint;
pub mod framing;
pub mod input;
pub mod message;
pub mod registration;
pub mod rtp;
pub mod sdp;
#[cfg(feature = "service")]
pub mod service;
pub mod sip_party;

/// A target: what it is called and what it does with any bytes.
pub type Target = (&'static str, fn(&[u8]));

/// The targets of the two cores.
pub const CORES: &[Target] = &[
    ("message", message::message),
    ("uri", message::uri),
    ("digest", digest::digest),
    ("framing", framing::framing),
    ("sdp", sdp::sdp),
    ("rtp", rtp::rtp),
    ("rtcp", rtp::rtcp),
    ("telephone_event", rtp::telephone_event),
    ("endpoint", endpoint::endpoint),
    ("registration", registration::registration),
];

/// The targets that need the service.
#[cfg(feature = "service")]
pub const SERVICE: &[Target] =
    &[("number", service::number), ("tenant", service::tenant), ("config", service::config)];
