//! More calls than the machine takes: those that are up stay up, the others are told so at once.

use std::collections::HashMap;
use std::net::UdpSocket;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::rig::service::write;
use crate::rig::{Home, Message, Phone, SOON};

const HARBOR: &str = "+12025550101";
/// Calls to it are looked up and refused, so that no flood runs out of RTP ports.
const NOBODY: &str = "+12025550199";
/// Bursts of INVITEs, how many in each, and the time between two.
const BURSTS: usize = 200;
const BURST: usize = 40;
const PAUSE: Duration = Duration::from_millis(10);
/// How many times as many calls are tried at most.
const MOST: usize = 10;

/// When each INVITE was sent, and what it was answered with how long after that.
#[derive(Default)]
struct Flood {
    sent: HashMap<String, Instant>,
    answers: HashMap<String, (u16, Duration)>,
}

impl Flood {
    fn take(&mut self, answer: &Message) {
        let id = answer.header("Call-ID").to_owned();
        let Some(status) = answer.status().filter(|status| *status >= 200) else { return };
        let Some(sent) = self.sent.get(&id).filter(|_| answer.method() == "INVITE") else { return };
        assert!(status == 404 || status == 503, "{answer:?}");
        assert!(status == 404 || answer.header("Retry-After") == "7", "{answer:?}");
        let after = sent.elapsed();
        self.answers.entry(id).or_insert((status, after));
    }

    fn count(&self, wanted: u16) -> usize {
        self.answers.values().filter(|(status, _)| *status == wanted).count()
    }
}

/// Sends the flood and gives it when the last answer has come.
fn pour(phone: &mut Phone, socket: &UdpSocket) -> (Arc<Mutex<Flood>>, std::thread::JoinHandle<()>) {
    let flood = Arc::new(Mutex::new(Flood::default()));
    let (reader, answers) = (socket.try_clone().unwrap(), Arc::clone(&flood));
    reader.set_read_timeout(Some(Duration::from_millis(1_500))).unwrap();
    let reading = std::thread::spawn(move || {
        let mut datagram = vec![0; 65_536];
        while let Ok(length) = reader.recv(&mut datagram) {
            answers.lock().unwrap().take(&Message::parse(&datagram[..length]));
        }
    });
    let sdp = phone.offer();
    let invite = phone.first_invite(NOBODY, &sdp, "");
    let (from, to) = (phone.local().to_string(), socket.local_addr().unwrap().to_string());
    for burst in 0..MOST * BURSTS {
        // A machine that is quick enough for this flood gets a faster one, until it is too much.
        let pause = if burst < BURSTS { PAUSE } else { Duration::from_micros(200) };
        if burst >= BURSTS && flood.lock().unwrap().count(503) > 0 {
            break;
        }
        for n in 0..BURST {
            let id = format!("flood{burst}-{n}@telephone.test");
            let invite = invite
                .replace(&phone.call_id, &id)
                .replacen("branch=z9hG4bK", &format!("branch=z9hG4bKflood{burst}-{n}"), 1)
                .replace(&from, &to);
            flood.lock().unwrap().sent.insert(id, Instant::now());
            // A full buffer loses it, as a network would.
            let _ = socket.send(invite.as_bytes());
        }
        std::thread::park_timeout(pause);
    }
    (flood, reading)
}

#[test]
fn a_flood_of_calls_is_turned_away_and_the_call_that_is_up_doesnt_notice() {
    let home = Home::new();
    let config = write(
        &home,
        "offhook.toml",
        "[service]\ndemo_trunk = true\n[overload]\ncalls_setting_up = 1\nretry_after_seconds = 7\n",
    );
    // A line for each call of the flood would be a flood of its own.
    let service = home.start_logging("warn,offhook::net=info", &["--config", config.to_str().unwrap()]);
    let mut up = Phone::call(&service, HARBOR);
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.connect(service.sip).unwrap();
    let (flood, reading) = pour(&mut Phone::new(&service), &socket);
    let ended = Instant::now();

    // Within a second of the flood's end a call is taken.
    let mut next = Phone::new(&service);
    while next.dial(HARBOR).status() != Some(200) {
        assert!(ended.elapsed() < Duration::from_secs(1), "no call for {:?}", ended.elapsed());
        next = Phone::new(&service);
    }
    assert!(ended.elapsed() < Duration::from_secs(1), "{:?}", ended.elapsed());
    next.hang_up();
    up.media.listen(Duration::from_millis(200), SOON);
    up.hang_up();

    reading.join().unwrap();
    let flood = flood.lock().unwrap();
    let (accepted, refused) = (flood.count(404), flood.count(503));
    let mut waits: Vec<Duration> =
        flood.answers.values().filter(|(status, _)| *status == 503).map(|(_, after)| *after).collect();
    waits.sort();
    println!(
        "of {} or more: {accepted} accepted, {refused} refused; 503 after {:?} at most, {:?} in the middle; \
         lost in the buffer {}; message wait {} us, call wait {} us",
        BURSTS * BURST,
        waits.last(),
        waits.get(waits.len() / 2),
        service.metric("offhook_sip_udp_lost_total"),
        service.metric("offhook_overload_message_wait_us"),
        service.metric("offhook_overload_call_wait_us"),
    );
    assert!(accepted > 0 && refused > 0);
    assert!(waits.last() < Some(&Duration::from_millis(500)), "{waits:?}");
    service.stop();
}
