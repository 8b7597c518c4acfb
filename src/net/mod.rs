//! Sockets: SIP over UDP and TCP, RTP, and names.
pub mod batch;
pub mod udp;
pub mod tcp;
pub mod rtp;
