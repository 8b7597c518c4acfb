//! Linphone's console softphone without sound card: it plays a file to us and keeps what it hears.
//! On a host with IPv4 and IPv6 it names its IPv6 address in the SDP, whatever it calls.

use std::io::Write;
use std::process::{ChildStdin, Command};
use std::time::Duration;

use tempfile::TempDir;

use crate::audio;
use crate::program::{Mark, Program, SOON, ports};
use crate::service::Service;

struct Linphone {
    program: Program,
    input: ChildStdin,
    directory: TempDir,
}

impl Linphone {
    fn start(transport: &str) -> Self {
        let directory = TempDir::new().unwrap();
        let path = directory.path();
        std::fs::create_dir_all(path.join(".local/share/linphone")).unwrap();
        let port = ports();
        let (udp, tcp) = if transport == "udp" { (port, 0) } else { (0, port) };
        let media = port + 2;
        let rc = format!(
            "[sip]\nsip_port={udp}\nsip_tcp_port={tcp}\nsip_tls_port=0\n[rtp]\naudio_rtp_port={media}\n\
             [audio_codec_0]\nmime=PCMA\nrate=8000\nenabled=1\n"
        );
        std::fs::write(path.join("linphonerc"), rc).unwrap();
        let spec = hound::WavSpec {
            channels: 1,
            sample_rate: 8000,
            bits_per_sample: 16,
            sample_format: hound::SampleFormat::Int,
        };
        let mut silence = hound::WavWriter::create(path.join("silence.wav"), spec).unwrap();
        (0..8000).for_each(|_| silence.write_sample(0_i16).unwrap());
        silence.finalize().unwrap();
        let mut command = Command::new("linphonec");
        command.args(["-d", "0", "-c", "linphonerc"]).current_dir(path).env("HOME", path);
        let (program, mut input) = Program::start_with_input("linphonec", "linphone-cli", &mut command);
        for line in ["soundcard use files", "play silence.wav", "record heard.wav"] {
            writeln!(input, "{line}").unwrap();
        }
        Self { program, input, directory }
    }

    fn tell(&mut self, line: &str) {
        writeln!(self.input, "{line}").unwrap();
    }

    /// Ends it and gives what it heard.
    fn heard(mut self) -> Vec<i16> {
        self.tell("quit");
        self.program.ended(SOON);
        let mut wav = hound::WavReader::open(self.directory.path().join("heard.wav")).unwrap();
        let channels = usize::from(wav.spec().channels);
        assert_eq!(wav.spec().sample_rate, 8000);
        // Its header promises a little more than there is.
        wav.samples::<i16>().map_while(Result::ok).step_by(channels).collect()
    }
}

/// Calls, hears the greeting, presses a key, hangs up.
fn talks(transport: &str) {
    let mut service = Service::start(None);
    let mut phone = Linphone::start(transport);
    let parameter = if transport == "tcp" { ";transport=tcp" } else { "" };
    phone.tell(&format!("call sip:+33199000001@{}{parameter}", service.sip));
    phone.program.line(&["Media streams established"], SOON);
    // The greeting of three seconds, and a menu to press keys at.
    assert!(phone.program.line_within(Mark::default(), &["ended"], Duration::from_secs(6)).is_none());
    phone.tell("9");
    // The beep of a message follows; the call is still there.
    assert!(phone.program.line_within(Mark::default(), &["ended"], Duration::from_secs(2)).is_none());
    phone.tell("terminate");
    phone.program.line(&["ended (No error)"], SOON);
    let heard = phone.heard();
    service.stop();

    let calls = service.calls();
    assert_eq!((calls.len(), &calls[0]["end_side"]), (1, &"caller".into()), "{calls:?}");
    assert_eq!(calls[0]["keys"]["digits"], "9", "{calls:?}");
    assert_eq!(calls[0]["media"]["packets_refused"], 0, "{calls:?}");
    assert!(calls[0]["media"]["packets_received"].as_u64().unwrap() > 200, "{calls:?}");
    let greeting = audio::shipped("fr-fr", "bonjour-lumiere-services");
    // Linphone's buffer gives up 10 ms of its delay in the first second.
    let found = audio::find(&greeting[8_000..], &heard);
    println!("linphone over {transport}: correlation {:.4} at {:.3} s", found.correlation, found.seconds());
    assert!(found.correlation > 0.98, "{found:?}");
}

#[test]
fn linphone_hears_the_greeting_and_its_keys_are_heard_over_udp() {
    talks("udp");
}

#[test]
fn linphone_hears_the_greeting_and_its_keys_are_heard_over_tcp() {
    talks("tcp");
}
