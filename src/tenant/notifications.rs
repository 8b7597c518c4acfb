//! The `notifications` section: by which channels messages leave, and to whom.

use super::reader::{Field, Object};
use crate::ids::E164;

/// The channels out. E-mail is on, the others are off until switched on.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Notifications {
    /// E-mail.
    pub email: EmailChannel,
    /// SMS.
    pub sms: PhoneChannel,
    /// WhatsApp.
    pub whatsapp: PhoneChannel,
}

/// E-mail.
#[derive(Debug, Clone, PartialEq)]
pub struct EmailChannel {
    /// Whether any is sent.
    pub enabled: bool,
    /// The sender's address; the operator's when absent.
    pub from: Option<String>,
    /// Who is told of callbacks, messages and escalations.
    pub notify: Vec<String>,
}

/// A channel that goes to telephones.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PhoneChannel {
    /// Whether any is sent.
    pub enabled: bool,
    /// The sender's number; the operator's when absent.
    pub from: Option<E164>,
    /// Who is told of callbacks, messages and escalations.
    pub notify: Vec<E164>,
}

impl Default for EmailChannel {
    fn default() -> Self {
        Self { enabled: true, from: None, notify: Vec::new() }
    }
}

impl Notifications {
    pub(crate) fn read(object: &Object<'_>) -> Self {
        Self {
            email: object.field("email").section(EmailChannel::read),
            sms: object.field("sms").section(PhoneChannel::read),
            whatsapp: object.field("whatsapp").section(PhoneChannel::read),
        }
    }
}

impl EmailChannel {
    fn read(object: &Object<'_>) -> Self {
        Self {
            enabled: object.field("enabled").boolean(true),
            from: object.field("from").email(),
            notify: object.field("notify").list_of(Field::email),
        }
    }
}

impl PhoneChannel {
    fn read(object: &Object<'_>) -> Self {
        let number = |field: &Field<'_>| field.parsed("a number such as \"+33199000001\"", E164::new);
        Self {
            enabled: object.field("enabled").boolean(false),
            from: number(&object.field("from")),
            notify: object.field("notify").list_of(number),
        }
    }
}
