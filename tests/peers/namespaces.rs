//! Three network namespaces: a private network, a router with address translation, and what is
//! public beyond it. Nothing of this machine's own network is touched.

use std::net::Ipv4Addr;
use std::process::Command;
use std::sync::atomic::{AtomicU16, Ordering};

/// The address of whoever is in the private network.
pub const INSIDE: Ipv4Addr = Ipv4Addr::new(10, 77, 1, 2);
/// The router's public address (RFC 5737).
pub const ROUTER: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 1);
/// The address of whoever is in the public network.
pub const OUTSIDE: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 2);

/// The namespaces; they go when it is dropped.
pub struct Nat {
    pub inside: String,
    pub outside: String,
    router: String,
}

impl Nat {
    /// Joins them: inside, router, outside, the router hiding what is inside (MASQUERADE).
    pub fn new() -> Self {
        static NUMBER: AtomicU16 = AtomicU16::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = |place: &str| format!("offhook-{}-{number}-{place}", std::process::id());
        let nat = Self { inside: name("in"), outside: name("out"), router: name("nat") };
        let Self { inside, outside, router } = &nat;
        for namespace in [inside, outside, router] {
            ip(&["netns", "add", namespace]);
            ip(&["-n", namespace, "link", "set", "lo", "up"]);
        }
        join((inside, &format!("{INSIDE}/24")), (router, "10.77.1.1/24"));
        join((router, &format!("{ROUTER}/24")), (outside, &format!("{OUTSIDE}/24")));
        ip(&["-n", inside, "route", "add", "default", "via", "10.77.1.1"]);
        within(router, &["sysctl", "-qw", "net.ipv4.ip_forward=1"]);
        within(
            router,
            &["iptables", "-t", "nat", "-A", "POSTROUTING", "-s", "10.77.1.0/24", "-j", "MASQUERADE"],
        );
        // Whatever comes from the public side unasked doesn't get through, as at home.
        within(router, &["iptables", "-P", "FORWARD", "DROP"]);
        within(router, &["iptables", "-A", "FORWARD", "-s", "10.77.1.0/24", "-j", "ACCEPT"]);
        let known = ["-m", "conntrack", "--ctstate", "ESTABLISHED,RELATED", "-j", "ACCEPT"];
        within(router, &[&["iptables", "-A", "FORWARD"], &known[..]].concat());
        nat
    }
}

impl Drop for Nat {
    fn drop(&mut self) {
        for namespace in [&self.inside, &self.outside, &self.router] {
            let _ = Command::new("ip").args(["netns", "del", namespace]).status();
        }
    }
}

/// A cable from one namespace to another; each end gets the name of the other.
fn join((one, address): (&str, &str), (other, other_address): (&str, &str)) {
    let (near, far) = (end(other), end(one));
    ip(&["link", "add", &near, "netns", one, "type", "veth", "peer", "name", &far, "netns", other]);
    for (namespace, link, address) in [(one, &near, address), (other, &far, other_address)] {
        ip(&["-n", namespace, "address", "add", address, "dev", link]);
        ip(&["-n", namespace, "link", "set", link, "up"]);
    }
}

/// The name of the end that leads to a namespace: its place, the last part of its name.
fn end(namespace: &str) -> String {
    format!("to-{}", namespace.rsplit('-').next().unwrap())
}

fn ip(arguments: &[&str]) {
    run(Command::new("ip").args(arguments));
}

fn within(namespace: &str, command: &[&str]) {
    run(Command::new("ip").args(["netns", "exec", namespace]).args(command));
}

fn run(command: &mut Command) {
    let output = command.output().unwrap_or_else(|error| {
        panic!("{command:?}: {error}. Install iproute2 and iptables, as tests/run does")
    });
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{command:?}: {error}\nNetwork namespaces need root and a kernel with NAT: run the tests as root"
    );
}
