//! The sockets of the simulated server: one task for each session.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::tungstenite::http::{StatusCode, header};
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, WebSocketConfig};

use super::audio::Sounds;
use super::script::Script;
use super::session::{Out, Session};

/// Lines of the log that wait to be written; more are dropped.
const LOG: usize = 10_000;
/// The longest message: what the reference allows for audio.
const MAX_MESSAGE: usize = 16 << 20;
const APPEND: &str = r#"{"type":"input_audio_buffer.append","audio":""#;

/// How the server runs.
#[derive(Debug, Clone, Default)]
pub struct ServerOptions {
    /// Every event that clients send, as lines of JSON, audio summed up.
    pub log: Option<PathBuf>,
}

/// A server that listens.
pub struct Server {
    listener: TcpListener,
    shared: Arc<Shared>,
}

struct Shared {
    script: Arc<Script>,
    sounds: Sounds,
    connections: AtomicU64,
    /// Where the script goes on after a session that went wrong.
    reached: AtomicUsize,
    log: Option<mpsc::Sender<String>>,
    began: Instant,
}

impl Server {
    /// Listens.
    ///
    /// # Errors
    /// When the address can't be had, or the log can't be written.
    pub async fn bind(address: SocketAddr, script: Script, options: ServerOptions) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let log = match options.log {
            None => None,
            Some(path) => {
                let file = tokio::fs::File::create(path).await?;
                let (log, lines) = mpsc::channel(LOG);
                tokio::spawn(write_log(file, lines));
                Some(log)
            }
        };
        let shared = Arc::new(Shared {
            script: Arc::new(script),
            sounds: Sounds::new(),
            connections: AtomicU64::new(0),
            reached: AtomicUsize::new(0),
            log,
            began: Instant::now(),
        });
        Ok(Self { listener, shared })
    }

    /// Where it listens.
    ///
    /// # Errors
    /// When the system doesn't say.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves until the task is dropped.
    pub async fn run(self) {
        loop {
            match self.listener.accept().await {
                Ok((stream, _)) => {
                    let shared = Arc::clone(&self.shared);
                    tokio::spawn(async move { serve(shared, stream).await });
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection can't be taken");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        }
    }
}

async fn write_log(file: tokio::fs::File, mut lines: mpsc::Receiver<String>) {
    let mut file = tokio::io::BufWriter::new(file);
    while let Some(line) = lines.recv().await {
        if file.write_all(line.as_bytes()).await.is_err() {
            return;
        }
        if lines.is_empty() && file.flush().await.is_err() {
            return;
        }
    }
}

async fn serve(shared: Arc<Shared>, stream: TcpStream) {
    let number = shared.connections.fetch_add(1, Ordering::Relaxed);
    let connect = shared.script.connect.clone();
    let _ = stream.set_nodelay(true);
    if connect.hang {
        // Kept open, in silence.
        tokio::time::sleep(Duration::from_secs(3_600)).await;
        return;
    }
    let mut beta = false;
    let script = Arc::clone(&shared.script);
    let refuse = connect.refuse_status.filter(|_| connect.refuse_first.is_none_or(|first| number < first));
    // The type is the library's.
    #[allow(clippy::result_large_err)]
    let check = |request: &Request, response: Response| -> Result<Response, ErrorResponse> {
        beta = request.headers().contains_key("OpenAI-Beta");
        match refusal(request, &script, refuse) {
            None => Ok(response),
            Some((status, body)) => Err(refused(status, &body)),
        }
    };
    let config = WebSocketConfig::default()
        .read_buffer_size(4 << 10)
        .write_buffer_size(16 << 10)
        .max_message_size(Some(MAX_MESSAGE))
        .max_frame_size(Some(MAX_MESSAGE));
    let accepted = tokio_tungstenite::accept_hdr_async_with_config(stream, check, Some(config)).await;
    let Ok(mut socket) = accepted else { return };
    tokio::time::sleep(Duration::from_millis(connect.delay_ms)).await;
    if beta && !shared.script.beta {
        let error = json!({"type": "error", "event_id": "event_0", "error": {"type": "invalid_request_error", "code": "beta_api_shape_disabled", "message": "The Realtime Beta API is no longer supported.", "param": null, "event_id": null}});
        let _ = socket.send(Message::text(error.to_string())).await;
        let _ = socket.close(None).await;
        return;
    }
    Talker { shared: &shared, number, audio: Vec::new(), audio_ms: 0 }.run(socket, beta).await;
}

fn refusal(request: &Request, script: &Script, status: Option<u16>) -> Option<(StatusCode, Value)> {
    let error = |code: &str, message: &str| json!({"error": {"type": "invalid_request_error", "code": code, "message": message}});
    if let Some(status) = status {
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::SERVICE_UNAVAILABLE);
        return Some((status, error("server_error", "The simulator was told to refuse.")));
    }
    let key = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let key = key.and_then(|value| value.strip_prefix("Bearer ")).unwrap_or_default();
    if !script.keys.is_empty() && !script.keys.iter().any(|known| known == key) {
        return Some((StatusCode::UNAUTHORIZED, error("invalid_api_key", "Incorrect API key provided.")));
    }
    let path = request.uri().path();
    let model = request.uri().query().is_some_and(|query| query.contains("model="));
    if !path.ends_with("/realtime") {
        return Some((StatusCode::NOT_FOUND, error("not_found", "Use /v1/realtime.")));
    }
    if !model {
        return Some((
            StatusCode::BAD_REQUEST,
            error("missing_model", "You must provide a model parameter."),
        ));
    }
    None
}

fn refused(status: StatusCode, body: &Value) -> ErrorResponse {
    let mut response = ErrorResponse::new(Some(body.to_string()));
    *response.status_mut() = status;
    response
}

/// One session and its socket.
struct Talker<'a> {
    shared: &'a Shared,
    number: u64,
    /// The audio of one event; the memory is used again.
    audio: Vec<u8>,
    /// Audio that came since the log was written last.
    audio_ms: u64,
}

