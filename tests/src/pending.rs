//! Cases that Syncline does not pass yet, named in `pending.txt`: `SUITE CASE`, a line each.
//!
//! A listed case must fail: one that passes has to leave the list, so the list tells at any time what is missing.

use crate::program::{Program, Side};
use std::fmt::Display;

const LIST: &str = include_str!("../pending.txt");

/// Turns the outcome of a case into what the test reports.
pub fn judge<E: Display>(
    suite: &str,
    case: &str,
    program: &Program,
    outcome: Result<(), E>,
) -> Result<(), String> {
    let pending = program.side == Side::Ours && is_pending(suite, case);
    match outcome {
        Err(error) if pending => {
            crate::skipped(&format!("{suite} {case}"), "not there yet");
            drop(error);
            Ok(())
        }
        Ok(()) if pending => Err(format!("{suite} {case} passes: take it off tests/pending.txt")),
        outcome => outcome.map_err(|error| error.to_string()),
    }
}

fn is_pending(suite: &str, case: &str) -> bool {
    LIST.lines().any(|line| line.split_once(' ') == Some((suite, case)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_names_each_case_once_in_order() {
        let lines: Vec<&str> = LIST.lines().collect();
        assert!(lines.is_sorted_by(|a, b| a < b), "sort tests/pending.txt and drop repetitions");
        let well_formed = |line: &&&str| line.split(' ').count() == 2;
        assert_eq!(lines.iter().filter(well_formed).count(), lines.len());
    }
}
