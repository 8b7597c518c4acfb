//! The audio that ships with the configuration: every sentence that can be said for the tenants
//! in `config/tenants`, so that a fresh checkout talks without a synthesiser.

use std::path::Path;
use std::sync::Arc;

use super::builtin;
use super::speech::{self, RenderError, Rendered, Sentence, SpeechConfig};
use crate::routing::TenantSnapshot;
use crate::tenant::file::TenantFile;

/// Renders the sentences of these tenants into the catalogue's directory, `config/audio`. The
/// next build puts them into the binary.
///
/// # Errors
/// When there is no synthesiser, when it can't speak a sentence, or when a file can't be written.
pub async fn render(
    tenants: &[TenantFile],
    directory: &Path,
    config: &SpeechConfig,
) -> Result<Rendered, RenderError> {
    speech::render(sentences(tenants), directory, config).await
}

/// What can be said on any number of these tenants.
fn sentences(tenants: &[TenantFile]) -> Vec<Sentence> {
    let mut said = Vec::new();
    for file in tenants {
        let tenant = Arc::new(file.tenant.clone());
        for number in &file.numbers {
            let dialed = TenantSnapshot::new(Arc::clone(&tenant), Arc::new(number.clone()));
            said.extend(builtin::sentences(&dialed.tenant, dialed.locale()));
        }
    }
    said
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::speech::Speech;

    #[test]
    fn the_demo_tenants_talk_without_a_synthesiser() {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/tenants");
        let tenants = TenantFile::load_directory(&directory).unwrap();
        let said = sentences(&tenants);
        assert!(said.len() > 20);
        let speech = Speech::new(SpeechConfig { espeak: None, ..SpeechConfig::detect() });
        let missing: Vec<&Sentence> =
            said.iter().filter(|one| speech.cached(&one.locale, &one.text).is_none()).collect();
        assert!(missing.is_empty(), "run `offhook speech render`: {missing:#?}");
    }
}
