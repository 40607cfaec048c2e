//! Names that a caller's own test hides.

use std::fmt::Debug;
use std::sync::Arc;

use crate::eval::{Decision, ListKind, Name};
use crate::pattern::Pattern;
use crate::rule::{Action, Modifiers, Rule};

/// A test of names that no pattern can make. What it hides, no rule brings back; a peer is never told of it.
pub trait Hide: Debug + Send + Sync {
    /// Whether this name is excluded.
    fn hides(&self, name: &Name<'_>) -> bool;
}

/// The test, and the rule that stands for it in decisions.
#[derive(Clone, Debug)]
pub(crate) struct Hidden {
    test: Arc<dyn Hide>,
    rule: Rule,
}

impl Hidden {
    pub(crate) fn new(test: Arc<dyn Hide>) -> Self {
        let modifiers = Modifiers::default();
        let rule = Rule {
            action: Action::Exclude,
            modifiers,
            directories_only: false,
            pattern: Pattern::new(b"**", modifiers.absolute),
            place: None,
            acts_always: false,
        };
        Self { test, rule }
    }

    pub(crate) fn decide(&self, name: &Name<'_>) -> Option<Decision<'_>> {
        let decision = || Decision { rule: &self.rule, list: ListKind::Main };
        self.test.hides(name).then(decision)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Filter, NoFiles, Rules, Settings, Side};

    #[derive(Debug)]
    struct Odd;

    impl Hide for Odd {
        fn hides(&self, name: &Name<'_>) -> bool {
            name.path.len() % 2 == 1
        }
    }

    #[test]
    fn what_a_test_hides_no_rule_brings_back_and_the_rest_is_as_the_rules_say() {
        let mut rules = Rules::new(Settings::default());
        rules.filter(b"+ abc", &mut NoFiles).unwrap();
        rules.exclude(b"xx").unwrap();
        let before = rules.encode(crate::Direction::Push, 31).unwrap();
        rules.hide(Arc::new(Odd));
        assert_eq!(rules.encode(crate::Direction::Push, 31).unwrap(), before);
        for side in [Side::Sender, Side::Receiver] {
            let filter = Filter::new(&rules, side);
            assert!(filter.excludes(&Name::file(b"abc")));
            assert!(filter.excludes(&Name::directory(b"a/b")));
            assert!(filter.excludes(&Name::file(b"xx")));
            assert!(!filter.excludes(&Name::file(b"ab")));
            assert!(!filter.excludes(&Name::directory(b".")), "the root is never hidden");
        }
        rules.set_delete_excluded();
        assert!(Filter::new(&rules, Side::Sender).excludes(&Name::file(b"abc")));
        assert!(!Filter::new(&rules, Side::Receiver).excludes(&Name::file(b"abc")));
    }
}
