//! Answers kept for as long as their name servers allow, and a little longer for when those are
//! away. Pure: the time is an argument.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::{Answer, Question};

/// Answers kept at most; the one that ends first makes room.
pub const CAPACITY: usize = 1_024;
/// No answer is believed for longer, whatever its time to live.
const LONGEST: Duration = Duration::from_secs(3_600);
/// A name that isn't there is asked for again soon: it may be about to be (RFC 2308 §5 allows
/// hours).
const LONGEST_NEGATIVE: Duration = Duration::from_secs(30);
/// An answer that has run out still serves for so long while no name server answers (RFC 8767).
const STALE: Duration = Duration::from_secs(3_600);
/// And for so long nobody is asked again (RFC 8767 §5).
const RECHECK: Duration = Duration::from_secs(30);

/// What is known of a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Known {
    /// The answer holds.
    Fresh(Answer),
    /// It has run out: ask again, and use it if nobody answers.
    Stale(Answer),
    /// Nothing.
    Not,
}

/// Answers by question.
#[derive(Debug, Default)]
pub struct Cache {
    kept: BTreeMap<Question, Kept>,
}

#[derive(Debug)]
struct Kept {
    answer: Answer,
    until: Instant,
    stale_until: Instant,
}

impl Cache {
    /// What is known of a question.
    #[must_use]
    pub fn get(&self, question: &Question, now: Instant) -> Known {
        match self.kept.get(question) {
            Some(kept) if now < kept.until => Known::Fresh(kept.answer.clone()),
            Some(kept) if now < kept.stale_until && kept.answer != Answer::Nothing => {
                Known::Stale(kept.answer.clone())
            }
            _ => Known::Not,
        }
    }

    /// Keeps an answer for its time to live. A failure is no answer, and isn't kept.
    pub fn put(&mut self, question: Question, answer: Answer, ttl: Duration, now: Instant) {
        let longest = match answer {
            Answer::Failed => return,
            Answer::Nothing => LONGEST_NEGATIVE,
            Answer::Naptr(_) | Answer::Srv(_) | Answer::Addresses(_) => LONGEST,
        };
        if self.kept.len() >= CAPACITY && !self.kept.contains_key(&question) {
            self.make_room(now);
        }
        let until = now + ttl.min(longest);
        self.kept.insert(question, Kept { answer, until, stale_until: until + STALE });
    }

    /// Nobody could be asked: what is known serves a little longer.
    pub fn postpone(&mut self, question: &Question, now: Instant) {
        if let Some(kept) = self.kept.get_mut(question) {
            kept.until = (now + RECHECK).min(kept.stale_until);
        }
    }

    /// How many answers are kept.
    #[must_use]
    pub fn len(&self) -> usize {
        self.kept.len()
    }

    /// Whether nothing is kept.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    fn make_room(&mut self, now: Instant) {
        self.kept.retain(|_, kept| now < kept.stale_until);
        while self.kept.len() >= CAPACITY {
            let first = self.kept.iter().min_by_key(|(_, kept)| kept.until).map(|(q, _)| q.clone());
            match first {
                Some(question) => self.kept.remove(&question),
                None => return,
            };
        }
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test may start its clock anywhere")]
mod tests {
    use super::*;

    fn question(name: &str) -> Question {
        Question::Addresses(name.to_owned())
    }

    fn answer() -> Answer {
        Answer::Addresses(vec!["192.0.2.1".parse().unwrap()])
    }

    const MINUTE: Duration = Duration::from_secs(60);

    #[test]
    fn an_answer_is_fresh_then_stale_then_forgotten() {
        let (mut cache, start) = (Cache::default(), Instant::now());
        cache.put(question("a"), answer(), MINUTE, start);
        assert_eq!(cache.get(&question("a"), start + MINUTE / 2), Known::Fresh(answer()));
        assert_eq!(cache.get(&question("a"), start + MINUTE), Known::Stale(answer()));
        assert_eq!(cache.get(&question("a"), start + 62 * MINUTE), Known::Not);
        assert_eq!(cache.get(&Question::Srv("a".to_owned()), start), Known::Not);
    }

    #[test]
    fn a_stale_answer_serves_for_an_hour_and_no_longer() {
        let (mut cache, start) = (Cache::default(), Instant::now());
        cache.put(question("a"), answer(), MINUTE, start);
        for minute in 1..61 {
            let now = start + minute * MINUTE;
            assert_eq!(cache.get(&question("a"), now), Known::Stale(answer()));
            cache.postpone(&question("a"), now);
            let soon = now + Duration::from_secs(29);
            assert_eq!(cache.get(&question("a"), soon), Known::Fresh(answer()));
        }
        cache.postpone(&question("a"), start + 61 * MINUTE);
        assert_eq!(cache.get(&question("a"), start + 61 * MINUTE), Known::Not);
    }

    #[test]
    fn what_is_not_there_is_asked_for_again_soon() {
        let (mut cache, start) = (Cache::default(), Instant::now());
        cache.put(question("a"), Answer::Nothing, 600 * MINUTE, start);
        assert_eq!(cache.get(&question("a"), start), Known::Fresh(Answer::Nothing));
        assert_eq!(cache.get(&question("a"), start + MINUTE / 2), Known::Not);
    }

    #[test]
    fn a_failure_replaces_nothing() {
        let (mut cache, start) = (Cache::default(), Instant::now());
        cache.put(question("a"), answer(), MINUTE, start);
        cache.put(question("a"), Answer::Failed, MINUTE, start);
        assert_eq!(cache.get(&question("a"), start), Known::Fresh(answer()));
    }

    #[test]
    fn the_number_of_answers_is_bounded_and_the_shortest_lived_goes_first() {
        let (mut cache, start) = (Cache::default(), Instant::now());
        for n in 0..CAPACITY + 100 {
            let ttl = if n == 7 { MINUTE * 2 } else { MINUTE };
            cache.put(question(&n.to_string()), answer(), ttl, start);
        }
        assert_eq!(cache.len(), CAPACITY);
        assert_eq!(cache.get(&question("7"), start), Known::Fresh(answer()));
    }
}
