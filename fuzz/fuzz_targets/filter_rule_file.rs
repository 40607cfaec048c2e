#![no_main]
//! Rule files as options, directories and modules name them: no text brings the reader down, and leaving a directory
//! restores what was before.

use std::io;

use libfuzzer_sys::fuzz_target;
use syncline_filter::{
    CvsSources, Filter, ModuleFilters, Name, RuleFile, RuleFiles, Rules, Settings, Side,
};

/// Every file has the same text, so that files which name files are nested as deeply as they may be.
struct OneText<'a>(&'a [u8], usize);

impl RuleFiles for OneText<'_> {
    fn read(&mut self, file: RuleFile<'_>) -> io::Result<Vec<u8>> {
        if let RuleFile::PerDirectory { directory, name } = file {
            assert!(directory.starts_with(b"/"));
            assert!(!name.contains(&b'/') && !name.is_empty());
        }
        // Texts that name several files each would be read without end.
        self.1 = self.1.checked_sub(1).ok_or(io::ErrorKind::NotFound)?;
        Ok(self.0.to_vec())
    }

    fn cvs_sources(&mut self) -> CvsSources {
        CvsSources { home: self.0.to_vec(), environment: self.0.to_vec() }
    }
}

fuzz_target!(|input: &[u8]| {
    let Some((&mode, text)) = input.split_first() else { return };
    let mut files = OneText(text, 64);
    let mut rules = Rules::new(Settings { delete_excluded: mode & 1 != 0, ..Settings::default() });
    if mode & 2 != 0 {
        rules.set_from0();
    }
    let kinds: [&[u8]; 8] =
        [b": .r", b":n ../.r", b":wp /.r", b":C", b":- .r", b". r", b".w+ r", b"-C"];
    let _ = rules.filter(kinds[usize::from(mode >> 2) % kinds.len()], &mut files);
    let _ = rules.include_from(b"list", &mut files);
    let side = if mode & 0x80 == 0 { Side::Sender } else { Side::Receiver };
    let mut filter = Filter::new(&rules, side);
    filter.set_root(b"/srv/tree");
    let module = ModuleFilters {
        filter: text,
        exclude: text,
        include_from: b"x",
        ..ModuleFilters::default()
    };
    if mode & 0x40 != 0
        && let Ok((daemon, _)) = module.compile(b"/srv", &mut files)
    {
        filter = filter.with_daemon(daemon);
    }
    let names = [Name::file(b"d/a.o"), Name::directory(b"d/e"), Name::file(b"b")];
    let verdicts = |filter: &Filter| names.map(|name| filter.excludes(&name));
    let _ = filter.enter(b"", &mut files);
    let before = verdicts(&filter);
    let _ = filter.enter(b"d", &mut files);
    let _ = filter.enter(b"d/e", &mut files);
    let _ = verdicts(&filter);
    filter.leave();
    filter.leave();
    assert_eq!(verdicts(&filter), before);
    assert_eq!(filter.depth(), 1);
});
