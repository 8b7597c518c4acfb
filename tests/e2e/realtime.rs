//! Conversations with a realtime model, over real SIP and RTP, against the simulated server.

use std::time::Duration;

use serde_json::json;

use crate::rig::realtime::{NUMBER, Simulator, service};
use crate::rig::{Home, Phone, SOON, seed, shipped};

/// Turns of plain tones, so that what is heard is known to the millisecond.
fn script(turns: &str) -> String {
    format!("voice = 'tone'\n[pace]\nfirst_audio_ms = 100\nchunk_ms = 200\ntranscript_ms = 100\n{turns}")
}

/// A person saying something: about two seconds of speech.
fn question() -> Vec<u8> {
    shipped::sentence("en-us/for-the-agent-on-duty-press-3")
}

/// A phone that has heard the greeting to its end.
fn greeted(service: &crate::rig::Service, simulator: &Simulator) -> Phone {
    let phone = Phone::call(service, NUMBER);
    simulator.wait_for("response.create", 1);
    phone.media.wait_for_sound(SOON);
    phone.media.wait_for_silence(Duration::from_millis(400), SOON);
    phone
}

#[test]
fn the_model_greets_and_answers_a_question() {
    let home = Home::new();
    let simulator =
        Simulator::start(&home, &script("[[turn]]\nheard = 'What are your hours?'\nsay = 'Nine to five.'\n"));
    let service = service(&home, &simulator.url, &json!({}));
    let mut phone = greeted(&service, &simulator);
    let settings = simulator.wait_for("session.update", 1).event["session"].clone();
    assert_eq!(settings["audio"]["input"]["format"], json!({"type": "audio/pcma"}));
    assert_eq!(settings["audio"]["input"]["turn_detection"]["create_response"], false);
    assert_eq!(settings["tools"][0]["name"], "transfer_call");
    let greeting = simulator.wait_for("response.create", 1).event["response"].clone();
    assert!(greeting["instructions"].as_str().unwrap().ends_with("\nHello, this is the shop."));

    phone.media.say_coded(&question());
    phone.media.said(SOON);
    simulator.wait_for("response.create", 2);
    phone.media.wait_for_sound(SOON);
    phone.media.wait_for_silence(Duration::from_millis(400), SOON);
    assert_eq!(simulator.all("conversation.item.truncate").len(), 0);
    phone.hang_up();
    service.stop();
    let record = home.only_call();
    assert_eq!(record.end(), ("completed", "caller", "caller_hangup"));
    let said: Vec<&str> = record.transcript.iter().map(|turn| turn.text.as_str()).collect();
    assert_eq!(said, ["Hello, this is the shop.", "What are your hours?", "Nine to five."]);
    let latency = record.transcript[2].latency_ms.unwrap();
    assert!((500..2_000).contains(&latency), "{latency} ms");
    println!("{latency} ms from the last sound to the first");
}

#[test]
fn an_interruption_stops_the_agent_and_its_memory_ends_where_the_caller_heard_it_end() {
    let home = Home::new();
    let simulator = Simulator::start(&home, &script("[[turn]]\nheard = 'Tell me.'\nsay_ms = 20000\n"));
    let service = service(&home, &simulator.url, &json!({}));
    let mut phone = greeted(&service, &simulator);
    phone.media.say_coded(&question());
    phone.media.said(SOON);
    let from = phone.media.wait_for_sound(SOON);
    phone.media.listen(Duration::from_secs(1), SOON);
    phone.media.say_coded(&question());
    let truncated = simulator.wait_for("conversation.item.truncate", 1).event;
    phone.media.wait_for_silence(Duration::from_millis(400), SOON);
    let heard_ms = phone.media.heard_since(from);
    let kept_ms = truncated["audio_end_ms"].as_i64().unwrap();
    // What faded away isn't counted as heard.
    let difference = heard_ms - kept_ms;
    println!("heard {heard_ms} ms, kept {kept_ms} ms");
    assert!((-20..=60).contains(&difference), "heard {heard_ms} ms, kept {kept_ms} ms");
    phone.hang_up();
    service.stop();
}

