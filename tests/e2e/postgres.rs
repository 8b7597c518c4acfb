//! The service on PostgreSQL, and what becomes of calls when the server dies.

use crate::cluster::Cluster;
use crate::rig::{Home, Phone, SOON, eventually, shipped};

const HARBOR: &str = "+12025550101";

#[test]
fn a_call_goes_on_while_the_database_is_away_and_its_record_comes_in_later() {
    let cluster = Cluster::start();
    let url = cluster.database();
    let home = Home::new();
    let service = home.start_with(&["--store-url", &url]);
    let mut phone = Phone::call(&service, HARBOR);
    cluster.crash();
    let greeting = shipped::sentence("en-us/thank-you-for-calling-harbor-homes");
    phone.media.hear("the greeting", &greeting, 0, SOON);
    // The number is in memory: new calls are answered as well.
    let mut second = Phone::call(&service, HARBOR);
    second.hang_up();
    phone.hang_up();
    service.wait_for_metric("offhook_calls", 0);
    cluster.up();
    let calls = eventually("both records", SOON, || {
        let output = home.command(&["calls", "--json", "--store-url", &url]).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        (text.matches("\"status\":\"completed\"").count() == 2).then_some(text)
    });
    assert_eq!(calls.lines().count(), 2, "{calls}");
    service.stop();
}

#[test]
fn two_services_share_a_database_and_hear_of_each_others_changes() {
    let cluster = Cluster::start();
    let url = cluster.database();
    let (one, other) = (Home::new(), Home::new());
    let (first, second) = (one.start_with(&["--store-url", &url]), other.start_with(&["--store-url", &url]));
    for service in [&first, &second] {
        Phone::call(service, HARBOR).hang_up();
    }
    let name = |home: &Home| std::fs::read_to_string(home.path().join("node")).unwrap();
    assert_ne!(name(&one), name(&other));
    let output =
        one.command(&["number", "remove", "tenant-demo-0002", HARBOR, "--store-url", &url]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    for service in [&first, &second] {
        eventually("404", std::time::Duration::from_secs(2), || {
            let mut phone = Phone::new(service);
            phone.invite(HARBOR);
            let answer = phone.answer();
            phone.ack(&answer);
            if answer.status() == Some(200) {
                phone.hang_up();
            }
            (answer.status() == Some(404)).then_some(())
        });
    }
    first.stop();
    second.stop();
}
