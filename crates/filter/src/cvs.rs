//! The CVS list (docs/spec/filters.md 9.1).

use std::sync::Arc;

use crate::lines::Lines;
use crate::load::CvsSources;
use crate::pattern::Pattern;
use crate::rule::{Action, Modifiers, Rule};

const BUILT_IN: &[u8] = b"RCS SCCS CVS CVS.adm RCSLOG cvslog.* tags TAGS .make.state .nse_depinfo \
    *~ #* .#* ,* _$* *$ *.old *.bak *.BAK *.orig *.rej .del-* *.a *.olb *.o *.obj *.so *.exe \
    *.Z *.elc *.ln core .svn/ .git/ .hg/ .bzr/";

/// The first protocol that knows perishable rules.
const PERISHABLE: u8 = 30;

/// The built-in patterns, the user's file, and the user's variable, in this order.
pub(crate) fn patterns(
    sources: &CvsSources,
    action: Action,
    modifiers: Modifiers,
    protocol: u8,
    acts_always: bool,
) -> Arc<[Rule]> {
    let built_in = Modifiers {
        perishable: modifiers.perishable || protocol >= PERISHABLE,
        xattr: false,
        ..modifiers
    };
    let users = Modifiers { xattr: false, ..modifiers };
    let mut rules = Vec::new();
    for (text, modifiers) in
        [(BUILT_IN, built_in), (&sources.home, users), (&sources.environment, users)]
    {
        for word in Lines::new(text, true, false).filter(|word| !word.overlong) {
            if word.text == b"!" {
                rules.clear();
                continue;
            }
            let (pattern, directories_only) = match word.text {
                [shorter @ .., b'/'] if !shorter.is_empty() => (shorter, true),
                whole => (whole, false),
            };
            rules.push(Rule {
                action,
                modifiers,
                directories_only,
                pattern: Pattern::new(pattern, modifiers.absolute),
                place: None,
                acts_always,
            });
        }
    }
    rules.into()
}