#[test]
fn a_cough_doesnt_stop_the_agent() {
    let home = Home::new();
    // What is heard the second time can't be transcribed.
    let turns = "[[turn]]\nheard = 'Go on.'\nsay_ms = 8000\n[[turn]]\nsay_ms = 1000\n";
    let simulator = Simulator::start(&home, &script(turns));
    let service = service(&home, &simulator.url, &json!({}));
    let mut phone = greeted(&service, &simulator);
    phone.media.say_coded(&question());
    phone.media.said(SOON);
    phone.media.wait_for_sound(SOON);
    phone.media.listen(Duration::from_secs(1), SOON);
    phone.media.say_coded(&question()[4_000..5_200]);
    phone.media.listen(Duration::from_secs(3), SOON);
    phone.media.wait_for_sound(SOON);
    assert_eq!(simulator.all("conversation.item.truncate").len(), 0);
    assert_eq!(simulator.all("response.cancel").len(), 0);
    phone.hang_up();
    service.stop();
}

#[test]
fn a_connection_that_is_dropped_is_made_again_and_the_conversation_goes_on() {
    let home = Home::new();
    let turns = "[[turn]]\nheard = 'One.'\nsay_ms = 3000\ndrop_after_ms = 600\n[[turn]]\nsay_ms = 1500\n";
    let simulator = Simulator::start(&home, &script(turns));
    let service = service(&home, &simulator.url, &json!({}));
    let mut phone = greeted(&service, &simulator);
    phone.media.say_coded(&question());
    phone.media.said(SOON);
    let again = simulator.wait_for("session.update", 2);
    assert_eq!(again.session, 1);
    let replayed = simulator.wait_for("conversation.item.create", 1);
    assert_eq!(replayed.event["item"]["content"][0]["text"], "Hello, this is the shop.");
    phone.media.wait_for_sound(SOON);
    phone.media.wait_for_silence(Duration::from_millis(1_500), SOON);
    phone.hang_up();
    service.stop();
    assert_eq!(home.only_call().end(), ("completed", "caller", "caller_hangup"));
}

#[test]
fn when_the_server_is_gone_for_good_the_builtin_agent_takes_over() {
    let home = Home::new();
    let mut simulator = Simulator::start(&home, &script("[[turn]]\nsay_ms = 1000\n"));
    let service = service(&home, &simulator.url, &json!({}));
    let mut phone = greeted(&service, &simulator);
    let from = phone.media.now();
    simulator.kill();
    let sorry = shipped::sentence("en-us/sorry-i-have-a-technical-problem");
    let from = phone.media.hear("the apology", &sorry, from, Duration::from_secs(7));
    let message = shipped::sentence("en-us/to-leave-a-message-press-9");
    phone.media.hear("the choices", &message, from, SOON);
    phone.hang_up();
    service.stop();
}

#[test]
fn a_server_that_refuses_leaves_the_call_to_the_builtin_agent_from_the_start() {
    let home = Home::new();
    let simulator = Simulator::start(&home, "connect = { refuse_status = 503 }\n[[turn]]\nsay_ms = 1000\n");
    let service = service(&home, &simulator.url, &json!({}));
    let mut phone = Phone::call(&service, NUMBER);
    let message = shipped::sentence("en-us/to-leave-a-message-press-9");
    phone.media.hear("the choices", &message, 0, Duration::from_secs(15));
    phone.hang_up();
    service.stop();
}

