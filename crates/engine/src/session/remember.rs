//! What one run shows of a daemon, so that the next needs fewer round trips (docs/spec live.md 5.3).

use syncline_wire::Protocol;
use syncline_wire::daemon::Greeting;

use crate::Terms;

/// A module that was entered.
#[derive(Clone, Debug)]
pub struct Admitted {
    /// The version that the greetings settled.
    pub protocol: Protocol,
    pub(super) greeting: Greeting,
    pub(super) asks_password: bool,
    pub(super) words: Vec<Vec<u8>>,
}

impl Admitted {
    /// What the next run on this module may rely on, now that the terms are settled. Nothing for versions that lack the
    /// means.
    pub fn remember(&self, terms: &Terms) -> Option<Remembered> {
        let Self { protocol, greeting, asks_password, words } = self.clone();
        let terms = terms.clone();
        protocol.has_varints().then_some(Remembered { greeting, asks_password, words, terms })
    }
}

/// What a daemon said to a certain request. It holds for requests of the same options alone; others pass it over.
#[derive(Clone, Debug)]
pub struct Remembered {
    pub(super) greeting: Greeting,
    pub(super) asks_password: bool,
    /// The words in front of the paths.
    pub(super) words: Vec<Vec<u8>>,
    pub(super) terms: Terms,
}
