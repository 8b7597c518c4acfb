//! More calls than the machine takes: those that are up stay up, the others are told so at once.

use std::collections::HashMap;
use std::net::UdpSocket;
use std::time::{Duration, Instant};

use crate::rig::service::write;
use crate::rig::{Home, Message, Phone, SOON};

const HARBOR: &str = "+12025550101";
const FLOOD: usize = 3_000;

#[test]
fn a_flood_of_calls_is_turned_away_and_the_call_that_is_up_doesnt_notice() {
    let home = Home::new();
    let config = write(
        &home,
        "offhook.toml",
        "[service]\ndemo_trunk = true\n[overload]\ncalls_setting_up = 20\nretry_after_seconds = 7\n",
    );
    let service = home.start_with(&["--config", config.to_str().unwrap()]);
    let mut up = Phone::call(&service, HARBOR);

    let flood = UdpSocket::bind("127.0.0.1:0").unwrap();
    flood.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    let mut template = Phone::at(service.sip);
    let sdp = template.offer();
    let invite = template.first_invite(HARBOR, &sdp, "");
    let (mut sent, mut answers) = (HashMap::new(), HashMap::new());
    let (mut refused, mut accepted, mut slowest) = (0, 0, Duration::ZERO);
    let mut datagram = vec![0; 65_536];
    let mut take = |answers: &mut HashMap<String, u16>, sent: &HashMap<String, Instant>, datagram: &[u8]| {
        let answer = Message::parse(datagram);
        let id = answer.header("Call-ID").to_owned();
        let Some(status) = answer.status().filter(|status| *status >= 200) else { return };
        if answer.method() != "INVITE" || answers.insert(id.clone(), status).is_some() {
            return;
        }
        if status == 503 {
            refused += 1;
            assert_eq!(answer.header("Retry-After"), "7", "{answer:?}");
            slowest = slowest.max(sent[&id].elapsed());
        } else {
            assert_eq!(status, 200, "{answer:?}");
            accepted += 1;
        }
    };
    flood.set_nonblocking(true).unwrap();
    for n in 0..FLOOD {
        let id = format!("flood{n}@telephone.test");
        let invite = invite
            .replace(&template.call_id, &id)
            .replacen("branch=z9hG4bK", &format!("branch=z9hG4bKflood{n}"), 1)
            .replace(&template.local().to_string(), &flood.local_addr().unwrap().to_string());
        sent.insert(id, Instant::now());
        // A full buffer loses it, as a network would.
        let _ = flood.send_to(invite.as_bytes(), service.sip);
        while let Ok(length) = flood.recv(&mut datagram) {
            take(&mut answers, &sent, &datagram[..length]);
        }
    }
    let ended = Instant::now();
    // The next call, within a second of the flood's end, as a telephone dials it.
    let mut next = Phone::at(service.sip);
    let answer = loop {
        let answer = next.dial(HARBOR);
        if answer.status() == Some(200) || ended.elapsed() > Duration::from_secs(1) {
            break answer;
        }
        next = Phone::at(service.sip);
    };
    assert_eq!(answer.status(), Some(200), "{answer:?}");
    assert!(ended.elapsed() < Duration::from_secs(1), "{:?}", ended.elapsed());
    flood.set_nonblocking(false).unwrap();
    while let Ok(length) = flood.recv(&mut datagram) {
        take(&mut answers, &sent, &datagram[..length]);
    }
    println!("of {FLOOD}: {accepted} accepted, {refused} refused, the slowest after {slowest:?}");
    assert!(refused > 0, "{accepted} accepted and none refused");
    assert!(slowest < Duration::from_millis(500), "{slowest:?}");
    assert_eq!(service.metric("offhook_sip_shed_total"), refused);

    next.hang_up();
    up.media.listen(Duration::from_millis(200), SOON);
    up.hang_up();
    service.wait_for_metric("offhook_overload", 0);
    // Nobody acknowledges the calls that were accepted: they would ring on for half a minute.
    service.kill();
}
