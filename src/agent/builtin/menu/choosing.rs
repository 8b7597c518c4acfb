//! What a key means: a destination, a message, the menu again, yes or no.

use chrono::{DateTime, Utc};
use serde_json::json;

use super::{Choice, Menu, Moment, State, Task};
use crate::agent::builtin::script::{self, Line};
use crate::agent::builtin::speaking::Cut;
use crate::agent::phrases::Phrase;
use crate::ids::DestinationId;
use crate::tenant::refer::Route;

const MESSAGE_KEY: char = '9';
const REPEAT_KEY: char = '*';
const YES_KEY: char = '1';
const NO_KEY: char = '2';

impl Menu {
    pub(super) fn choose(&mut self, key: char, at: &mut Moment<'_>) {
        match key {
            MESSAGE_KEY => self.run("take_message", json!({}), Task::Message, at),
            REPEAT_KEY => self.offer(&[], 0, at),
            key => match self.destination(key, at.wall) {
                None => self.offer(&[Phrase::InvalidKey], 0, at),
                // Nobody in the chain is there: the tool says so and asks for a message.
                Some((asked, None)) => self.transfer(&asked, at),
                Some((asked, Some((label, stands_in)))) => {
                    let choice = Choice { asked, label };
                    if !self.tenant.features.refer.require_confirmation {
                        self.transfer(&choice.asked, at);
                    } else if stands_in {
                        self.ask(&[Phrase::DestinationClosed], choice, 0, at);
                    } else {
                        self.ask(&[], choice, 0, at);
                    }
                }
            },
        }
    }

    /// The destination of a key, with the label of who answers for it now and whether that is
    /// somebody else.
    fn destination(&self, key: char, wall: DateTime<Utc>) -> Option<(DestinationId, Option<(String, bool)>)> {
        let refer = &self.tenant.features.refer;
        let item = refer.menu(wall).into_iter().find(|item| item.key == key)?;
        let asked = &item.destination.destination_id;
        let answers = match refer.resolve(asked, wall) {
            Route::Open { destination, .. } => {
                Some((destination.label.clone(), destination.destination_id != *asked))
            }
            Route::Closed { .. } => None,
        };
        Some((asked.clone(), answers))
    }

    pub(super) fn confirm(&mut self, key: char, to: Choice, at: &mut Moment<'_>) {
        match key {
            YES_KEY => self.transfer(&to.asked, at),
            NO_KEY => self.offer(&[], 0, at),
            REPEAT_KEY => self.ask(&[], to, 0, at),
            _ => self.ask(&[Phrase::InvalidKey], to, 0, at),
        }
    }

    pub(super) fn ask(&mut self, first: &[Phrase<'_>], to: Choice, unanswered: u8, at: &mut Moment<'_>) {
        let mut lines = self.standard(first);
        lines.push(script::confirmation(&to.label, &self.locale));
        self.state = State::Confirming { to, unanswered };
        self.say(lines, Cut::Freely, at);
    }

    pub(super) fn offer(&mut self, first: &[Phrase<'_>], unanswered: u8, at: &mut Moment<'_>) {
        let items = self.tenant.features.refer.menu(at.wall);
        let mut lines = self.standard(first);
        lines.extend(script::menu(&items, &self.locale));
        self.state = State::Choosing { unanswered };
        self.say(lines, Cut::Freely, at);
    }

    pub(super) fn standard(&self, phrases: &[Phrase<'_>]) -> Vec<Line> {
        phrases.iter().map(|phrase| script::standard(&self.locale, *phrase)).collect()
    }

    fn transfer(&mut self, to: &DestinationId, at: &mut Moment<'_>) {
        let arguments = json!({"destination_id": to.as_str(), "confirmed": true});
        self.run("transfer_call", arguments, Task::Transfer, at);
    }
}
