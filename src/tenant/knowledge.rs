//! The `knowledge` section: what answers are looked up in.

use super::reader::Object;

/// Retrieval settings and frequent questions.
#[derive(Debug, Clone, PartialEq)]
pub struct Knowledge {
    /// How many passages an answer rests on.
    pub rag_top_k: u32,
    /// How many are fetched to choose them from.
    pub rag_fetch_k: u32,
    /// 1: nearest only; 0: most different only.
    pub rag_lambda: f64,
    /// Frequent questions.
    pub faq: Vec<Faq>,
}

/// A frequent question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Faq {
    /// As callers put it.
    pub question: String,
    /// What is said.
    pub answer: String,
}

impl Default for Knowledge {
    fn default() -> Self {
        Self { rag_top_k: 5, rag_fetch_k: 20, rag_lambda: 0.7, faq: Vec::new() }
    }
}

impl Knowledge {
    pub(crate) fn read(object: &Object<'_>) -> Self {
        let own = Self::default();
        let field = |name| object.field(name);
        Self {
            rag_top_k: field("rag_top_k").whole(1..=100).unwrap_or(own.rag_top_k),
            rag_fetch_k: field("rag_fetch_k").whole(1..=1_000).unwrap_or(own.rag_fetch_k),
            rag_lambda: field("rag_lambda").number(0.0..=1.0).unwrap_or(own.rag_lambda),
            faq: field("faq").objects(|entry| {
                let question = entry.field("question").required_text("the question as callers put it");
                let answer = entry.field("answer").required_text("what is said");
                Some(Faq { question: question?, answer: answer? })
            }),
        }
    }
}
