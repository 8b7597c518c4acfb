//! The machine driven through whole calls, with time under control.

mod answer;
mod dialing;
mod every_state;
mod message;
mod random;
mod release;
mod rig;
mod transfer;
mod watchdog;
