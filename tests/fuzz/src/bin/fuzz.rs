//! The fuzzer: `FUZZ_TARGET` says which target, the rest is libFuzzer's command line.

#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
use std::sync::OnceLock;

#[cfg(fuzzing)]
static TARGET: OnceLock<fn(&[u8])> = OnceLock::new();

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(
    init: {
        let name = std::env::var("FUZZ_TARGET").unwrap_or_default();
        #[cfg(feature = "service")]
        let service = offhook_fuzz::SERVICE;
        #[cfg(not(feature = "service"))]
        let service: &[offhook_fuzz::Target] = &[];
        let targets = [offhook_fuzz::CORES, service].concat();
        let Some((_, run)) = targets.iter().find(|(known, _)| *known == name) else {
            let known: Vec<_> = targets.iter().map(|(known, _)| *known).collect();
            eprintln!("FUZZ_TARGET is {name:?}: set it to one of {}", known.join(", "));
            std::process::exit(2);
        };
        TARGET.get_or_init(|| *run);
    },
    |data: &[u8]| {
        if let Some(run) = TARGET.get() {
            run(data);
        }
    }
);

#[cfg(not(fuzzing))]
fn main() {
    eprintln!("built without coverage counters: use tests/fuzz/run");
    std::process::exit(2);
}
