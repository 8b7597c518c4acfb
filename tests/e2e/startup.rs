//! Starting: what is printed, what is found again, and what a start that can't be says.

use std::net::{Ipv4Addr, TcpListener, UdpSocket};

use crate::rig::service::write;
use crate::rig::{Home, Phone};

#[test]
fn the_first_start_prints_what_to_dial_and_the_numbers_answer() {
    let home = Home::new();
    let service = home.start();
    for (number, name) in [
        ("+33199000001", "Lumière Services"),
        ("+12025550101", "Harbor Homes"),
        ("+12025550102", "Maple Street"),
    ] {
        let uri = format!("sip:{number}@{}", service.sip);
        assert!(service.banner().contains(&uri) && service.banner().contains(name), "{}", service.banner());
        Phone::call(&service, number).hang_up();
    }
    service.stop();
    assert_eq!(home.calls().len(), 3);
}

#[test]
fn a_second_start_finds_everything_as_it_was() {
    let home = Home::new();
    let first = home.start();
    Phone::call(&first, "+12025550101").hang_up();
    let numbers = |banner: &str, sip: std::net::SocketAddr| -> Vec<String> {
        let host = sip.to_string();
        banner.lines().filter(|line| line.contains("  sip:+")).map(|line| line.replace(&host, "")).collect()
    };
    let (told, before) = (numbers(first.banner(), first.sip), first.http);
    first.stop();
    let calls = format!("{:?}", home.calls());

    let second = home.start();
    assert_ne!(second.http, before);
    assert_eq!(numbers(second.banner(), second.sip), told);
    assert_eq!(format!("{:?}", home.calls()), calls);
    Phone::call(&second, "+12025550102").hang_up();
    second.stop();
    assert_eq!(home.calls().len(), 2);
}

#[test]
fn a_busy_sip_port_is_told_with_its_flag() {
    let udp = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let tcp = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    for busy in [udp.local_addr().unwrap(), tcp.local_addr().unwrap()] {
        let said = Home::new().fails(&["--sip", &busy.to_string(), "--http", "127.0.0.1:0"]);
        assert!(said.contains("--sip") && said.contains(&busy.to_string()), "{said}");
        assert_eq!(said.lines().count(), 1, "{said}");
    }
}

#[test]
fn a_busy_http_port_is_told_with_its_flag() {
    let tcp = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let busy = tcp.local_addr().unwrap().to_string();
    let said = Home::new().fails(&["--sip", "127.0.0.1:0", "--http", &busy]);
    assert!(said.contains("--http") && said.contains(&busy), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
}

#[test]
fn a_data_directory_that_is_in_use_is_refused() {
    let home = Home::new();
    let service = home.start();
    let said = home.fails(&["--sip", "127.0.0.1:0", "--http", "127.0.0.1:0"]);
    assert!(said.contains(&home.path().display().to_string()), "{said}");
    Phone::call(&service, "+12025550101").hang_up();
    service.stop();
    assert_eq!(home.only_call().end(), ("completed", "caller", "caller_hangup"));
}

#[test]
fn a_wrong_configuration_stops_the_start_with_file_line_and_what_to_write() {
    let home = Home::new();
    let wrong = "[service]\nsip = \"127.0.0.1:0\"\nhtpp = \"127.0.0.1:0\"\n\n\
                 [[trunk]]\nname = \"carrier\"\nmode = \"registr\"\n";
    let path = write(&home, "wrong.toml", wrong);
    let said = home.fails(&["--config", path.to_str().unwrap()]);
    for expected in ["wrong.toml:3:", "http", "wrong.toml:7:", "register"] {
        assert!(said.contains(expected), "{expected:?} isn't in: {said}");
    }

    let path = write(&home, "broken.toml", "[service]\nsip = \n");
    let said = home.fails(&["--config", path.to_str().unwrap()]);
    assert!(said.contains("broken.toml:2:"), "{said}");

    let missing = home.path().join("missing.toml");
    let said = home.fails(&["--config", missing.to_str().unwrap()]);
    assert!(said.contains("missing.toml"), "{said}");
}

#[test]
fn commands_before_the_first_start_say_what_to_do() {
    let home = Home::new();
    for (command, advice) in [("calls", "start the service"), ("trunks", "offhook serve")] {
        let output = home.command(&[command]).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && said.contains(advice), "{said}");
    }
}
