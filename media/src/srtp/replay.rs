//! Packets seen already (RFC 3711 §3.3.2).

/// Packets before the newest that can be told apart: two and a half seconds of 20 ms packets. RFC 3711 asks for 64.
const WINDOW: u64 = 128;

/// The newest index and those just before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct ReplayWindow {
    /// The newest index accepted, plus one; zero before the first.
    end: u64,
    /// Bit n: index `end - 1 - n` was accepted.
    seen: u128,
}

impl ReplayWindow {
    pub fn newest(&self) -> Option<u64> {
        self.end.checked_sub(1)
    }

    /// Whether an index is new. Changes nothing: the packet isn't authentic yet.
    pub fn is_new(&self, index: u64) -> bool {
        match self.end.checked_sub(index + 1) {
            None => true,
            Some(age) => age < WINDOW && self.seen >> age & 1 == 0,
        }
    }

    /// Notes an authentic packet.
    pub fn accept(&mut self, index: u64) {
        let end = index + 1;
        match end.checked_sub(self.end) {
            Some(step) => {
                self.seen =
                    u32::try_from(step).ok().and_then(|step| self.seen.checked_shl(step)).unwrap_or(0);
                self.seen |= 1;
                self.end = end;
            }
            None => {
                self.seen |= 1u128.checked_shl(u32::try_from(self.end - end).unwrap_or(u32::MAX)).unwrap_or(0)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_index_is_new_once() {
        let mut window = ReplayWindow::default();
        for index in [5, 4, 6, 130, 3, 0] {
            assert_eq!(window.is_new(index), index != 0, "{index}");
            if window.is_new(index) {
                window.accept(index);
            }
            assert!(!window.is_new(index));
        }
    }

    proptest! {
        #[test]
        fn it_agrees_with_a_list(indices in proptest::collection::vec(0u64..400, 1..300)) {
            let mut window = ReplayWindow::default();
            let (mut list, mut newest) = (std::collections::BTreeSet::new(), 0);
            for index in indices {
                let expected = !list.contains(&index) && (list.is_empty() || index + WINDOW > newest);
                prop_assert_eq!(window.is_new(index), expected);
                if expected {
                    window.accept(index);
                    list.insert(index);
                    newest = newest.max(index);
                }
            }
        }
    }
}
