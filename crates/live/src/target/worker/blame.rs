//! Which paths of a session did not arrive (R73, R86).

use std::collections::{BTreeMap, BTreeSet};

use syncline_fs::RelPathBuf;

use super::{Failed, Sum, Worker, todos};
use crate::push::{Load, Outcome};
use crate::queue::{Batch, Todo};
use crate::target::moves::touches;
use crate::target::verdict::{Verdict, named};

impl Worker {
    /// Finds out which paths of a session did not arrive: by the words of the target, else by asking it again.
    pub(super) fn resolve(
        &mut self,
        outcome: &Outcome,
        again: Option<Load>,
        batch: &Batch,
        sum: &mut Sum,
    ) -> Result<(), Failed> {
        let why = outcome.text();
        let (mut paths, all) = Self::names_of(outcome, batch);
        if all && !paths.is_empty() {
            // What was spoiled because it changed meanwhile is sent again, and soon.
            for (path, _) in outcome.findings.withheld.iter().filter(|(_, why)| why.is_none()) {
                paths.remove(path);
            }
            self.fail_named(&paths, batch, &why);
            return Ok(());
        }
        let Some(load) = again else {
            self.doubt(batch, &why);
            return Ok(());
        };
        // What arrived is not asked for again.
        let (verdict, second) = self.carry(load, sum);
        match verdict {
            Verdict::Arrived => return Ok(()),
            Verdict::Partial => {}
            verdict => return self.react(verdict, &second, batch),
        }
        let (mut named, all) = Self::names_of(&second, batch);
        named.extend(second.findings.asked.iter().cloned());
        self.fail_named(&named, batch, &why);
        if !all {
            self.doubt(batch, &why);
        }
        Ok(())
    }

    /// The paths that the words of a session name, and whether they account for all that went wrong.
    fn names_of(outcome: &Outcome, batch: &Batch) -> (BTreeSet<Vec<u8>>, bool) {
        let todos: BTreeMap<Vec<u8>, Todo> = todos(batch);
        let asked = &outcome.findings.asked;
        let is_known = |path: &[u8]| {
            let clean = RelPathBuf::clean(path);
            todos.contains_key(path)
                || asked.contains(path)
                || clean.is_ok_and(|path| {
                    touches(&todos, &path, |todo, is_parent| todo.reaches_down(is_parent))
                })
        };
        let (paths, all) = named(&outcome.findings, is_known);
        (paths.into_iter().collect(), all)
    }

    /// These did not arrive, nor what was to arrive below them.
    fn fail_named(&mut self, paths: &BTreeSet<Vec<u8>>, batch: &Batch, why: &str) {
        let todos = todos(batch);
        for path in paths {
            let below = [&path[..], b"/"].concat()..[&path[..], b"0"].concat();
            let below = todos.range(below).map(|(path, todo)| (path, *todo));
            let all = below.chain([(path, todos.get(path).copied().unwrap_or_else(Todo::all))]);
            for (path, todo) in all {
                self.fail_path(path, todo, why);
            }
        }
    }

    /// Nobody can say what of this batch did not arrive.
    fn doubt(&mut self, batch: &Batch, why: &str) {
        for entry in &batch.entries {
            if !self.refused.contains(entry.path.as_bytes()) {
                self.fail_path(entry.path.as_bytes(), entry.todo, why);
            }
        }
    }
}
