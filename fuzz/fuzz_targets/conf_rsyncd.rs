//! Any bytes as rsyncd.conf, which may include themselves: a printed configuration reads back to the same values.
#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use syncline_conf::access::AccessList;
use syncline_conf::auth::AuthRules;
use syncline_conf::identity::{Groups, Id};
use syncline_conf::log_format::LogFormat;
use syncline_conf::rsyncd::{Config, Effective, Includes, NoIncludes, Overrides, Target};

/// The file itself is what it includes, a few times.
struct Itself<'a>(&'a [u8], std::cell::Cell<u32>);

impl Includes for Itself<'_> {
    fn read(&self, path: &Path) -> std::io::Result<Target> {
        self.1.set(self.1.get() + 1);
        match self.1.get() {
            6.. => Err(std::io::ErrorKind::NotFound.into()),
            _ if path.ends_with("d") => {
                Ok(Target::Directory(vec![b"b.conf".to_vec(), b"a.inc".to_vec()]))
            }
            _ => Ok(Target::File(self.0.to_vec())),
        }
    }

    fn variable(&self, name: &[u8]) -> Option<Vec<u8>> {
        (name == b"YES").then(|| b"yes".to_vec())
    }
}

fn values(settings: Vec<Effective<'_>>) -> Vec<(&'static str, Vec<u8>)> {
    settings.into_iter().map(|effective| (effective.parameter.name, effective.value)).collect()
}

fuzz_target!(|text: &[u8]| {
    let path = Path::new("fuzz");
    let includes = Itself(text, std::cell::Cell::default());
    let _ = Config::parse_start(path, text, &includes, &Overrides::default());
    match Config::parse(path, text, &includes) {
        Err(errors) => assert!(!errors.errors.is_empty() && !errors.to_string().is_empty()),
        Ok(parsed) => {
            for warning in &parsed.warnings {
                assert!(!warning.to_string().contains(|character: char| character.is_control()));
            }
            let config = parsed.config;
            let again = Config::parse(path, &config.print(), &NoIncludes)
                .expect("what is printed can be read")
                .config;
            assert_eq!(values(config.global().effective()), values(again.global().effective()));
            assert_eq!(values(config.defaults().effective()), values(again.defaults().effective()));
            assert_eq!(config.modules().len(), again.modules().len());
            for (module, same) in config.modules().iter().zip(again.modules()) {
                assert_eq!(module.name(), same.name());
                assert_eq!(values(module.settings.effective()), values(same.settings.effective()));
                let settings = &module.settings;
                let _ = AccessList::parse(settings.hosts_allow.as_bytes());
                let _ = AuthRules::parse(settings.auth_users.as_bytes());
                let _ =
                    (Id::parse(settings.uid.as_bytes()), Groups::parse(settings.gid.as_bytes()));
                let _ = LogFormat::parse(settings.log_format.as_bytes());
                let _ = settings.early_exec.expand_command(&|_: &[u8]| Some(b"x".to_vec()));
            }
        }
    }
});
