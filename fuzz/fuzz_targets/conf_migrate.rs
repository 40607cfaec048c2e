//! Any bytes as a configuration of sersync or lsyncd: refused at a line of the text, or translated to what prints
//! as a synclive.toml that is read as the same, unless a note says that it needs a correction.
#![no_main]

use std::io;
use std::path::Path;

use libfuzzer_sys::fuzz_target;
use syncline_conf::live::Config;
use syncline_conf::migrate::{Choices, NoteKind, migrate};
use syncline_conf::{Error, Surroundings};

struct Machine;

impl Surroundings for Machine {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let is_there = path.as_os_str().len().is_multiple_of(2);
        if is_there {
            Ok(b"# x\n- *.o\n  user:y\n".to_vec())
        } else {
            Err(io::ErrorKind::NotFound.into())
        }
    }

    fn is_directory(&self, _: &Path) -> bool {
        true
    }

    fn variable(&self, name: &[u8]) -> Option<Vec<u8>> {
        Some(name.to_vec())
    }
}

fuzz_target!(|text: &[u8]| {
    let lines = 1 + text.iter().filter(|&&byte| byte == b'\n').count() as u32;
    let line = match migrate(Path::new("old"), text, &Machine, Choices::default()) {
        Ok(translation) => {
            assert!(translation.losses.iter().all(|loss| loss.line <= lines));
            let printed = translation.config.print().expect("what was translated is text");
            let needs_correction = translation
                .notes
                .iter()
                .any(|note| matches!(note.kind, NoteKind::NeedsCorrection(_)));
            match Config::parse(Path::new("s.toml"), printed.as_bytes()) {
                Ok(config) => assert_eq!(config, translation.config),
                Err(error) => assert!(needs_correction, "{error}\n{printed}"),
            }
            return;
        }
        Err(Error::Lsyncd { location, .. }) => location.line(),
        Err(Error::Xml { line, .. } | Error::Confxml { line, .. }) => line,
        Err(error) => panic!("{error}"),
    };
    assert!((1..=lines).contains(&line));
});
