//! offhook: an AI receptionist on a telephone line.
//!
//! The rooms, from the outside in: [`cli`] and [`http`] take what people ask, [`app`] makes and
//! stops everything, [`net`] has the sockets, [`call`] the calls, [`agent`] who talks, [`tool`]
//! what can be done, [`tenant`] and [`routing`] who is called, [`trunk`] on which line,
//! [`simulate`] servers for trying it out, [`store`] what is kept, [`trace`] what was said on the
//! wire, [`load`] the telephones that try all this out.

pub mod agent;
pub mod app;
pub mod call;
pub mod cli;
pub mod config;
pub mod http;
pub mod ids;
pub mod load;
pub mod net;
pub mod routing;
pub mod simulate;
pub mod store;
pub mod tenant;
pub mod tool;
pub mod trace;
pub mod trunk;
pub mod vault;
