//! baresip, as a softphone without sound card: it plays a file to us and keeps what it hears.

use std::fmt::Write as _;
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;

use crate::program::{Mark, PORTS, Program, SOON, ports};

/// Its ports, from its first: that one is for SIP, the next for SIP over TLS, whether wanted or
/// not; then the console's, and those for media.
const CONSOLE: u16 = 2;
const MEDIA: u16 = 4;
/// Ends a key press in its console.
const RELEASE: u8 = 4;

/// How often a key is pressed, a second apart, before it is given up.
const PRESSES: usize = 20;

/// A running softphone.
pub struct Baresip {
    pub program: Program,
    /// Not to be reached in another namespace.
    console: Option<TcpStream>,
    directory: TempDir,
    rate: u32,
}

/// How it is set up.
pub struct Phone<'a> {
    /// `PCMU`, `PCMA`, or `G722`, which is heard at 16 kHz.
    pub codec: &'a str,
    /// What it does about SRTP: `srtp`, where possible; `srtp-mand`, always. Without it nothing.
    pub encryption: Option<&'a str>,
    /// `udp`, `tcp` or `tls`.
    pub transport: &'a str,
    /// The authority whose servers it talks to, under TLS.
    pub authority: Option<&'a Path>,
    /// The proxy that its requests go through.
    pub proxy: Option<SocketAddr>,
    /// A second account that answers by itself: its user name.
    pub person: Option<&'a str>,
    /// How long its user is there: the call ends when what the user has to say ends.
    pub says: Duration,
    /// The network interface whose address is in its SDP. Without one it takes the machine's
    /// own on the network, as softphones do, though it calls from 127.0.0.1.
    pub interface: Option<&'a str>,
    /// The first of its ports, to be known before it starts. It takes SIP there.
    pub port: u16,
    /// The network namespace that it runs in, and its address there.
    pub at: Option<(&'a str, Ipv4Addr)>,
    /// Whom it calls as soon as it is ready.
    pub dials: Option<&'a str>,
}

impl Default for Phone<'_> {
    fn default() -> Self {
        Self {
            codec: "PCMA",
            encryption: None,
            transport: "udp",
            authority: None,
            proxy: None,
            person: None,
            interface: None,
            says: Duration::from_secs(60),
            port: ports(),
            at: None,
            dials: None,
        }
    }
}

impl Baresip {
    pub fn start(phone: &Phone<'_>) -> Self {
        let directory = TempDir::new().unwrap();
        let console = phone.port + CONSOLE;
        let path = directory.path();
        write_silence(&path.join("silence.wav"), phone.rate(), phone.says);
        std::fs::write(path.join("accounts"), phone.accounts()).unwrap();
        std::fs::write(path.join("config"), phone.config(&path.display().to_string(), console)).unwrap();
        let mut command = crate::program::command("baresip", phone.at.map(|(namespace, _)| namespace));
        command.arg("-v").arg("-f").arg(path);
        if let Some(uri) = phone.dials {
            command.arg("-e").arg(format!("/dial {uri}"));
        }
        let program = Program::start("baresip", "baresip-core", &mut command);
        program.line(&["baresip is ready"], SOON);
        let console = phone.at.is_none().then(|| TcpStream::connect((Ipv4Addr::LOCALHOST, console)).unwrap());
        Self { program, console, directory, rate: phone.rate() }
    }

    /// Calls, and waits for the answer.
    pub fn call(&mut self, uri: &str) {
        writeln!(self.console(), "/dial {uri}").unwrap();
        self.program.line(&["Call established"], SOON);
    }

    fn console(&mut self) -> &mut TcpStream {
        self.console.as_mut().expect("a phone in another namespace has no console")
    }

