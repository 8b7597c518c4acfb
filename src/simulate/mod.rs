//! Servers that behave as the providers' do, for tests, load runs and demonstrations: no account,
//! no network, and faults on request.

pub mod openai;
