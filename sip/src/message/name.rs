//! Header field names (RFC 3261 §7.3.1, compact forms §7.3.3 and the IANA registry).

use std::fmt;
use std::hash::{Hash, Hasher};

use bytes::Bytes;

use super::lex;

macro_rules! names {
    ($($variant:ident, $name:literal, [$($lower:literal),+];)*) => {
        /// A header field name: case-insensitive, compact forms are the same name as the long ones.
        #[derive(Clone, Debug, PartialEq, Eq, Hash)]
        pub enum HeaderName {
            $(#[doc = concat!("`", $name, "`")] $variant,)*
            /// Any other token.
            Other(OtherName),
        }

        /// A [`HeaderName`] in one byte; the position in the table, `Other` without its text.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u8)]
        pub(crate) enum NameId { $($variant,)* Other }

        impl NameId {
            /// Every one, `Other` last.
            pub(crate) const ALL: &[NameId] = &[$(NameId::$variant,)* NameId::Other];

            /// How many there are.
            pub(crate) const COUNT: usize = NameId::ALL.len();

            /// `name` must already be lower case.
            fn from_lower(name: &[u8]) -> NameId {
                match name {
                    $($($lower)|+ => NameId::$variant,)*
                    _ => NameId::Other,
                }
            }

            /// The name without its text when it is one we know.
            pub(crate) fn known(self) -> Option<HeaderName> {
                match self {
                    $(NameId::$variant => Some(HeaderName::$variant),)*
                    NameId::Other => None,
                }
            }

            /// A reason phrase for 400 (RFC 3261 §21.4.1 wants the problem named).
            pub(crate) fn missing_reason(self) -> &'static str {
                match self {
                    $(NameId::$variant => concat!("Missing ", $name, " Header Field"),)*
                    NameId::Other => "Missing Header Field",
                }
            }

            /// A reason phrase for 400.
            pub(crate) fn malformed_reason(self) -> &'static str {
                match self {
                    $(NameId::$variant => concat!("Malformed ", $name, " Header Field"),)*
                    NameId::Other => "Malformed Header Field",
                }
            }

            /// A reason phrase for 400.
            pub(crate) fn repeated_reason(self) -> &'static str {
                match self {
                    $(NameId::$variant => concat!("Repeated ", $name, " Header Field"),)*
                    NameId::Other => "Repeated Header Field",
                }
            }
        }

        impl HeaderName {
            pub(crate) fn id(&self) -> NameId {
                match self {
                    $(HeaderName::$variant => NameId::$variant,)*
                    HeaderName::Other(_) => NameId::Other,
                }
            }

            /// The long form in its usual spelling; for `Other` as it was given.
            pub fn as_str(&self) -> &str {
                match self {
                    $(HeaderName::$variant => $name,)*
                    HeaderName::Other(other) => other.as_str(),
                }
            }
        }
    };
}

names! {
    Via, "Via", [b"via", b"v"];
    From, "From", [b"from", b"f"];
    To, "To", [b"to", b"t"];
    CallId, "Call-ID", [b"call-id", b"i"];
    CSeq, "CSeq", [b"cseq"];
    MaxForwards, "Max-Forwards", [b"max-forwards"];
    Contact, "Contact", [b"contact", b"m"];
    RecordRoute, "Record-Route", [b"record-route"];
    Route, "Route", [b"route"];
    Expires, "Expires", [b"expires"];
    MinExpires, "Min-Expires", [b"min-expires"];
    Require, "Require", [b"require"];
    Supported, "Supported", [b"supported", b"k"];
    Unsupported, "Unsupported", [b"unsupported"];
    Allow, "Allow", [b"allow"];
    AllowEvents, "Allow-Events", [b"allow-events", b"u"];
    ProxyRequire, "Proxy-Require", [b"proxy-require"];
    Event, "Event", [b"event", b"o"];
    SubscriptionState, "Subscription-State", [b"subscription-state"];
    SessionExpires, "Session-Expires", [b"session-expires", b"x"];
    MinSe, "Min-SE", [b"min-se"];
    RSeq, "RSeq", [b"rseq"];
    RAck, "RAck", [b"rack"];
    RetryAfter, "Retry-After", [b"retry-after"];
    ReferTo, "Refer-To", [b"refer-to", b"r"];
    ReferredBy, "Referred-By", [b"referred-by", b"b"];
    ReferSub, "Refer-Sub", [b"refer-sub"];
    Replaces, "Replaces", [b"replaces"];
    Join, "Join", [b"join"];
    TargetDialog, "Target-Dialog", [b"target-dialog"];
    ContentType, "Content-Type", [b"content-type", b"c"];
    ContentLength, "Content-Length", [b"content-length", b"l"];
    ContentEncoding, "Content-Encoding", [b"content-encoding", b"e"];
    ContentDisposition, "Content-Disposition", [b"content-disposition"];
    ContentLanguage, "Content-Language", [b"content-language"];
    MimeVersion, "MIME-Version", [b"mime-version"];
    Accept, "Accept", [b"accept"];
    AcceptEncoding, "Accept-Encoding", [b"accept-encoding"];
    AcceptLanguage, "Accept-Language", [b"accept-language"];
    AcceptContact, "Accept-Contact", [b"accept-contact", b"a"];
    RejectContact, "Reject-Contact", [b"reject-contact", b"j"];
    RequestDisposition, "Request-Disposition", [b"request-disposition", b"d"];
    Reason, "Reason", [b"reason"];
    PAssertedIdentity, "P-Asserted-Identity", [b"p-asserted-identity"];
    PPreferredIdentity, "P-Preferred-Identity", [b"p-preferred-identity"];
    RemotePartyId, "Remote-Party-ID", [b"remote-party-id"];
    Privacy, "Privacy", [b"privacy"];
    Identity, "Identity", [b"identity", b"y"];
    Diversion, "Diversion", [b"diversion"];
    HistoryInfo, "History-Info", [b"history-info"];
    ServiceRoute, "Service-Route", [b"service-route"];
    Path, "Path", [b"path"];
    Authorization, "Authorization", [b"authorization"];
    ProxyAuthorization, "Proxy-Authorization", [b"proxy-authorization"];
    WwwAuthenticate, "WWW-Authenticate", [b"www-authenticate"];
    ProxyAuthenticate, "Proxy-Authenticate", [b"proxy-authenticate"];
    AuthenticationInfo, "Authentication-Info", [b"authentication-info"];
    UserAgent, "User-Agent", [b"user-agent"];
    Server, "Server", [b"server"];
    Subject, "Subject", [b"subject", b"s"];
    Date, "Date", [b"date"];
    Timestamp, "Timestamp", [b"timestamp"];
    Warning, "Warning", [b"warning"];
    Organization, "Organization", [b"organization"];
    Priority, "Priority", [b"priority"];
    ReplyTo, "Reply-To", [b"reply-to"];
    InReplyTo, "In-Reply-To", [b"in-reply-to"];
    AlertInfo, "Alert-Info", [b"alert-info"];
    CallInfo, "Call-Info", [b"call-info"];
    ErrorInfo, "Error-Info", [b"error-info"];
    SipEtag, "SIP-ETag", [b"sip-etag"];
    SipIfMatch, "SIP-If-Match", [b"sip-if-match"];
    UserToUser, "User-to-User", [b"user-to-user"];
    SessionId, "Session-ID", [b"session-id"];
    InfoPackage, "Info-Package", [b"info-package"];
    RecvInfo, "Recv-Info", [b"recv-info"];
}