#[test]
fn the_model_transfers_the_caller() {
    let home = Home::new();
    let turns = "[[turn]]\nheard = 'Sales, please.'\nsay = 'Of course.'\n\
                 call = { name = 'transfer_call', arguments = { destination_id = 'sales', confirmed = true } }\n";
    let simulator = Simulator::start(&home, &script(turns));
    let service = service(&home, &simulator.url, &json!({}));
    let mut phone = greeted(&service, &simulator);
    phone.media.say_coded(&question());
    let refer = phone.expect("REFER", Duration::from_secs(15));
    assert_eq!(refer.uri("Refer-To"), "tel:+33199000099");
    phone.reply(&refer, 202);
    phone.notify("terminated;reason=noresource", "SIP/2.0 200 OK\r\n");
    phone.expect_bye(SOON);
    service.stop();
    assert_eq!(home.only_call().end(), ("completed", "us", "transferred"));
}

#[test]
fn a_server_that_says_nothing_is_talked_over_and_left_for_another_connection() {
    let home = Home::new();
    let turns = "[[turn]]\nheard = 'One.'\nhang = true\n[[turn]]\nsay_ms = 1500\n";
    let simulator = Simulator::start(&home, &script(turns));
    let service = service(&home, &simulator.url, &json!({}));
    let mut phone = greeted(&service, &simulator);
    phone.media.say_coded(&question());
    phone.media.said(SOON);
    simulator.wait_for("response.create", 2);
    let asked = phone.media.now();
    let moment = shipped::sentence("en-us/one-moment-please");
    let told = phone.media.hear("that it takes a moment", &moment, asked, SOON);
    let waited = (told - moment.len() - asked) / 8;
    assert!(waited < 2_300, "{waited} ms of silence");
    let again = simulator.wait_for("response.create", 3);
    assert_eq!(again.session, 1);
    phone.media.wait_for_sound(SOON);
    phone.hang_up();
    service.stop();
    let record = home.only_call();
    assert_eq!(record.agent_faults.len(), 1, "{:?}", record.agent_faults);
    assert!(record.agent_faults[0].fault.contains("didn't answer"), "{:?}", record.agent_faults);
}

#[test]
fn an_account_without_credit_leaves_the_call_to_the_builtin_agent() {
    let home = Home::new();
    let simulator =
        Simulator::start(&home, &script("[[turn]]\nheard = 'One.'\nfail = 'insufficient_quota'\n"));
    let service = service(&home, &simulator.url, &json!({}));
    let mut phone = greeted(&service, &simulator);
    let from = phone.media.now();
    phone.media.say_coded(&question());
    let sorry = shipped::sentence("en-us/sorry-i-have-a-technical-problem");
    phone.media.hear("the apology", &sorry, from, SOON);
    phone.hang_up();
    service.stop();
    let faults: Vec<String> = home.only_call().agent_faults.into_iter().map(|fault| fault.fault).collect();
    assert!(faults[0].contains("quota") && faults[1].contains("builtin"), "{faults:?}");
}

#[test]
fn an_okay_doesnt_stop_the_agent_and_two_tenants_have_two_agents_at_once() {
    let home = Home::new();
    let keypad = seed::scenario(&home, "after-hours.json");
    let turns = "[[turn]]\nheard = 'Go on.'\nsay_ms = 9000\n[[turn]]\nheard = 'Okay.'\nsay_ms = 1000\n";
    let simulator = Simulator::start(&home, &script(turns));
    let service = service(&home, &simulator.url, &json!({}));
    let mut other = Phone::call(&service, &keypad);
    let mut phone = greeted(&service, &simulator);
    phone.media.say_coded(&question());
    phone.media.said(SOON);
    phone.media.wait_for_sound(SOON);
    phone.media.listen(Duration::from_secs(1), SOON);
    // As long as an "okay" takes.
    phone.media.say_coded(&question()[4_000..7_000]);
    phone.media.listen(Duration::from_secs(3), SOON);
    phone.media.wait_for_sound(SOON);
    assert_eq!(simulator.all("response.cancel").len() + simulator.all("conversation.item.truncate").len(), 0);
    let choice = shipped::sentence("en-us/to-leave-a-message-press-9");
    other.media.hear("the choices of the other tenant", &choice, 0, Duration::from_secs(20));
    phone.hang_up();
    other.hang_up();
    service.stop();
}
