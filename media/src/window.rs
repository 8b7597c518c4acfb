//! Which of the latest numbers were seen: sequence numbers, packet indices.

/// Numbers before the newest that can be told apart: two and a half seconds of 20 ms packets. RFC 3711 §3.3.2 asks for
/// at least 64.
const WIDTH: u64 = 128;

/// The newest number and those just before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Window {
    /// The newest number seen, plus one; zero before the first.
    end: u64,
    /// Bit n: `end - 1 - n` was seen.
    seen: u128,
}

impl Window {
    pub fn newest(&self) -> Option<u64> {
        self.end.checked_sub(1)
    }

    /// Whether a number is new, as far as the window tells; what is older counts as seen.
    pub fn is_new(&self, number: u64) -> bool {
        match self.end.checked_sub(number.saturating_add(1)) {
            None => true,
            Some(age) => age < WIDTH && self.seen >> age & 1 == 0,
        }
    }

    /// Whether all numbers between two were seen, both left out.
    pub fn has_all_between(&self, from: u64, to: u64) -> bool {
        // A hole that large is loss, whatever the window still knows.
        to.saturating_sub(from) <= WIDTH && (from.saturating_add(1)..to).all(|number| !self.is_new(number))
    }

    /// Notes a number.
    pub fn insert(&mut self, number: u64) {
        let end = number.saturating_add(1);
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
    fn a_number_is_new_once() {
        let mut window = Window::default();
        for number in [5, 4, 6, 130, 3, 0] {
            assert_eq!(window.is_new(number), number != 0, "{number}");
            if window.is_new(number) {
                window.insert(number);
            }
            assert!(!window.is_new(number));
        }
        assert!(
            window.has_all_between(2, 7) && !window.has_all_between(5, 9) && !window.has_all_between(5, 900)
        );
    }

    proptest! {
        #[test]
        fn it_agrees_with_a_list(numbers in proptest::collection::vec(0u64..400, 1..300)) {
            let mut window = Window::default();
            let (mut list, mut newest) = (std::collections::BTreeSet::new(), 0);
            for number in numbers {
                let expected = !list.contains(&number) && (list.is_empty() || number + WIDTH > newest);
                prop_assert_eq!(window.is_new(number), expected);
                if expected {
                    window.insert(number);
                    list.insert(number);
                    newest = newest.max(number);
                }
            }
        }
    }
}