/// The longest name in the table; anything longer is `Other` without a look.
const LONGEST: usize = 20;

impl NameId {
    /// The id of a name in any case.
    pub(crate) fn from_bytes(name: &[u8]) -> NameId {
        let mut lower = [0u8; LONGEST];
        match lower.get_mut(..name.len()) {
            Some(lower) => {
                for (to, from) in lower.iter_mut().zip(name) {
                    *to = from.to_ascii_lowercase();
                }
                NameId::from_lower(lower)
            }
            None => NameId::Other,
        }
    }
}

impl HeaderName {
    /// Reads a name in any case, long or compact; `None` if the bytes aren't an RFC 3261 token.
    pub fn from_bytes(name: &[u8]) -> Option<HeaderName> {
        match NameId::from_bytes(name).known() {
            Some(known) => Some(known),
            None if lex::is_token(name) => Some(HeaderName::Other(OtherName(Bytes::copy_from_slice(name)))),
            None => None,
        }
    }

    /// `name` must be a token already.
    pub(crate) fn other(name: Bytes) -> HeaderName {
        HeaderName::Other(OtherName(name))
    }
}

impl fmt::Display for HeaderName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A header field name this crate has no variant for. Always a non-empty token; compares without case.
#[derive(Clone)]
pub struct OtherName(Bytes);

impl OtherName {
    /// As it was spelled.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl PartialEq for OtherName {
    fn eq(&self, other: &Self) -> bool {
        self.0.eq_ignore_ascii_case(&other.0)
    }
}

impl Eq for OtherName {}

impl Hash for OtherName {
    fn hash<H: Hasher>(&self, state: &mut H) {
        for byte in &self.0 {
            state.write_u8(byte.to_ascii_lowercase());
        }
    }
}

impl fmt::Debug for OtherName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_ignore_case_and_compact_forms_are_the_same_name() {
        for (text, name) in [
            ("VIA", HeaderName::Via),
            ("v", HeaderName::Via),
            ("i", HeaderName::CallId),
            ("K", HeaderName::Supported),
            ("x", HeaderName::SessionExpires),
            ("R", HeaderName::ReferTo),
            ("p-ASSERTED-identity", HeaderName::PAssertedIdentity),
            ("P-Preferred-Identity", HeaderName::PPreferredIdentity),
        ] {
            assert_eq!(HeaderName::from_bytes(text.as_bytes()), Some(name));
        }
        let other = HeaderName::from_bytes(b"X-Thing").unwrap();
        assert_eq!(Some(other), HeaderName::from_bytes(b"x-thing"));
    }

    #[test]
    fn every_name_in_the_table_reads_back_as_itself() {
        for &id in NameId::ALL {
            if let Some(name) = id.known() {
                assert!(name.as_str().len() <= LONGEST);
                assert_eq!(HeaderName::from_bytes(name.as_str().as_bytes()), Some(name.clone()));
                assert_eq!(name.id(), id);
            }
        }
    }

    #[test]
    fn a_name_that_is_no_token_is_refused() {
        for bad in [&b""[..], b"X Thing", b"X\r\n", b"X:Y", b"\xe9"] {
            assert_eq!(HeaderName::from_bytes(bad), None);
        }
    }
}
