//! `synclive migrate`: configurations of sersync and lsyncd as synclive.toml (R5).

use syncline_conf::migrate::{Choices, Translation, migrate};
use syncline_options::LiveOptions;

use crate::plan::{Machine, path, read};
use crate::{complain, print, wrong};

/// Something has no translation.
const LOSSES: u8 = 3;

pub(crate) fn run(options: &LiveOptions) -> u8 {
    let [file] = options.arguments.as_slice() else {
        return wrong("migrate takes one file: a confxml.xml or a configuration of lsyncd");
    };
    let file = path(file);
    match translate(file, options) {
        Ok(translation) => {
            let place = |line: u32| {
                if line == 0 {
                    file.display().to_string()
                } else {
                    format!("{}:{line}", file.display())
                }
            };
            for loss in &translation.losses {
                complain(format_args!(
                    "{}: cannot be translated: {}: {}",
                    place(loss.line),
                    loss.key,
                    loss.what
                ));
            }
            for note in &translation.notes {
                complain(format_args!(
                    "{}: {} [{}]",
                    place(note.line),
                    note.kind,
                    note.kind.code()
                ));
            }
            if translation.losses.is_empty() { 0 } else { LOSSES }
        }
        Err(problem) => {
            complain(problem);
            crate::FAILED
        }
    }
}

fn translate(file: &std::path::Path, options: &LiveOptions) -> Result<Translation, String> {
    let text = read(file)?;
    let choices = Choices { keep_delays: options.keep_delays };
    let translation = migrate(file, &text, &Machine, choices)
        .map_err(|error| format!("{}: {error}", file.display()))?;
    if translation.config.mirrors.is_empty() {
        return Err(format!("{}: there is nothing in it that could be mirrored", file.display()));
    }
    let toml = translation.config.print().map_err(|error| error.to_string())?;
    match &options.to {
        Some(to) => {
            let to = path(to);
            std::fs::write(to, toml).map_err(|error| format!("{}: {error}", to.display()))?;
        }
        None => print(&toml),
    }
    Ok(translation)
}
