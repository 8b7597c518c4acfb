//! The process dies without a word, and every call is on record all the same.

use std::collections::HashSet;
use std::time::Duration;

use crate::rig::{Home, Phone, SOON, shipped};

const HARBOR: &str = "+12025550101";

#[test]
fn calls_of_a_killed_process_are_on_record_as_interrupted() {
    let home = Home::new();
    let service = home.start();
    let listening = Phone::call(&service, HARBOR);
    let mut moving = Phone::call(&service, HARBOR);
    moving.media.press('3');
    let refer = moving.expect("REFER", Duration::from_secs(15));
    moving.reply(&refer, 202);
    moving.notify("active;expires=60", "SIP/2.0 180 Ringing\r\n");
    let speaking = Phone::call(&service, HARBOR);
    speaking.media.press('9');
    let prompt = shipped::sentence("en-us/please-leave-your-message");
    speaking.media.hear("the prompt", &prompt, 0, SOON);
    let mut finished = Phone::call(&service, HARBOR);
    finished.hang_up();
    // Only then is it known to have been written.
    service.wait_for_metric("offhook_calls", 3);
    service.kill();

    let service = home.start();
    let after = home.calls();
    assert_eq!(service.metric("offhook_calls_interrupted_total"), 3);
    service.stop();
    assert_eq!(after.len(), 4, "{after:#?}");
    for record in &after {
        let expected = if record.sip_call_id == finished.call_id {
            ("completed", "caller", "caller_hangup")
        } else {
            ("interrupted", record.end_side.as_deref().unwrap_or("-"), "interrupted")
        };
        assert_eq!(record.end(), expected);
        assert!(record.ended_at.is_some() && record.duration_ms.is_some(), "{record:#?}");
    }
    let of = |phone: &Phone| after.iter().find(|record| record.sip_call_id == phone.call_id).unwrap();
    assert!(of(&listening).answered_at.is_some());
    assert_eq!(of(&moving).transfers[0].destination_id, "agent_on_duty");
    let again = home.calls();
    assert_eq!(again.len(), 4, "a second start closes nothing twice");
}

#[test]
fn a_call_is_on_record_once_its_bye_is_answered() {
    let home = Home::new();
    let mut dialed = HashSet::new();
    for _ in 0..3 {
        let service = home.start();
        let mut phone = Phone::call(&service, HARBOR);
        phone.hang_up();
        service.kill();
        dialed.insert(phone.call_id);
    }
    home.start().stop();
    let calls = home.calls();
    let recorded: HashSet<_> = calls.iter().map(|call| call.sip_call_id.clone()).collect();
    assert_eq!(recorded, dialed);
    assert_eq!(calls.len(), dialed.len(), "{calls:#?}");
    for call in &calls {
        // Between the 200 to the BYE and the record lies a moment in which the process may die.
        assert!(matches!(call.end().2, "caller_hangup" | "interrupted"), "{call:#?}");
    }
}

#[test]
fn the_end_of_a_call_is_durable_before_its_dialog_is_forgotten() {
    let home = Home::new();
    let service = home.start();
    let mut phones: Vec<Phone> = (0..5).map(|_| Phone::call(&service, HARBOR)).collect();
    for phone in &mut phones {
        phone.hang_up();
    }
    service.wait_for_metric("offhook_sip_dialogs", 0);
    service.kill();
    home.start().stop();
    let calls = home.calls();
    assert_eq!(calls.len(), 5);
    assert!(calls.iter().all(|call| call.end() == ("completed", "caller", "caller_hangup")), "{calls:#?}");
}
