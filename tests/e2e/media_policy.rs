//! Whose media is taken and how it is protected: SRTP by trunk, where media may come from, what is
//! refused and counted.

use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use crate::rig::media::tone;
use crate::rig::service::write;
use crate::rig::{Home, Message, Phone, SOON, Service, eventually, shipped};

const HARBOR: &str = "+12025550101";
const KEY: &str = "d0RmdmcmVCspeEc3QGZiNWpVLFJhQX1cfHAwJSoj";
const OTHER_KEY: &str = "NzB4d1BINUAvLEw6UzF3WSJ+PSdFcGdUJShpX1Zj";

/// A service with one open trunk for this machine, and what else is said of it.
fn start(home: &Home, more: &str) -> Service {
    let text = format!("[[trunk]]\nname = \"t\"\nmode = \"open\"\nsources = [\"127.0.0.0/8\"]\n{more}");
    let config = write(home, "trunk.toml", &text);
    home.start_logging("debug", &["--config", config.to_str().unwrap()])
}

/// The phone's offer with keys, on another profile.
fn secure(phone: &Phone, profile: &str, keys: &str) -> String {
    format!("{}{keys}", phone.offer().replace("RTP/AVP", profile))
}

fn crypto(tag: u32, suite: &str, key: &str) -> String {
    format!("a=crypto:{tag} {suite} inline:{key}\r\n")
}

fn dial_with(phone: &mut Phone, sdp: &str) -> Message {
    let invite = phone.first_invite(HARBOR, sdp, "");
    phone.send(&invite);
    let answer = phone.answer();
    phone.ack(&answer);
    answer
}

fn reinvite(phone: &mut Phone, sdp: &str) -> Message {
    let contact = format!("Contact: <sip:telephone@{}>\r\nContent-Type: application/sdp\r\n", phone.local());
    phone.request("INVITE", &contact, sdp);
    let answer = phone.response();
    phone.ack(&answer);
    answer
}

/// Where the answer wants media.
fn media_address(answer: &Message) -> SocketAddr {
    let line = answer.body.lines().find(|line| line.starts_with("m=audio")).unwrap();
    let port: u16 = line.split(' ').nth(1).unwrap().parse().unwrap();
    SocketAddr::from(([127, 0, 0, 1], port))
}

#[test]
fn where_srtp_is_required_nothing_else_is_taken_and_no_key_is_told() {
    let home = Home::new();
    let service = start(&home, "srtp = \"require\"\n");
    let mut plain = Phone::new(&service);
    let offer = plain.offer();
    assert_eq!(dial_with(&mut plain, &offer).status(), Some(488), "a plain offer");

    let mut phone = Phone::new(&service);
    let (suite, weaker) = ("AES_CM_128_HMAC_SHA1_80", "AES_CM_128_HMAC_SHA1_32");
    let offered = secure(&phone, "RTP/SAVP", &(crypto(1, suite, KEY) + &crypto(2, weaker, OTHER_KEY)));
    let answer = dial_with(&mut phone, &offered);
    assert_eq!(answer.status(), Some(200), "{answer:?}");
    assert!(answer.body.contains(" RTP/SAVP 8"), "the profile of the offer: {answer:?}");
    let keys: Vec<&str> = answer.body.lines().filter(|line| line.starts_with("a=crypto:")).collect();
    let [line] = keys[..] else { panic!("one key: {answer:?}") };
    let ours = line.strip_prefix(&format!("a=crypto:1 {suite} inline:")).unwrap().to_owned();
    assert!(ours.len() == 40 && ours != KEY, "{line}");

    // The phone's own packets are plain: none of them is believed, and the call goes on.
    eventually("plain packets to be refused", SOON, || {
        (service.metric("offhook_srtp_unauthenticated_total") > 20).then_some(())
    });
    let offer = phone.offer();
    let refused = reinvite(&mut phone, &offer);
    assert_eq!(refused.status(), Some(488), "no way back to plain: {refused:?}");
    let again = reinvite(&mut phone, &offered);
    assert!(again.status() == Some(200) && again.body.contains(&ours), "the key stays: {again:?}");
    phone.hang_up();

    let call =
        eventually("the record", SOON, || home.calls().pop().filter(|call| call.answered_at.is_some()));
    let traced = home.command(&["trace", &call.call_id, "--text"]).output().unwrap();
    let traced = String::from_utf8(traced.stdout).unwrap();
    assert!(traced.contains("a=crypto:1"), "{traced}");
    let log = service.stop();
    for secret in [KEY, OTHER_KEY, ours.as_str()] {
        assert!(!traced.contains(secret) && !log.contains(secret), "a key is told: {secret}");
    }
    let calls = home.calls();
    assert_eq!(calls[0].end().2, "rejected_media");
    let media = calls[1].media.clone().unwrap();
    assert_eq!((media.srtp.as_deref(), media.packets_received), (Some(suite), 0), "{media:?}");
    assert!(media.packets_refused > 20 && media.packets_sent > 20, "{media:?}");
}

#[test]
fn where_srtp_is_offered_it_is_used_with_who_can_and_stays() {
    let home = Home::new();
    let service = start(&home, "srtp = \"offer\"\n");
    let mut phone = Phone::new(&service);
    let plain = phone.offer();
    let answer = dial_with(&mut phone, &plain);
    assert!(answer.status() == Some(200) && !answer.body.contains("a=crypto"), "{answer:?}");
    phone.hang_up();
    // Keys on the plain profile: with who can (RFC 8643).
    let mut phone = Phone::new(&service);
    let offered = secure(&phone, "RTP/AVP", &crypto(3, "AES_CM_128_HMAC_SHA1_32", KEY));
    let answer = dial_with(&mut phone, &offered);
    assert!(answer.body.contains(" RTP/AVP 8") && answer.body.contains("a=crypto:3 "), "{answer:?}");
    let plain = phone.offer();
    assert_eq!(reinvite(&mut phone, &plain).status(), Some(488));
    phone.hang_up();
    service.stop();
}

