//! English wording.

use super::Phrase;

pub(super) fn text(phrase: Phrase<'_>) -> String {
    match phrase {
        Phrase::Greeting { name } => format!("Hello, you have reached {name}."),
        Phrase::MenuLine { label, key } => format!("For {label}, press {}.", key_name(key)),
        Phrase::Confirm { label } => {
            format!("You are about to be connected with {label}. Press 1 to confirm, or 2 to cancel.")
        }
        Phrase::Disclosure => "You are talking to an automated assistant.".into(),
        Phrase::RecordedDisclosure => {
            "You are talking to an automated assistant, and this call is recorded.".into()
        }
        Phrase::MessageLine => "To leave a message, press 9.".into(),
        Phrase::RepeatLine => "To hear these options again, press star.".into(),
        Phrase::Handoff => "Please hold while I connect you.".into(),
        Phrase::TransferFailed => "Sorry, the call could not be connected.".into(),
        Phrase::DestinationClosed => "That line is closed at this hour.".into(),
        Phrase::Closed => "Nobody is available to answer at this hour.".into(),
        Phrase::LeaveMessage => "Please leave your message after the tone, then hang up.".into(),
        Phrase::MessageThanks => "Thank you, your message has been saved.".into(),
        Phrase::MessageFailed => "Sorry, your message could not be saved.".into(),
        Phrase::Goodbye => "Thank you for calling. Goodbye.".into(),
        Phrase::DrainingGoodbye => {
            "Our service is stopping for a few moments. Please call again a little later. Goodbye.".into()
        }
        Phrase::TimeAlmostUp => "This call will end in thirty seconds.".into(),
        Phrase::InvalidKey => "That key is not one of the options.".into(),
        Phrase::OneMoment => "One moment, please.".into(),
        Phrase::Trouble => "Sorry, I have a technical problem.".into(),
        Phrase::NothingPressed => "I did not receive an answer.".into(),
    }
}

fn key_name(key: char) -> String {
    match key {
        '*' => "star".into(),
        '#' => "pound".into(),
        key => key.to_string(),
    }
}
