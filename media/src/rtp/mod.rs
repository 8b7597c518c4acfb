//! RTP and RTCP packets and the state of a stream (RFC 3550).

pub mod packet;
pub mod report;
pub mod rtcp;
pub mod session;
