//! The way to the server: one TLS client for the process, a WebSocket for each session, and the
//! opening of a session until it is configured.

use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::{HeaderValue, Request, Uri, header};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error, Message};

use super::wire::{ClientEvent, Dialect, Failure, Item, MAX_MESSAGE, ServerEvent, SessionSettings};
use super::{NAME, OpenAiConfig};
use crate::agent::provider::ProviderError;

/// An open WebSocket.
pub(super) type Socket = WebSocketStream<Stream>;

/// What one side may have said that a session opens with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Said {
    Caller(String),
    Agent(String),
    /// We told the model.
    Note(String),
}

/// Memory for what was read and isn't taken yet: audio comes in messages of a few kilobytes.
const READ_BUFFER: usize = 4 << 10;
/// Memory for what isn't written yet; more than half a minute of audio means that nobody reads.
const MAX_UNWRITTEN: usize = 512 << 10;

/// Opens sessions.
pub(super) struct Connector {
    tls: Option<TlsConnector>,
    host: String,
    port: u16,
    request: Request<()>,
    dialect: Dialect,
}

/// The configuration can't be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadEndpoint {
    /// The base URL.
    #[error("the base URL {0:?} is not of the form wss://host/path (ws:// for a server on this machine)")]
    Url(String),
    /// What callers say, and the key, would go over a network that others can read.
    #[error(
        "the base URL {0:?} has no TLS: write wss://, or name this machine or an address of a private network"
    )]
    Plain(String),
    /// The key.
    #[error("the API key holds characters that no key has")]
    Key,
    /// TLS can't be set up.
    #[error("TLS can't be set up: {0}")]
    Tls(String),
}

impl Connector {
    /// # Errors
    /// When the base URL or the key isn't one.
    pub(super) fn new(config: &OpenAiConfig, model: &str) -> Result<Self, BadEndpoint> {
        let bad = || BadEndpoint::Url(config.base_url.clone());
        let base = config.base_url.trim_end_matches('/');
        let model: String = model.chars().filter(|c| c.is_ascii_graphic() && !"&#?%".contains(*c)).collect();
        let uri: Uri = format!("{base}/realtime?model={model}").parse().map_err(|_| bad())?;
        let secure = match uri.scheme_str() {
            Some("wss") => true,
            Some("ws") => false,
            _ => return Err(bad()),
        };
        let host = uri.host().ok_or_else(bad)?.trim_matches(['[', ']']).to_owned();
        if !secure && !is_near(&host) {
            return Err(BadEndpoint::Plain(config.base_url.clone()));
        }
        let port = uri.port_u16().unwrap_or(if secure { 443 } else { 80 });
        let mut request = uri.into_client_request().map_err(|_| bad())?;
        if let Some(key) = &config.key {
            let mut value =
                HeaderValue::from_str(&format!("Bearer {}", key.secret())).map_err(|_| BadEndpoint::Key)?;
            value.set_sensitive(true);
            request.headers_mut().insert(header::AUTHORIZATION, value);
        }
        if config.dialect == Dialect::Beta {
            request.headers_mut().insert("OpenAI-Beta", HeaderValue::from_static("realtime=v1"));
        }
        let tls = if secure { Some(config.tls()?) } else { None };
        Ok(Self { tls, host, port, request, dialect: config.dialect })
    }

    /// Opens a session, configures it, and puts what was said before into it.
    pub(super) async fn open(
        self: Arc<Self>,
        settings: Arc<SessionSettings>,
        before: Vec<Said>,
        within: Duration,
    ) -> Result<Box<Socket>, ProviderError> {
        let opening = self.opened(&settings, &before);
        match tokio::time::timeout(within, opening).await {
            Ok(result) => result,
            Err(_) => Err(ProviderError::TimedOut { provider: NAME, after: within }),
        }
    }

    async fn opened(
        &self,
        settings: &SessionSettings,
        before: &[Said],
    ) -> Result<Box<Socket>, ProviderError> {
        let stream = TcpStream::connect((self.host.as_str(), self.port)).await.map_err(unreachable)?;
        stream.set_nodelay(true).map_err(unreachable)?;
        let stream = match &self.tls {
            None => Stream::Plain(stream),
            Some(tls) => {
                let name = ServerName::try_from(self.host.clone()).map_err(|_| garbled("its own name"))?;
                Stream::Tls(Box::new(tls.connect(name, stream).await.map_err(unreachable)?))
            }
        };
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER)
            .write_buffer_size(READ_BUFFER)
            .max_write_buffer_size(MAX_UNWRITTEN)
            .max_message_size(Some(MAX_MESSAGE))
            .max_frame_size(Some(MAX_MESSAGE));
        let opened =
            tokio_tungstenite::client_async_with_config(self.request.clone(), stream, Some(config)).await;
        let (socket, _) = opened.map_err(|error| fault(&error))?;
        let mut socket = Box::new(socket);
        // Audio sent before `session.updated` would be read in the server's own format.
        wait_for(&mut socket, |event| matches!(event, ServerEvent::SessionCreated)).await?;
        send(&mut socket, &ClientEvent::Configure(settings), self.dialect).await?;
        wait_for(&mut socket, |event| matches!(event, ServerEvent::SessionUpdated)).await?;
        for said in before {
            let item = match said {
                Said::Caller(text) => Item::Caller(text),
                Said::Agent(text) => Item::Agent(text),
                Said::Note(text) => Item::System(text),
            };
            send(&mut socket, &ClientEvent::Create(item), self.dialect).await?;
        }
        Ok(socket)
    }
}

