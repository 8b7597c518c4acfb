//! `offhook trace`: the signalling of calls, as the running service saw it.

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::{Value, json};

use super::{Common, control};
use crate::ids::CallId;
use crate::trace::{Message, Trace, ladder, pcap, pcap_file, text_file};

/// Flags of `offhook trace`.
#[derive(Debug, Args)]
pub(crate) struct Flags {
    /// The call, by its id in `offhook calls` or by its SIP Call-ID; without one, the calls whose
    /// messages are held are listed.
    #[arg(value_name = "CALL")]
    call: Option<String>,
    /// As one JSON document.
    #[arg(long, conflicts_with = "text")]
    json: bool,
    /// The ladder and every message in full.
    #[arg(long)]
    text: bool,
    /// Write a capture for Wireshark and others; `-` for standard output.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["json", "text"])]
    pcap: Option<PathBuf>,
    /// Keep the trace with the service's data.
    #[arg(long, requires = "call")]
    store: bool,
    /// Every message of every call from now on, into --pcap FILE.
    #[arg(long, requires = "pcap", conflicts_with_all = ["call", "store"])]
    all: bool,
    /// How long, with --all.
    #[arg(long, value_name = "N", default_value_t = 60, requires = "all",
          value_parser = clap::value_parser!(u32).range(1..=86_400))]
    seconds: u32,
}

pub(crate) fn run(common: &Common, flags: &Flags) -> Result<(), String> {
    let data = super::serve::data_directory(common)?;
    match (&flags.call, &flags.pcap) {
        (None, Some(file)) if flags.all => capture(&data, file, flags.seconds),
        (None, Some(_)) => Err("name a call, or write --all to capture every call".to_owned()),
        (None, None) => list(&data, flags.json),
        (Some(call), _) if flags.store => store(&data, call),
        (Some(call), _) => show(&data, call, flags),
    }
}

fn list(data: &Path, as_json: bool) -> Result<(), String> {
    let answer = control::ask(data, "traces")?;
    let traces = answer.get("traces").and_then(Value::as_array).cloned().unwrap_or_default();
    if as_json {
        println!("{}", Value::Array(traces));
        return Ok(());
    }
    let mut out = std::io::stdout().lock();
    let _ = writeln!(
        out,
        "{:<12} {:<36} {:<22} {:>8} {:<22} LAST",
        "BEGAN (UTC)", "CALL", "PEER", "MESSAGES", "FIRST"
    );
    for trace in traces {
        let text = |name: &str| trace.get(name).and_then(Value::as_str).unwrap_or("-").to_owned();
        let number = |name: &str| trace.get(name).and_then(Value::as_u64).unwrap_or_default();
        let began = i64::try_from(number("began")).ok().and_then(chrono::DateTime::from_timestamp_micros);
        let name = Some(text("call")).filter(|call| call != "-").unwrap_or_else(|| text("sip_call_id"));
        // Whoever reads has had enough, as `head` has.
        let written = writeln!(
            out,
            "{:<12} {:<36} {:<22} {:>8} {:<22.22} {}",
            began.unwrap_or_default().format("%H:%M:%S%.3f").to_string(),
            name.escape_debug().to_string(),
            text("peer"),
            number("messages"),
            text("first"),
            text("last"),
        );
        if written.is_err() {
            break;
        }
    }
    Ok(())
}

fn show(data: &Path, call: &str, flags: &Flags) -> Result<(), String> {
    let Some(trace) = find(data, call)? else {
        return show_stored(data, call, flags);
    };
    match &flags.pcap {
        Some(file) => write(file, &pcap::file(&trace.messages)),
        None if flags.json => {
            println!("{}", to_json(&trace));
            Ok(())
        }
        None => {
            let text = if flags.text { ladder::in_full(&trace) } else { ladder::draw(&trace) };
            let _ = std::io::stdout().lock().write_all(text.as_bytes());
            Ok(())
        }
    }
}

