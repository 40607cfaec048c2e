//! A walk's state: entering, leaving, moving, and what the debug output says.

use std::collections::HashMap;
use std::io;

use syncline_filter::{
    Filter, FilterError, ListKind, ModuleFilters, Name, NoFiles, RuleFile, RuleFiles, Rules,
    Settings, Side, Warning,
};

/// Rule files by path.
#[derive(Default)]
struct Files(HashMap<&'static str, String>);

impl Files {
    fn with(mut self, path: &'static str, text: &str) -> Self {
        self.0.insert(path, text.to_owned());
        self
    }
}

impl RuleFiles for Files {
    fn read(&mut self, file: RuleFile<'_>) -> io::Result<Vec<u8>> {
        let path = match file {
            RuleFile::PerDirectory { directory, name } => [directory, b"/", name].concat(),
            RuleFile::Named(path) | RuleFile::InTree(path) => path.to_vec(),
            RuleFile::StandardInput => b"-".to_vec(),
        };
        let path = String::from_utf8_lossy(&path).replace("//", "/");
        let text = self.0.get(&*path).cloned().map(String::into_bytes);
        text.ok_or_else(|| io::Error::from_raw_os_error(2))
    }
}

fn filter(rules: &[&str], side: Side, files: &mut Files) -> Filter {
    let mut list = Rules::new(Settings::default());
    for rule in rules {
        list.filter(rule.as_bytes(), files).expect(rule);
    }
    let mut filter = Filter::new(&list, side);
    filter.set_root(b"/t");
    filter
}

#[test]
fn leaving_a_directory_restores_the_rules_of_its_parent() -> Result<(), FilterError> {
    let mut files = Files::default()
        .with("/t/.r", "- *.o")
        .with("/t/d/.r", "!\n: .q\n- e")
        .with("/t/d/.q", "- x");
    let mut filter = filter(&[": .r"], Side::Sender, &mut files);
    assert!(filter.reads_directories());
    filter.enter(b"", &mut files)?;
    assert!(filter.excludes(&Name::file(b"a.o")));
    filter.enter(b"d", &mut files)?;
    assert!(!filter.excludes(&Name::file(b"d/a.o")), "cleared here");
    assert!(filter.excludes(&Name::file(b"d/x")), "by the file that the file named");
    filter.leave();
    assert!(filter.excludes(&Name::file(b"f/a.o")) && !filter.excludes(&Name::file(b"x")));
    filter.leave();
    filter.leave();
    assert!(!filter.excludes(&Name::file(b"a.o")));
    Ok(())
}

#[test]
fn moving_reads_each_directory_on_the_way_once() -> Result<(), FilterError> {
    let mut files = Files::default().with("/t/d/.r", "- /a").with("/t/d/e/.r", "- b");
    let mut filter = filter(&[": .r"], Side::Receiver, &mut files);
    filter.enter(b"", &mut files)?;
    filter.move_to(b"d/e/f", &mut files)?;
    assert_eq!(filter.depth(), 4);
    assert!(filter.excludes(&Name::file(b"d/a")) && filter.excludes(&Name::file(b"d/e/f/b")));
    filter.move_to(b"d/ee", &mut files)?;
    assert!(!filter.excludes(&Name::file(b"d/ee/b")));
    filter.move_to(b".", &mut files)?;
    assert_eq!(filter.depth(), 1);
    Ok(())
}

#[test]
fn decisions_are_explained_as_the_stock_program_does() -> Result<(), FilterError> {
    let mut files = Files::default().with("/t/.r", "- x\n");
    let mut filter = filter(&["- d/", "+ keep", ": .r", "-C"], Side::Sender, &mut files);
    filter.set_role("sender");
    filter.enter(b"", &mut files)?;
    let explain = |kind: &str, name: Name<'_>| {
        filter.decide(&name).map(|decision| filter.explain(kind, name.path, &decision))
    };
    assert_eq!(
        explain("directory", Name::directory(b"d")).as_deref(),
        Some("[sender] hiding directory d because of pattern d/")
    );
    assert_eq!(
        explain("file", Name::file(b"keep")).as_deref(),
        Some("[sender] showing file keep because of pattern keep")
    );
    assert_eq!(
        explain("file", Name::file(b"x")).as_deref(),
        Some("[sender] hiding file x because of pattern <rule from /t/.r line 1> [per-dir .r]")
    );
    assert_eq!(
        explain("file", Name::file(b"a.o")).as_deref(),
        Some("[sender] hiding file a.o because of pattern *.o [global CVS]")
    );
    Ok(())
}

