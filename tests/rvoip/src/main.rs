//! rvoip on the other side: as a caller, as the person whom a caller is handed to, and as the
//! telephone that offhook calls. Prints a line for each, and fails with the first that fails.

mod service;

use std::net::UdpSocket;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use rvoip_sip::{AudioReceiver, Config, Event, SessionHandle, StreamPeer};
use serde_json::{Value, json};
use service::Service;
use tokio::time::timeout;

const TENANT: &str = "second-stack";
const DIALED: &str = "+33199000097";
const CALLED: &str = "+33199000098";
/// Everything that a peer waits for.
const SOON: Duration = Duration::from_secs(20);
/// Frames of 20 ms.
const A_SECOND: usize = 50;
/// Louder than comfort noise, softer than speech, as a square root of power.
const SPEECH: f64 = 300.0;

#[tokio::main]
async fn main() -> Result<()> {
    let [caller, person, telephone] = [port()?, port()?, port()?];
    let config = format!(
        "[[trunk]]\nname = \"second\"\nmode = \"peer\"\npeer = \"127.0.0.1:{telephone}\"\nrefer = \"sip\"\n\
         caller_id = \"{DIALED}\"\ndefault_country = \"FR\"\noptions_ping_seconds = 1\n"
    );
    let service = Service::start(&config, &tenant(person), "42000-42100")?;
    let mut alice = peer("alice", caller, 43_000).await?;
    let mut charlie = peer("charlie", person, 43_200).await?;
    let mut bob = peer("bob", telephone, 43_400).await?;

    hears_the_greeting(&service, &mut alice).await.context("a call that the caller ends")?;
    is_handed_over(&service, &mut alice, &mut charlie).await.context("a transfer")?;
    is_called(&service, &mut bob).await.context("a call of offhook's")?;
    for peer in [alice, charlie, bob] {
        peer.shutdown().await?;
    }
    println!("rvoip: all of it went well");
    Ok(())
}

async fn peer(name: &str, port: u16, media: u16) -> Result<StreamPeer> {
    Ok(StreamPeer::with_config(Config::local(name, port).with_media_ports(media, media + 100)).await?)
}

/// A caller hears offhook, and hangs up.
async fn hears_the_greeting(service: &Service, alice: &mut StreamPeer) -> Result<()> {
    let call = dial(service, alice).await?;
    let (_sender, mut receiver) = call.audio().await?.split();
    hears(&mut receiver).await?;
    call.hangup_and_wait(Some(SOON)).await?;
    let calls = service.ended(1).await?;
    ensure!(calls[0]["end_side"] == "caller", "ended by the caller: {}", calls[0]);
    println!("rvoip: called, heard the greeting, hung up");
    Ok(())
}

/// A caller presses a key, is referred to another rvoip, and offhook leaves once they talk.
async fn is_handed_over(service: &Service, alice: &mut StreamPeer, charlie: &mut StreamPeer) -> Result<()> {
    let call = dial(service, alice).await?;
    let (_sender, mut receiver) = call.audio().await?.split();
    hears(&mut receiver).await?;
    call.send_dtmf('1').await?;
    let referred = timeout(SOON, async {
        loop {
            match alice.next_event().await {
                Some(Event::ReferReceived { refer_to, .. }) => return Ok(refer_to),
                Some(_) => {}
                None => bail!("rvoip has no more events"),
            }
        }
    });
    let refer_to = referred.await.context("no REFER")??;
    ensure!(refer_to.contains("charlie@127.0.0.1"), "Refer-To: {refer_to}");
    call.accept_refer().await?;
    // rvoip leaves the new call and the news of it to its user.
    let leg = alice.invite(refer_to.trim_matches(['<', '>'])).send().await?;
    let offered = timeout(SOON, charlie.wait_for_incoming()).await.context("charlie isn't called")??;
    let person = offered.accept().await?;
    timeout(SOON, alice.wait_for_answered(&leg)).await.context("charlie doesn't answer")??;
    call.send_notify(
        "refer",
        Some("SIP/2.0 200 OK\r\n".to_owned()),
        Some("terminated;reason=noresource".to_owned()),
    )
    .await?;
    timeout(SOON, call.wait_for_end(None)).await.context("offhook doesn't leave")??;
    person.hangup_and_wait(Some(SOON)).await?;
    let calls = service.ended(2).await?;
    let transfer = &calls[1]["transfers"][0];
    ensure!(transfer["outcome"] == "succeeded", "the record: {}", calls[1]);
    ensure!(calls[1]["end_side"] == "us", "the record: {}", calls[1]);
    println!("rvoip: pressed a key, was handed over by REFER, offhook left");
    Ok(())
}