/// This machine, or one of the same private network (RFC 1918, RFC 4193).
fn is_near(host: &str) -> bool {
    match host.parse() {
        Ok(IpAddr::V4(address)) => address.is_loopback() || address.is_private(),
        Ok(IpAddr::V6(address)) => address.is_loopback() || address.is_unique_local(),
        Err(_) => host == "localhost",
    }
}

impl OpenAiConfig {
    /// The one TLS client of the process, built with the provider.
    fn tls(&self) -> Result<TlsConnector, BadEndpoint> {
        let refuse = |error: rustls::Error| BadEndpoint::Tls(error.to_string());
        let mut roots = RootCertStore::empty();
        let (taken, _) = roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        if taken == 0 {
            return Err(BadEndpoint::Tls(
                "the system trusts no authority; install ca-certificates".to_owned(),
            ));
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(refuse)?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(TlsConnector::from(Arc::new(config)))
    }
}

async fn send(socket: &mut Socket, event: &ClientEvent<'_>, dialect: Dialect) -> Result<(), ProviderError> {
    socket.send(Message::text(event.to_text(dialect))).await.map_err(|error| fault(&error))
}

async fn wait_for(
    socket: &mut Socket,
    wanted: impl Fn(&ServerEvent<'_>) -> bool,
) -> Result<(), ProviderError> {
    loop {
        let message = match socket.next().await {
            None => return Err(dropped(None)),
            Some(Err(error)) => return Err(fault(&error)),
            Some(Ok(message)) => message,
        };
        match message {
            Message::Text(text) => match ServerEvent::read(&text) {
                Ok(ServerEvent::Error(error)) => {
                    tracing::warn!(code = %error.code, message = %error.message, "the realtime server objects");
                    return Err(refusal(error.failure));
                }
                Ok(event) if wanted(&event) => return Ok(()),
                Ok(_) => {}
                Err(_) => return Err(garbled("session.created and session.updated")),
            },
            Message::Close(frame) => return Err(dropped(frame.map(|frame| frame.code.into()))),
            Message::Binary(_) => return Err(garbled("text messages")),
            Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => {}
        }
    }
}

/// What an error of the server means for the session.
pub(super) fn refusal(failure: Failure) -> ProviderError {
    match failure {
        Failure::Quota => ProviderError::QuotaExhausted { provider: NAME },
        Failure::Throttled => ProviderError::Throttled { provider: NAME, retry_after: None },
        Failure::Refused => ProviderError::Refused { provider: NAME, status: 403 },
        Failure::Expired => ProviderError::Expired { provider: NAME },
        Failure::Benign | Failure::Other => garbled("the events that we send to be right"),
    }
}

/// What an error of the connection means for the session.
pub(super) fn fault(error: &Error) -> ProviderError {
    match error {
        Error::Io(error) if error.kind() == io::ErrorKind::UnexpectedEof => dropped(None),
        Error::Io(error) => ProviderError::Unreachable { provider: NAME, cause: error.kind() },
        Error::Http(response) => {
            let status = response.status().as_u16();
            let seconds = response.headers().get(header::RETRY_AFTER).and_then(|value| value.to_str().ok());
            let retry_after = seconds.and_then(|text| text.parse().ok()).map(Duration::from_secs);
            match status {
                429 => ProviderError::Throttled { provider: NAME, retry_after },
                status => ProviderError::Refused { provider: NAME, status },
            }
        }
        Error::ConnectionClosed | Error::AlreadyClosed | Error::Protocol(_) => dropped(None),
        Error::WriteBufferFull(_) => {
            ProviderError::TimedOut { provider: NAME, after: Duration::from_secs(30) }
        }
        _ => garbled("messages of RFC 6455"),
    }
}

pub(super) fn dropped(code: Option<u16>) -> ProviderError {
    ProviderError::Dropped { provider: NAME, code }
}

pub(super) fn garbled(what: &'static str) -> ProviderError {
    ProviderError::Garbled { provider: NAME, what }
}

fn unreachable(error: io::Error) -> ProviderError {
    ProviderError::Unreachable { provider: NAME, cause: error.kind() }
}

/// A connection with or without TLS.
pub(super) enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
            Self::Tls(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(context),
            Self::Tls(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connector(base_url: &str, key: Option<&str>) -> Result<Connector, BadEndpoint> {
        let config = OpenAiConfig {
            base_url: base_url.to_owned(),
            key: key.map(|key| super::super::ApiKey::new(key.to_owned())),
            model: String::new(),
            voice: None,
            transcription: None,
            dialect: Dialect::Current,
            frames: None,
        };
        Connector::new(&config, "a model&x=1")
    }

    #[test]
    fn the_base_url_leads_to_a_host_a_port_and_a_path() {
        for (url, host, port, path) in [
            ("ws://127.0.0.1:9090/v1", "127.0.0.1", 9_090, "/v1/realtime?model=amodelx=1"),
            ("ws://localhost/v1/", "localhost", 80, "/v1/realtime?model=amodelx=1"),
            ("ws://[::1]:1/x", "::1", 1, "/x/realtime?model=amodelx=1"),
        ] {
            let connector = connector(url, Some("sk-1")).unwrap();
            assert_eq!((connector.host.as_str(), connector.port), (host, port));
            assert_eq!(connector.request.uri().path_and_query().unwrap(), path);
            assert_eq!(connector.request.headers()[header::AUTHORIZATION], "Bearer sk-1");
        }
    }

    #[test]
    fn what_is_no_place_to_talk_to_is_refused() {
        for url in [
            "",
            "https://api.openai.com/v1",
            "wss://",
            "nonsense",
            "ws://api.example.com/v1",
            "ws://192.0.2.1/",
        ] {
            assert!(connector(url, None).is_err(), "{url}");
        }
        assert_eq!(connector("ws://127.0.0.1/v1", Some("a\nb")).err(), Some(BadEndpoint::Key));
    }
}