    /// Presses a key and lets go of it, as often as it takes until the program that is watched
    /// prints a line with this text, as a caller does who isn't heard at once.
    pub fn press_until(&mut self, key: u8, watched: Option<&Program>, after: Mark, text: &str) {
        for _ in 0..PRESSES {
            self.console().write_all(&[key, RELEASE]).unwrap();
            let watched = watched.unwrap_or(&self.program);
            if watched.line_within(after, &[text], Duration::from_secs(1)).is_some() {
                return;
            }
        }
        let printed = watched.unwrap_or(&self.program).printed();
        panic!("key {:?} did not lead to {text:?}:\n{printed}", char::from(key));
    }

    /// Hangs up.
    pub fn hang_up(&mut self) {
        self.console().write_all(b"b").unwrap();
    }

    /// Waits for the end of its call.
    pub fn call_ended(&self, within: Duration) -> String {
        self.program.line(&[" terminated (duration"], within)
    }

    /// Ends it and gives what it heard in its only call.
    pub fn heard(mut self) -> Vec<i16> {
        self.program.signal(libc::SIGINT);
        self.program.ended(SOON);
        let files: Vec<PathBuf> = std::fs::read_dir(self.directory.path())
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.to_string_lossy().ends_with("-dec.wav"))
            .collect();
        let [file] = &files[..] else { panic!("recordings: {files:?}\n{}", self.program.printed()) };
        let mut wav = hound::WavReader::open(file).unwrap();
        assert_eq!((wav.spec().sample_rate, wav.spec().channels), (self.rate, 1));
        wav.samples::<i16>().map(Result::unwrap).collect()
    }
}

impl Phone<'_> {
    /// Samples a second.
    fn rate(&self) -> u32 {
        if self.codec == "G722" { 16_000 } else { 8_000 }
    }

    fn address(&self) -> Ipv4Addr {
        self.at.map_or(Ipv4Addr::LOCALHOST, |(_, address)| address)
    }

    fn accounts(&self) -> String {
        let Self { codec, transport, port, .. } = self;
        let address = self.address();
        let mut text = format!(
            "<sip:caller@{address}:{port};transport={transport}>;regint=0;audio_codecs={codec}/{}/1",
            self.rate()
        );
        if let Some(encryption) = self.encryption {
            write!(text, ";mediaenc={encryption}").unwrap();
        }
        if let Some(proxy) = self.proxy {
            write!(text, ";outbound=\"sip:{proxy};transport={transport}\"").unwrap();
        }
        text.push('\n');
        if let Some(person) = self.person {
            writeln!(text, "<sip:{person}@{address}:{port}>;regint=0;answermode=auto").unwrap();
        }
        text
    }

    fn config(&self, directory: &str, console: u16) -> String {
        let mut text = format!(
            "sip_listen {}:{}\ncons_listen 127.0.0.1:{console}\nrtp_ports {}-{}\nsnd_path {directory}\n\
             audio_source aufile,{directory}/silence.wav\naudio_player aubridge,nowhere\n\
             audio_alert aubridge,nowhere\nausrc_srate {rate}\nauplay_srate {rate}\nstatmode_default off\n\
             module_path /usr/lib/baresip/modules\n",
            self.address(),
            self.port,
            self.port + MEDIA,
            self.port + PORTS - 1,
            rate = self.rate(),
        );
        if let Some(interface) = self.interface {
            writeln!(text, "net_interface {interface}").unwrap();
        }
        if let Some(authority) = self.authority {
            writeln!(text, "sip_cafile {}\nsip_verify_server yes", authority.display()).unwrap();
        }
        for module in ["cons", "g711", "g722", "srtp", "aufile", "aubridge", "sndfile"] {
            writeln!(text, "module {module}.so").unwrap();
        }
        text.push_str("module_tmp account.so\nmodule_app menu.so\n");
        text
    }
}

fn write_silence(path: &std::path::Path, rate: u32, length: Duration) {
    let spec = hound::WavSpec {
        channels: 1,
        sample_rate: rate,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let mut wav = hound::WavWriter::create(path, spec).unwrap();
    for _ in 0..length.as_millis() * u128::from(rate / 1000) {
        wav.write_sample(0_i16).unwrap();
    }
    wav.finalize().unwrap();
}
