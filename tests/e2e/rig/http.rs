//! The few requests that the tests make.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use super::SOON;

/// `GET path`: status and body. An error when nobody answers.
pub fn get(address: SocketAddr, path: &str) -> std::io::Result<(u16, String)> {
    send(address, "GET", path, &[], "")
}

/// A request with these headers and this body: status and body. An error when nobody answers.
pub fn send(
    address: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> std::io::Result<(u16, String)> {
    let mut stream = TcpStream::connect_timeout(&address, SOON)?;
    stream.set_read_timeout(Some(SOON))?;
    let length = body.len();
    let mut request = format!("{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n");
    for (name, value) in headers {
        request.push_str(&format!("{name}: {value}\r\n"));
    }
    write!(stream, "{request}Content-Length: {length}\r\nContent-Type: application/json\r\n\r\n{body}")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok());
    let body = answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned());
    match (status, body) {
        (Some(status), Some(body)) => Ok((status, body)),
        _ => Err(std::io::Error::other(format!("no HTTP answer: {answer:?}"))),
    }
}
