//! Waits for changes (`wait`), counts them (`stats`), runs commands on them (`run`).

use std::process::ExitCode;

fn main() -> ExitCode {
    syncwatch::run_program()
}