#[test]
fn where_srtp_is_off_only_plain_offers_are_taken() {
    let home = Home::new();
    let service = start(&home, "");
    let mut phone = Phone::new(&service);
    let offered = secure(&phone, "RTP/SAVP", &crypto(1, "AES_CM_128_HMAC_SHA1_80", KEY));
    assert_eq!(dial_with(&mut phone, &offered).status(), Some(488));
    let mut phone = Phone::new(&service);
    let offered = secure(&phone, "RTP/AVP", &crypto(1, "AES_CM_128_HMAC_SHA1_80", KEY));
    let answer = dial_with(&mut phone, &offered);
    assert!(answer.status() == Some(200) && !answer.body.contains("a=crypto"), "{answer:?}");
    phone.hang_up();
    service.stop();
}

#[test]
fn an_address_of_the_other_family_or_none_stands_for_the_signalling_source() {
    let home = Home::new();
    let service = start(&home, "media_source = \"address\"\n");
    // What linphone offers on a host with both families, whatever its signalling came by.
    for said in ["IN IP6 2001:db8::7", "IN IP6 ::1"] {
        let mut phone = Phone::new(&service);
        let offer = phone.offer().replace("c=IN IP4 127.0.0.1", &format!("c={said}"));
        let answer = dial_with(&mut phone, &offer);
        assert_eq!(answer.status(), Some(200), "{said}: {answer:?}");
        let greeting = shipped::sentence("en-us/thank-you-for-calling-harbor-homes");
        phone.media.hear(said, &greeting, 0, SOON);
        phone.hang_up();
    }
    service.stop();
    for call in home.calls() {
        let media = call.media.unwrap();
        assert!(media.packets_received > 50 && media.packets_refused == 0, "{media:?}");
    }
}

/// Sends a stream that isn't the caller's: loud audio, and a key.
fn inject(from: &UdpSocket, to: SocketAddr, first: u16) {
    for sequence in first..first + 40 {
        let mut packet = vec![0x80, if sequence % 4 == 0 { 96 } else { 8 }];
        packet.extend(sequence.to_be_bytes());
        packet.extend((u32::from(sequence) * 160).to_be_bytes());
        packet.extend(0x0bad_0bad_u32.to_be_bytes());
        match sequence % 4 {
            // The end of key 1.
            0 => packet.extend([1, 0x8a, 3, 0x20]),
            _ => packet.extend([0x2a; 160]),
        }
        from.send_to(&packet, to).unwrap();
    }
}

#[test]
fn a_stream_from_elsewhere_is_dropped_and_counted_before_the_first_packet_and_after_a_new_offer() {
    let home = Home::new();
    let service = start(&home, "");
    let stranger = UdpSocket::bind(("127.0.0.66", 0)).unwrap();
    let mut phone = Phone::new(&service);
    let offer = phone.offer();
    let invite = phone.first_invite(HARBOR, &offer, "");
    phone.send(&invite);
    let answer = phone.answer();
    inject(&stranger, media_address(&answer), 0);
    phone.ack(&answer);
    let greeting = shipped::sentence("en-us/thank-you-for-calling-harbor-homes");
    phone.media.hear("the greeting", &greeting, 0, SOON);
    inject(&stranger, media_address(&answer), 40);
    let answer = reinvite(&mut phone, &offer);
    assert_eq!(answer.status(), Some(200), "{answer:?}");
    inject(&stranger, media_address(&answer), 80);
    let refused = || service.metric("offhook_rtp_refused_total");
    eventually("all of it to be refused", SOON, || (refused() == 120).then_some(()));
    phone.hang_up();
    service.stop();
    let record = home.only_call();
    assert_eq!(record.keys(), "", "a stranger presses no keys");
    let media = record.media.unwrap();
    assert_eq!(media.packets_refused, 120, "{media:?}");
    assert!(media.packets_received > 50 && media.mos.is_some_and(|mos| mos > 4.0), "{media:?}");
    assert_eq!((media.codec.as_deref(), media.concealed_ms), (Some("PCMA"), 0), "{media:?}");
}

/// A key as a telephone plays it (ITU-T Q.23), and the pause after it.
fn touch_tone(low: f64, high: f64) -> Vec<i16> {
    let length = Duration::from_millis(100);
    let both = tone(low, length).into_iter().zip(tone(high, length));
    both.map(|(low, high)| low / 2 + high / 2).chain([0; 1_600]).collect()
}

#[test]
fn keys_are_heard_in_the_audio_of_who_offers_no_telephone_event() {
    let home = Home::new();
    let service = start(&home, "ptime_ms = 30\n");
    let mut phone = Phone::new(&service);
    let offer = phone.offer().replace("RTP/AVP 8 96", "RTP/AVP 8");
    let offer: String =
        offer.lines().filter(|line| !line.contains(":96 ")).map(|line| format!("{line}\r\n")).collect();
    let answer = dial_with(&mut phone, &offer);
    assert!(answer.status() == Some(200) && !answer.body.contains("telephone-event"), "{answer:?}");
    phone.media.listen(Duration::from_millis(300), SOON);
    // 4, then #: neither means anything in the menu.
    phone.media.say(&[touch_tone(770.0, 1_209.0), touch_tone(941.0, 1_477.0)].concat());
    phone.media.said(SOON);
    phone.media.listen(Duration::from_millis(500), SOON);
    phone.hang_up();
    let log = service.stop();
    let record = home.only_call();
    assert_eq!(record.keys(), "4#", "{log}");
}
