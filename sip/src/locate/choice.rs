//! The order in which servers are tried (RFC 2782, “Usage rules”).

use super::Srv;
use crate::random::Tokens;

/// Records looked at; a domain has a handful.
const MAX_RECORDS: usize = 64;

/// By priority, and within one by chance, in proportion to the weights.
pub(super) fn in_order(mut records: Vec<Srv>, tokens: &mut Tokens) -> Vec<Srv> {
    // Weight 0 first, so that the running sum leaves it its very small chance.
    records.sort_by_key(|record| (record.priority, record.weight));
    records.truncate(MAX_RECORDS);
    let mut ordered = Vec::with_capacity(records.len());
    while let Some(priority) = records.first().map(|record| record.priority) {
        let same = records.iter().take_while(|record| record.priority == priority);
        let (count, total) =
            same.fold((0_u64, 0_u64), |(n, sum), record| (n + 1, sum + u64::from(record.weight)));
        let chosen = if total == 0 {
            // Nothing tells them apart: each is as good as the other.
            usize::try_from(below(count, tokens)).unwrap_or_default()
        } else {
            let drawn = below(total + 1, tokens);
            let mut sum = 0;
            let reached = |record: &Srv| {
                sum += u64::from(record.weight);
                sum >= drawn
            };
            records.iter().position(reached).unwrap_or_default()
        };
        ordered.push(records.remove(chosen.min(records.len().saturating_sub(1))));
    }
    ordered
}

/// A number below `bound`. What 64 bits favour the lower numbers by is less than one in 2⁴⁰.
fn below(bound: u64, tokens: &mut Tokens) -> u64 {
    tokens.next_u64() % bound.max(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn server(priority: u16, weight: u16, port: u16) -> Srv {
        Srv { priority, weight, port, target: "a.example".to_owned() }
    }

    fn seed(n: u64) -> [u8; 32] {
        let mut seed = [0; 32];
        seed[..8].copy_from_slice(&n.to_be_bytes());
        seed
    }

    /// How often each port comes first in 4,000 draws.
    fn firsts(records: &[Srv]) -> [u32; 8] {
        let mut first = [0; 8];
        let mut tokens = Tokens::new(seed(7));
        for _ in 0..4_000 {
            let ordered = in_order(records.to_vec(), &mut tokens);
            first[usize::from(ordered[0].port)] += 1;
        }
        first
    }

    #[test]
    fn weights_share_the_requests_within_a_priority() {
        let first = firsts(&[server(1, 9_999, 1), server(0, 30, 2), server(0, 10, 3), server(0, 0, 4)]);
        assert_eq!(first[1], 0);
        // 30/41 of 4,000 are 2,927; 1/41 are 98.
        assert!((2_800..3_050).contains(&first[2]), "{first:?}");
        assert!((50..160).contains(&first[4]), "{first:?}");
    }

    #[test]
    fn servers_without_weights_share_alike() {
        let first = firsts(&[server(5, 0, 1), server(5, 0, 2), server(5, 0, 3), server(5, 0, 4)]);
        assert!(first[1..5].iter().all(|n| (900..1_100).contains(n)), "{first:?}");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn every_server_is_there_once_and_priorities_hold(
            rows in proptest::collection::vec((0_u16..4, any::<u16>()), 0..20),
            n in any::<u64>(),
        ) {
            let records: Vec<Srv> =
                rows.iter().enumerate().map(|(at, (p, w))| server(*p, *w, at as u16)).collect();
            let ordered = in_order(records.clone(), &mut Tokens::new(seed(n)));
            let again = in_order(records.clone(), &mut Tokens::new(seed(n)));
            prop_assert_eq!(&ordered, &again, "the same seed decides the same way");
            prop_assert!(ordered.windows(2).all(|w| w[0].priority <= w[1].priority));
            let mut ports: Vec<u16> = ordered.iter().map(|record| record.port).collect();
            ports.sort_unstable();
            prop_assert_eq!(ports, (0..records.len() as u16).collect::<Vec<_>>());
        }

        #[test]
        fn shares_follow_the_weights(weights in proptest::collection::vec(1_u16..=1_000, 2..6)) {
            let records: Vec<Srv> =
                weights.iter().enumerate().map(|(at, w)| server(0, *w, at as u16)).collect();
            let total: f64 = weights.iter().map(|w| f64::from(*w)).sum();
            let first = firsts(&records);
            for (at, weight) in weights.iter().enumerate() {
                let expected = 4_000.0 * f64::from(*weight) / total;
                // Five standard deviations, and the one draw in total+1 that goes to the first.
                let room = 5.0 * expected.sqrt() + 8.0 + 4_000.0 / (total + 1.0);
                prop_assert!((f64::from(first[at]) - expected).abs() < room, "{weights:?}: {first:?}");
            }
        }
    }
}