impl Talker<'_> {
    async fn run(mut self, mut socket: WebSocketStream<TcpStream>, beta: bool) {
        let mut out = Vec::new();
        let script = Arc::clone(&self.shared.script);
        let mut session = Session::new(script, self.number, beta, Instant::now(), &mut out);
        session.start_at(self.shared.reached.swap(0, Ordering::Relaxed));
        self.talk(&mut socket, &mut session, &mut out).await;
        self.shared.reached.store(session.goes_on_at(), Ordering::Relaxed);
    }

    async fn talk(
        &mut self,
        socket: &mut WebSocketStream<TcpStream>,
        session: &mut Session,
        out: &mut Vec<Out>,
    ) {
        loop {
            if !self.send(socket, out).await {
                return;
            }
            let due = session.due();
            let timer = async {
                match due {
                    Some(due) => tokio::time::sleep_until(due.into()).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                message = socket.next() => {
                    let Some(Ok(message)) = message else { return };
                    let now = Instant::now();
                    match message {
                        Message::Text(text) => self.take(&text, session, now, out),
                        Message::Close(_) => return,
                        _ => {}
                    }
                }
                () = timer => session.expire(Instant::now(), out),
            }
            for wanted in session.take_wanted() {
                let script = &self.shared.script;
                let samples = match &wanted.text {
                    Some(text) => self.shared.sounds.of_text(script, text).await,
                    None => self.shared.sounds.of_turn(script, &wanted.turn).await,
                };
                session.speak(&wanted, &samples, rand::random(), Instant::now());
            }
        }
    }

    fn take(&mut self, text: &str, session: &mut Session, now: Instant, out: &mut Vec<Out>) {
        let quick = text.strip_prefix(APPEND).and_then(|rest| rest.strip_suffix("\"}"));
        if let Some(base64) = quick.filter(|base64| !base64.contains(['"', '\\'])) {
            self.hear(base64, session, now, out);
            return;
        }
        let message: Value = serde_json::from_str(text).unwrap_or(Value::Null);
        if message.get("type").and_then(Value::as_str) == Some("input_audio_buffer.append") {
            let base64 = message.get("audio").and_then(Value::as_str).unwrap_or_default();
            self.hear(base64, session, now, out);
            return;
        }
        self.log(&message);
        session.take(&message, now, out);
    }

    fn hear(&mut self, base64: &str, session: &mut Session, now: Instant, out: &mut Vec<Out>) {
        self.audio.clear();
        if STANDARD.decode_vec(base64, &mut self.audio).is_err() {
            session.take(
                &json!({"type": "input_audio_buffer.append with audio that isn't base64"}),
                now,
                out,
            );
            return;
        }
        self.audio_ms += (self.audio.len() / 8) as u64;
        session.hear(&self.audio, now, out);
    }

    fn log(&mut self, message: &Value) {
        let Some(log) = &self.shared.log else { return };
        let at_ms = self.shared.began.elapsed().as_millis();
        let line =
            json!({"at_ms": at_ms, "session": self.number, "audio_ms": self.audio_ms, "event": message});
        let _ = log.try_send(format!("{line}\n"));
    }

    /// Sends all, and writes once. `false`: the connection is over.
    async fn send(&mut self, socket: &mut WebSocketStream<TcpStream>, out: &mut Vec<Out>) -> bool {
        if out.is_empty() {
            return true;
        }
        for one in out.drain(..) {
            match one {
                Out::Send(text) => {
                    if socket.feed(Message::text(text)).await.is_err() {
                        return false;
                    }
                }
                Out::Close(code, reason) => {
                    let frame = CloseFrame { code: code.into(), reason: reason.into() };
                    let _ = socket.close(Some(frame)).await;
                    return false;
                }
                Out::Drop => {
                    let _ = socket.flush().await;
                    return false;
                }
            }
        }
        socket.flush().await.is_ok()
    }
}
