//! A SIP message as text: enough of a parser for what a telephone must read.

use std::fmt;

/// A request or a response.
#[derive(Clone, PartialEq, Eq)]
pub struct Message {
    pub start: String,
    headers: Vec<(String, String)>,
    pub body: String,
}

impl Message {
    pub fn parse(bytes: &[u8]) -> Self {
        let text = String::from_utf8_lossy(bytes);
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
        let mut lines = head.split("\r\n");
        let start = lines.next().unwrap_or_default().to_owned();
        let headers = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned()))
            .collect();
        Self { start, headers, body: body.to_owned() }
    }

    /// The status of a response; `None` for a request.
    pub fn status(&self) -> Option<u16> {
        self.start.strip_prefix("SIP/2.0 ")?.get(..3)?.parse().ok()
    }

    /// The method of a request, or of the request that a response answers.
    pub fn method(&self) -> &str {
        match self.status() {
            None => self.start.split(' ').next().unwrap_or_default(),
            Some(_) => self.cseq().1,
        }
    }

    pub fn cseq(&self) -> (u32, &str) {
        let (number, method) = self.header("CSeq").split_once(' ').unwrap_or_default();
        (number.parse().unwrap_or_default(), method)
    }

    /// The first header field of that name; empty when there is none.
    pub fn header(&self, name: &str) -> &str {
        self.all(name).next().unwrap_or_default()
    }

    pub fn all<'m, 'n>(&'m self, name: &'n str) -> impl Iterator<Item = &'m str> + use<'m, 'n> {
        self.headers
            .iter()
            .filter(move |(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, v)| v.as_str())
    }

    /// A parameter of a header field, without its name.
    pub fn param(&self, header: &str, name: &str) -> Option<&str> {
        let mut params = self.header(header).split(';').skip(1);
        params.find_map(|param| param.trim().strip_prefix(name)?.strip_prefix('='))
    }

    /// The URI between the angle brackets of a header field.
    pub fn uri(&self, header: &str) -> &str {
        let value = self.header(header);
        value.split_once('<').and_then(|(_, rest)| rest.split_once('>')).map_or(value, |(uri, _)| uri)
    }
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.start)?;
        for (name, value) in &self.headers {
            writeln!(f, "{name}: {value}")?;
        }
        write!(f, "\n{}", self.body)
    }
}
