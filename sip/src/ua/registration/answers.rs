//! What follows from a response.

use std::time::{Duration, Instant};

use super::super::digest::{Client, DigestError};
use super::backoff::LONGEST_WAIT;
use super::{
    Binding, Failure, MAX_EXPIRES, MAX_RETRY_AFTER, MIN_REFRESH, REFRESH_LEAD, REFUSED_WAIT,
    RegisterResponse, Registration, State,
};

impl Registration {
    pub(super) fn answered(
        &mut self,
        binding: Option<Binding>,
        min_expires_taken: bool,
        sent_at: Instant,
        response: RegisterResponse,
        now: Instant,
    ) {
        let retry_after = response.retry_after;
        match response.status {
            200..=299 => self.granted(response, sent_at, now),
            401 | 407 => match self.take_challenges(&response) {
                Ok(()) => self.send_attempt(binding, min_expires_taken, now),
                Err(failure) => self.fail(binding, failure, retry_after, now),
            },
            403 if self.client.as_ref().is_some_and(Client::is_armed) => {
                self.fail(binding, Failure::Refused, None, now);
            }
            423 => self.too_brief(binding, min_expires_taken, &response, now),
            status => self.fail(binding, Failure::Status(status), retry_after, now),
        }
    }

    fn granted(&mut self, response: RegisterResponse, sent_at: Instant, now: Instant) {
        self.accepted();
        let granted = response.granted.unwrap_or(self.expires);
        if granted == 0 {
            return self.fail(None, Failure::NothingGranted, response.retry_after, now);
        }
        self.backoff.reset();
        let binding = binding_of(response, granted, sent_at);
        let refresh_at = sent_at + refresh_after(binding.granted);
        self.set(State::Registered { binding, refresh_at });
    }

    fn too_brief(
        &mut self,
        binding: Option<Binding>,
        taken: bool,
        response: &RegisterResponse,
        now: Instant,
    ) {
        match response.min_expires {
            Some(least) if least > self.expires => {
                self.expires = least.min(MAX_EXPIRES);
                if taken {
                    // A registrar whose minimum rises with each attempt gets no more than one a turn.
                    self.fail(binding, Failure::Status(423), response.retry_after, now);
                } else {
                    self.send_attempt(binding, true, now);
                }
            }
            _ => self.fail(binding, Failure::Status(423), response.retry_after, now),
        }
    }

    pub(super) fn answered_while_leaving(
        &mut self,
        binding: Option<Binding>,
        (sent_at, expires): (Instant, u32),
        give_up_at: Instant,
        response: RegisterResponse,
        now: Instant,
    ) {
        let removal = expires == 0;
        match response.status {
            200..=299 if removal => {
                self.accepted();
                self.set(State::Idle);
            }
            // The REGISTER that was out when we were told to leave has made a binding: take it away.
            200..=299 => {
                self.accepted();
                let granted = response.granted.unwrap_or(expires);
                let binding = binding_of(response, granted, sent_at);
                self.send_removal(Some(binding), give_up_at, now);
            }
            401 | 407 if self.take_challenges(&response).is_ok() && (removal || binding.is_some()) => {
                self.send_removal(binding, give_up_at, now);
            }
            _ if !removal && binding.is_some() => {
                self.send_removal(binding, give_up_at, now);
            }
            _ => self.set(State::Idle),
        }
    }

    fn take_challenges(&mut self, response: &RegisterResponse) -> Result<(), Failure> {
        let client = self.client.as_mut().ok_or(Failure::NoCredentials)?;
        let values = response.challenges.iter().map(|(challenger, value)| (*challenger, value.as_ref()));
        client.on_challenges(values).map_err(|error| match error {
            DigestError::Refused => Failure::Refused,
            other => Failure::Challenge(other),
        })
    }

    fn accepted(&mut self) {
        if let Some(client) = &mut self.client {
            client.accepted();
        }
    }

    pub(super) fn fail(
        &mut self,
        binding: Option<Binding>,
        failure: Failure,
        retry_after: Option<u32>,
        now: Instant,
    ) {
        let elsewhere = matches!(failure, Failure::Silence | Failure::Status(408 | 500..=599));
        if elsewhere && self.registrar.next() {
            let binding = binding.filter(|b| b.expires_at > now);
            self.send_attempt(binding, false, now);
            return;
        }
        let longest = self.registrar.longest_wait(LONGEST_WAIT, now);
        let wait = match &failure {
            Failure::Refused => REFUSED_WAIT,
            _ => self.backoff.next(longest, &mut self.random),
        };
        if let (Failure::Refused | Failure::Challenge(_), Some(client)) = (&failure, &mut self.client) {
            client.forget();
        }
        let told = Duration::from_secs(u64::from(retry_after.unwrap_or(0))).min(MAX_RETRY_AFTER);
        let binding = binding.filter(|b| b.expires_at > now);
        self.set(State::Waiting { binding, retry_at: now + wait.max(told), failure });
    }
}

/// The binding that a 2xx tells of. Its life counts from when it was asked for: the registrar's
/// clock started before the answer came.
fn binding_of(response: RegisterResponse, granted: u32, sent_at: Instant) -> Binding {
    let granted = Duration::from_secs(u64::from(granted.min(MAX_EXPIRES)));
    Binding {
        granted,
        expires_at: sent_at + granted,
        service_route: response.service_route,
        path: response.path,
    }
}

fn refresh_after(granted: Duration) -> Duration {
    let lead = REFRESH_LEAD.min(granted / 2);
    granted.saturating_sub(lead).max(MIN_REFRESH)
}