#[test]
fn a_modules_list_comes_first_and_hides_rule_files() -> Result<(), FilterError> {
    let mut files = Files::default().with("/t/.r", "- x");
    let filters = ModuleFilters { exclude: b"secret/ .r", ..ModuleFilters::default() };
    let (daemon, warnings) = filters.compile(b"/srv/module", &mut NoFiles)?;
    assert!(warnings.is_empty());
    let mut filter =
        filter(&["+ secret/***", ": .r"], Side::Sender, &mut files).with_daemon(daemon);
    filter.enter(b"", &mut files)?;
    let decision = filter.decide(&Name::file(b"secret/plan")).expect("a decision");
    assert!(decision.excludes() && decision.list == ListKind::Daemon);
    assert!(filter.excludes_any_component(&Name::file(b"secret/a/b")));
    assert!(!filter.excludes(&Name::file(b"x")), "the rule file counts as absent");
    assert!(filter.daemon_excludes_name(&Name::file(b".r")));
    Ok(())
}

#[test]
fn per_directory_rules_nest_only_so_deep() {
    struct Endless;
    impl RuleFiles for Endless {
        fn read(&mut self, file: RuleFile<'_>) -> io::Result<Vec<u8>> {
            match file {
                RuleFile::PerDirectory { name, .. } => Ok([b": ", name, b"x"].concat()),
                _ => Err(io::ErrorKind::NotFound.into()),
            }
        }
    }
    let mut filter = filter(&[": .r"], Side::Sender, &mut Files::default());
    let error = filter.enter(b"", &mut Endless).expect_err("no end of files");
    assert!(matches!(error, FilterError::TooDeep { .. }));
    assert_eq!(error.exit_code(), 11);
    filter.leave();
    assert_eq!(filter.depth(), 0);
}

#[test]
fn a_directory_path_that_overflows_is_told_and_skipped() -> Result<(), FilterError> {
    let mut files = Files::default();
    let mut filter = filter(&[": .r"], Side::Sender, &mut files);
    filter.enter(&b"long/".repeat(1000), &mut files)?;
    assert!(matches!(filter.take_warnings()[..], [Warning::LongDirectory(_)]));
    Ok(())
}

#[test]
fn messages_show_bytes_that_are_no_text_in_octal() {
    let mut rules = Rules::new(Settings::default());
    let error = rules.filter(b"P\xc3\xa9\xff x", &mut NoFiles).expect_err("no such modifier");
    let wanted = "invalid modifier '\\#303' at position 1 in filter rule: P\u{e9}\\#377 x";
    assert_eq!(error.to_string(), wanted);
}

#[test]
fn xattr_rules_judge_attribute_names_alone() -> Result<(), FilterError> {
    let mut rules = Rules::new(Settings::default());
    assert!(!rules.names_xattrs());
    rules.filter(b"-x user.secret*", &mut NoFiles)?;
    assert!(rules.names_xattrs());
    let filter = Filter::new(&rules, Side::Receiver);
    assert!(filter.decide_xattr(b"user.secret.key").is_some_and(|decision| decision.excludes()));
    assert!(filter.decide_xattr(b"user.other").is_none());
    assert!(!filter.excludes(&Name::file(b"user.secret")));
    Ok(())
}