/// offhook calls, rvoip answers, hears the greeting, and hangs up.
async fn is_called(service: &Service, bob: &mut StreamPeer) -> Result<()> {
    let made = service.call(CALLED, TENANT)?;
    let offered = timeout(SOON, bob.wait_for_incoming()).await.context("bob isn't called")??;
    // rvoip shows the plus escaped.
    let number = DIALED.trim_start_matches('+');
    ensure!(offered.from.contains(number), "From: {}", offered.from);
    let call: SessionHandle = offered.accept().await?;
    let (_sender, mut receiver) = call.audio().await?.split();
    hears(&mut receiver).await?;
    call.hangup_and_wait(Some(SOON)).await?;
    let calls = service.ended(3).await?;
    ensure!(calls[2]["call_id"] == made["call_id"], "the record: {}", calls[2]);
    ensure!(calls[2]["direction"] == "outbound", "the record: {}", calls[2]);
    println!("rvoip: was called, answered, heard the greeting, hung up");
    Ok(())
}

async fn dial(service: &Service, alice: &mut StreamPeer) -> Result<SessionHandle> {
    let id = alice.invite(format!("sip:{DIALED}@{}", service.sip)).send().await?;
    timeout(SOON, alice.wait_for_answered(&id)).await.context("no answer")??;
    Ok(alice.session(&id))
}

/// Waits for a second of speech.
async fn hears(receiver: &mut AudioReceiver) -> Result<()> {
    let heard = timeout(SOON, async {
        let (mut frames, mut loud) = (0, 0);
        while loud < A_SECOND {
            let frame = receiver.recv().await.context("the audio ended")?;
            frames += 1;
            loud += usize::from(level(&frame.samples) > SPEECH);
        }
        anyhow::Ok(frames)
    });
    let frames = heard.await.context("nothing to be heard")??;
    ensure!(frames < 10 * A_SECOND, "a second of speech within {frames} frames");
    Ok(())
}

fn level(samples: &[i16]) -> f64 {
    let power: f64 = samples.iter().map(|sample| f64::from(*sample).powi(2)).sum();
    (power / samples.len().max(1) as f64).sqrt()
}

fn tenant(person: u16) -> Value {
    let target = format!("sip:charlie@127.0.0.1:{person}");
    json!({
        "tenant": {
            "tenant_id": TENANT, "client_id": TENANT, "display_name": "Second Stack", "summary_to": [],
            "timezone": "Europe/Paris", "locale": "en-US", "voice": {"language": "en-US"},
            "limits": {"outbound_allowed_prefixes": ["+33199"]},
            "features": {"refer": {"enabled": true, "require_confirmation": false, "destinations": [
                {"destination_id": "charlie", "label": "Charlie", "target_uri": target, "priority": 1}
            ]}}
        },
        "numbers": [{"phone_number": DIALED, "tenant_id": TENANT, "client_id": TENANT, "language": "en-US"}]
    })
}

/// A port that was free a moment ago.
fn port() -> Result<u16> {
    Ok(UdpSocket::bind("127.0.0.1:0")?.local_addr()?.port())
}