/// The call's messages, when the service still holds them.
fn find(data: &Path, call: &str) -> Result<Option<Trace>, String> {
    // A service that doesn't run holds nothing; what it stored is still there.
    let answer = match control::ask(data, &format!("trace {call}")) {
        Ok(answer) => answer,
        Err(error) => return if stored(data, call).is_some() { Ok(None) } else { Err(error) },
    };
    let Some(trace) = answer.get("trace").filter(|trace| !trace.is_null()) else { return Ok(None) };
    let number = |name: &str| trace.get(name).and_then(Value::as_u64).unwrap_or_default();
    let text = |name: &str| trace.get(name).and_then(Value::as_str);
    let messages = trace.get("messages").and_then(Value::as_array).into_iter().flatten();
    let messages = messages.map(Message::from_wire).collect::<Result<Vec<Message>, _>>();
    Ok(Some(Trace {
        sip_call_id: text("sip_call_id").unwrap_or_default().as_bytes().to_vec(),
        call: text("call").and_then(|call| call.parse().ok()),
        messages: messages.map_err(|error| error.to_string())?,
        omitted: number("omitted"),
        before_gap: usize::try_from(number("before_gap")).unwrap_or_default(),
    }))
}

fn stored(data: &Path, call: &str) -> Option<CallId> {
    call.parse().ok().filter(|call| data.join(pcap_file(*call)).exists())
}

fn show_stored(data: &Path, call: &str, flags: &Flags) -> Result<(), String> {
    let Some(call) = stored(data, call) else {
        return Err(format!(
            "no messages of {call} are held: calls are forgotten some minutes after their end \
             (`keep_minutes` and `memory_mb` of [trace]); `offhook trace` lists those that are held"
        ));
    };
    let file = if flags.pcap.is_some() { pcap_file(call) } else { text_file(call) };
    let path = data.join(file);
    if flags.json {
        return Err(format!("the trace was stored and isn't held any more: read {}", path.display()));
    }
    let bytes = std::fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    write(flags.pcap.as_deref().unwrap_or(Path::new("-")), &bytes)
}

fn store(data: &Path, call: &str) -> Result<(), String> {
    let answer = control::ask(data, &format!("store-trace {call}"))?;
    match answer.get("stored").and_then(Value::as_str) {
        Some(path) => {
            println!("{path}");
            Ok(())
        }
        None => Err(format!(
            "no messages of {call} could be stored: they aren't held any more, or belong to no call of a \
             tenant, or the disk doesn't take them (the service's log says so)"
        )),
    }
}

fn capture(data: &Path, file: &Path, seconds: u32) -> Result<(), String> {
    let mut out: Box<dyn Write> = if file == Path::new("-") {
        Box::new(std::io::stdout().lock())
    } else {
        let file = std::fs::File::create(file).map_err(|error| format!("{}: {error}", file.display()))?;
        Box::new(std::io::BufWriter::new(file))
    };
    let failed = |error: std::io::Error| format!("the capture can't be written: {error}");
    let lines = control::follow(data, &format!("follow {seconds}"))?;
    out.write_all(pcap::header()).and_then(|()| out.flush()).map_err(failed)?;
    let (mut messages, mut dropped) = (0_u64, 0);
    for line in lines {
        let line = line?;
        if let Some(count) = line.get("dropped").and_then(Value::as_u64) {
            dropped = count;
        } else if line.get("following").is_none() {
            let message = Message::from_wire(&line).map_err(|error| error.to_string())?;
            // At once, so that what was captured is there when this is interrupted.
            out.write_all(&pcap::record(&message)).and_then(|()| out.flush()).map_err(failed)?;
            messages += 1;
        }
    }
    let lost =
        if dropped > 0 { format!(", {dropped} more were left out: too many at once") } else { String::new() };
    let _ = writeln!(std::io::stderr(), "{messages} message(s){lost}");
    Ok(())
}

fn write(file: &Path, bytes: &[u8]) -> Result<(), String> {
    if file == Path::new("-") {
        // Whoever reads has had enough.
        let _ = std::io::stdout().lock().write_all(bytes);
        return Ok(());
    }
    std::fs::write(file, bytes).map_err(|error| format!("{}: {error}", file.display()))
}

fn to_json(trace: &Trace) -> Value {
    json!({
        "call": trace.call.map(|call| call.to_string()),
        "sip_call_id": String::from_utf8_lossy(&trace.sip_call_id),
        "omitted": trace.omitted,
        "messages": trace.messages.iter().map(Message::to_json).collect::<Vec<Value>>(),
    })
}
