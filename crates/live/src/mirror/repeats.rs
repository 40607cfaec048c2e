//! Files that are written again and again and stay what they were: somebody mirrors them back (R96).

use std::collections::HashMap;
use std::time::Duration;

/// Within this time …
const WITHIN: Duration = Duration::from_secs(60);

/// … more than so many times the same is no chance.
const OFTEN: u32 = 20;

/// Paths that are kept in mind.
const MOST: usize = 10_000;

/// What stays the same in a loop: size and time.
pub(super) type Looks = (u64, i64, i64);

#[derive(Debug, Default)]
pub(super) struct Repeats(HashMap<Vec<u8>, Seen>);

#[derive(Debug)]
struct Seen {
    since: Duration,
    times: u32,
    looks: Option<Looks>,
    told: bool,
}

impl Repeats {
    /// A file was written; whether that is worth a word, which it is once. `look` is asked only about what was written
    /// a moment ago, too.
    pub(super) fn note(
        &mut self,
        now: Duration,
        path: &[u8],
        look: impl FnOnce() -> Option<Looks>,
    ) -> bool {
        let Some(seen) = self.0.get_mut(path) else {
            if self.0.len() >= MOST {
                self.0.retain(|_, seen| now < seen.since + WITHIN);
            }
            if self.0.len() < MOST {
                let seen = Seen { since: now, times: 0, looks: None, told: false };
                self.0.insert(path.to_vec(), seen);
            }
            return false;
        };
        let looks = look();
        if looks.is_none() || looks != seen.looks || now >= seen.since + WITHIN {
            (seen.since, seen.times, seen.looks) = (now, 1, looks);
            return false;
        }
        seen.times += 1;
        seen.times > OFTEN && !std::mem::replace(&mut seen.told, true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn r96_a_file_that_comes_back_as_it_was_again_and_again_is_told_once() {
        let mut repeats = Repeats::default();
        let same = || Some((1, 2, 3));
        let told = (0..60).filter(|&n| repeats.note(n * SECOND, b"f", same)).count();
        assert_eq!(told, 1);
        let told = (60..600).filter(|&n| repeats.note(n * SECOND, b"f", same)).count();
        assert_eq!(told, 0, "once is enough");
    }

    #[test]
    fn r96_what_grows_or_is_written_now_and_then_is_no_loop() {
        let mut repeats = Repeats::default();
        let told =
            (0..600).any(|n| repeats.note(n * SECOND, b"log", || Some((u64::from(n), 0, 0))));
        assert!(!told);
        assert!(!(0..600).any(|n| repeats.note(4 * n * SECOND, b"slow", || Some((1, 1, 1)))));
        for n in 0..2 * MOST as u32 {
            repeats.note(SECOND, &n.to_be_bytes(), || None);
        }
        assert!(repeats.0.len() <= MOST);
    }
}
