//! `synclive.toml`: what is refused and where, and that printing is the inverse of reading.
#![allow(clippy::unwrap_used)] // In helpers as in tests.

use std::path::{Path, PathBuf};
use std::time::Duration;

use proptest::prelude::*;
use syncline_conf::live::{
    Action, Address, After, Bandwidth, Body, Config, Deletion, Hook, HttpHook, Interval, Mirror,
    OptionValue, Output, PassPaths, Rate, RunHook, Size, Startup, Stream, StreamAddress,
    StreamFormat, Target, Warm,
};

fn parse(text: &str) -> Result<Config, String> {
    Config::parse(Path::new("s.toml"), text.as_bytes()).map_err(|error| error.to_string())
}

/// A file with every key, each different from its default.
const EVERYTHING: &str = r#"
log-level = "debug"
state-dir = "/srv/state"
status-addr = "127.0.0.1:8730"
status-file = "/run/synclive/status"
healthy-lag = "2m"
stop-within = "5s"
journal-sync = "always"

[[mirror]]
name = "www"
source = "/data/www/"
startup = "trust"
delete = "running"
filter = ["- *.tmp", "+ /keep", ".- /etc/synclive/www.exclude"]
filter-regex = ["(.*)x(.*)y"]
schedule = "0 3 * * 1-5"
schedule-filter = ["- *.php"]
verify = "04:30"
verify-content = true
settle = "50ms"
max-delay = "10s"
max-open-wait = "1s"
resend-interval = "1s"
min-interval = "15s"
batch-paths = 500
batch-bytes = "16M"
max-paths = 1000
max-delete = 100
allow-empty-source = true
transient = ["*.swp"]
delta-min = "1M"
rsync-options = ["--info=stats2"]
bwlimit = 2000

[mirror.options]
archive = false
chmod = "D755,F644"
modify-window = 1

[[mirror.target]]
name = "web1"
url = "backup@web1::files"
password-file = "/etc/synclive/web1.secret"
rsync-options = ["--info=none"]
bwlimit = [{ between = "08:00-18:00", rate = "500K" }]
connect-timeout = "3s"
handshake-timeout = "4s"
io-timeout = "100s"
backoff-max = "1m"
pipeline = false
warm = "module"
options = { compress = true }

[[mirror.target]]
url = "h:/srv"
ssh = ["ssh", "-p", "2222"]

[[mirror.hook]]
after = "target-batch"
run = ["/bin/notify", "a b"]
suffix = ["end"]
pass = "stdin"
output = "discard"
only = ["+ *.php", "- *"]
kinds = ["removed"]
timeout = "5s"
retries = 0

[[mirror.hook]]
http = "PURGE"
url = "https://cdn.example/{path}"
headers = { Authorization = "Bearer {secret}" }
secret-file = "/etc/synclive/cdn.secret"
body = "json"

[[mirror.stream]]
tcp = "[::1]:8009"
format = "sersync"

[[mirror.stream]]
unix = "/run/synclive/events"
"#;

#[test]
fn every_key_is_read_and_printed_again() {
    let config = parse(EVERYTHING).unwrap();
    let mirror = &config.mirrors[0];
    assert_eq!(mirror.bwlimit, Some(Bandwidth::Always(Rate(2000 * 1024))));
    assert_eq!((mirror.delete, mirror.startup), (Deletion::Running, Startup::Trust));
    assert!(!mirror.options.is_on("perms") && mirror.targets[0].options.is_on("compress"));
    assert_eq!(mirror.filter[2].as_str(), ".- /etc/synclive/www.exclude");
    let printed = config.print().unwrap();
    assert_eq!(parse(&printed).unwrap(), config, "{printed}");
    // Nothing that was given is lost on the way: the printed text names every key of the given one.
    for line in EVERYTHING.lines().filter(|line| !line.starts_with('[') && line.contains(" = ")) {
        let key = line.split(" = ").next().unwrap();
        assert!(printed.contains(key), "{key} is missing in\n{printed}");
    }
}

#[test]
fn what_equals_a_default_is_not_printed() {
    let text = "[[mirror]]\nsource = \"/data/\"\nsettle = \"3ms\"\n[[mirror.target]]\nurl = \"h::m\"\npipeline = true\n\
                [[mirror.hook]]\nrun = [\"/bin/x\"]\nafter = \"batch\"\n";
    let expected = "[[mirror]]\nsource = \"/data/\"\n\n[[mirror.target]]\nurl = \"rsync://h/m/\"\n\n\
                    [[mirror.hook]]\nrun = [\"/bin/x\"]\n";
    assert_eq!(parse(text).unwrap().print().unwrap(), expected);
}

#[test]
fn r2_every_error_names_file_line_key_and_what_is_accepted() {
    let target = "\n[[mirror.target]]\nurl = \"h::m\"";
    let mirror = |lines: &str| format!("[[mirror]]\nsource = \"/data\"\n{lines}{target}\n");
    let with_target =
        |lines: &str| format!("[[mirror]]\nsource = \"/data\"\n[[mirror.target]]\n{lines}\n");
    let table = [
        (String::new(), "s.toml:1: `mirror`: there is no mirror: write `[[mirror]]`"),
        (
            "log-levle = 1".to_owned(),
            "s.toml:1: `log-levle`: unknown field `log-levle`, expected one of `log-level`",
        ),
        (
            "log-level = \"loud\"".to_owned(),
            "s.toml:1: `log-level`: unknown variant `loud`, expected one of `error`, `warn`",
        ),
        ("status-addr = \"x\"".to_owned(), "s.toml:1: `status-addr`: "),
        (
            "state-dir = \"x\"\n".to_owned() + &mirror(""),
            "s.toml:1: `state-dir`: write an absolute path",
        ),
        ("a = \n".to_owned(), "s.toml:1: "),
        (
            "[[mirror]]\nsource = \"a\"".to_owned(),
            "s.toml:2: `mirror[0].source`: write an absolute path",
        ),
        ("[[mirror]]\nname = \"a\"".to_owned(), "s.toml:1: `mirror[0].source`: missing"),
        (
            "[[mirror]]\nsource = \"/a/../b\"".to_owned(),
            "s.toml:2: `mirror[0].source`: write it without `..`",
        ),
        (
            "[[mirror]]\nsource = \"/a\"".to_owned(),
            "s.toml:1: `mirror[0].target`: there is no target",
        ),
        (
            mirror("srouce = 1"),
            "s.toml:3: `mirror[0].srouce`: unknown field `srouce`, expected one of ",
        ),
        (
            mirror("settle = \"5\""),
            "s.toml:3: `mirror[0].settle`: `5` is not a time such as `500ms`",
        ),
        (
            mirror("delete = \"never\""),
            "s.toml:3: `mirror[0].delete`: invalid value: string \"never\", expected `true`, `false`",
        ),
        (
            mirror("delete = 1"),
            "s.toml:3: `mirror[0].delete`: invalid type: integer `1`, expected `true`, `false`",
        ),
        (
            mirror("schedule = \"daily\""),
            "s.toml:3: `mirror[0].schedule`: `daily` is not a schedule such as `every 6h`",
        ),
        (mirror("batch-paths = 0"), "s.toml:3: `mirror[0].batch-paths`: write a number above 0"),
        (
            mirror("batch-paths = -1"),
            "s.toml:3: `mirror[0].batch-paths`: invalid value: integer `-1`",
        ),
        (
            mirror("batch-bytes = \"1X\""),
            "s.toml:3: `mirror[0].batch-bytes`: `1X` is not a size such as",
        ),
        (
            mirror("filter = [\"- a\",\n\"\"]"),
            "s.toml:4: `mirror[0].filter[1]`: `` is not a filter rule",
        ),
        (
            mirror("options = { compres = true }"),
            "s.toml:3: `mirror[0].options.compres`: unknown option `compres`, expected one of acls, ",
        ),
        (
            mirror("options = { compress = \"yes\" }"),
            "s.toml:3: `mirror[0].options.compress`: invalid type: string \"yes\", expected a boolean",
        ),
        (
            mirror("rsync-options = [\"stats\"]"),
            "s.toml:3: `mirror[0].rsync-options`: each word begins with `-`",
        ),
        (
            mirror("max-delay = \"1ms\""),
            "s.toml:3: `mirror[0].max-delay`: it is shorter than `settle`",
        ),
        (
            mirror("bwlimit = [{ between = \"8-9\", rate = 1 }]"),
            "s.toml:3: `mirror[0].bwlimit[0].between`: `8-9` is not a part of the day",
        ),
        (
            with_target("url = \"rsync://h\""),
            "s.toml:4: `mirror[0].target[0].url`: `rsync://h` is not a target such as",
        ),
        (with_target("name = \"x\""), "s.toml:3: `mirror[0].target[0].url`: missing"),
        (
            with_target("url = \"copy\""),
            "s.toml:4: `mirror[0].target[0].url`: write an absolute path",
        ),
        (
            with_target("url = \"/data/copy\""),
            "s.toml:4: `mirror[0].target[0].url`: the target is the source or lies in it",
        ),
        (
            with_target("url = \"/\""),
            "s.toml:4: `mirror[0].target[0].url`: the source lies in the target",
        ),
        (
            with_target("url = \"h:/d\"\npassword-file = \"/x\""),
            "s.toml:5: `mirror[0].target[0].password-file`: only the daemons",
        ),
        (
            with_target("url = \"h::m\"\nssh = [\"ssh\"]"),
            "s.toml:5: `mirror[0].target[0].ssh`: only targets of the form",
        ),
        (
            with_target("url = \"h::m\"\nio-timeout = \"0s\""),
            "s.toml:5: `mirror[0].target[0].io-timeout`: write a time above 0",
        ),
        (
            with_target("url = \"h::m/a\"\n[[mirror.target]]\nurl = \"rsync://H:873/m/a/b\""),
            "s.toml:6: `mirror[0].target[1].url`: it is mirror[0].target[0], or one lies in the other",
        ),
        (
            with_target("url = \"h:/a\"") + &with_target("url = \"u@h:/a/b\""),
            "s.toml:8: `mirror[1].target[0].url`: it is mirror[0].target[0]",
        ),
        (
            with_target("url = \"/copy\"")
                + "[[mirror]]\nsource = \"/copy\"\n[[mirror.target]]\nurl = \"/data\"\n",
            "s.toml:8: `mirror[1].target[0].url`: mirror[0] goes the other way",
        ),
        (
            mirror("name = \"a\"") + &mirror("name = \"a\"").replace("::m", "::n"),
            "s.toml:8: `mirror[1].name`: mirror[0] has this name already",
        ),
        (
            mirror("[[mirror.hook]]\nafter = \"batch\""),
            "s.toml:3: `mirror[0].hook[0]`: a hook needs either `run` or `http`",
        ),
        (
            mirror("[[mirror.hook]]\nhttp = \"POST\""),
            "s.toml:3: `mirror[0].hook[0]`: a hook with `http` needs `url`",
        ),
        (
            mirror("[[mirror.hook]]\nrun = [\"x\"]\nwhen = 1"),
            "s.toml:5: `mirror[0].hook[0].when`: unknown field `when`",
        ),
        (
            mirror("[[mirror.stream]]\nunix = \"x\""),
            "s.toml:3: `mirror[0].stream[0]`: `unix` is not absolute",
        ),
    ];
    for (text, expected) in table {
        let error = parse(&text).expect_err(&text);
        assert!(error.starts_with(expected), "{text}\n  gave: {error}\n  not:  {expected}");
    }
    let error = Config::parse(Path::new("s.toml"), b"\n\xff").unwrap_err().to_string();
    assert_eq!(error, "s.toml:2: this is not UTF-8, as TOML must be");
}

#[test]
fn two_targets_on_one_daemon_may_lie_side_by_side() {
    let text = "[[mirror]]\nsource = \"/d\"\n[[mirror.target]]\nurl = \"h::m/a\"\n[[mirror.target]]\nurl = \"h::m/ab\"\n\
                [[mirror.target]]\nurl = \"rsync://h:874/m/a\"\n[[mirror.target]]\nurl = \"h:/m/a\"\n";
    assert_eq!(parse(text).unwrap().mirrors[0].targets.len(), 4);
}

fn interval() -> impl Strategy<Value = Interval> {
    (1_u64..10_000_000).prop_map(|milliseconds| Interval(Duration::from_millis(milliseconds)))
}

fn path() -> impl Strategy<Value = PathBuf> {
    "/[^\0/.]{1,8}(/[a-z \"'\\\\\n同]{1,4}){0,2}/?".prop_map(PathBuf::from)
}

fn hook() -> impl Strategy<Value = Hook> {
    let run =
        (prop::collection::vec("[^\0]{1,6}", 1..3), any::<bool>()).prop_map(|(run, stdin)| {
            let pass = if stdin { PassPaths::Stdin } else { PassPaths::Args };
            Action::Run(RunHook { run, suffix: vec!["end".into()], pass, output: Output::Discard })
        });
    let http = "[a-z{}/]{0,8}".prop_map(|path| {
        Action::Http(HttpHook {
            method: "POST".parse().unwrap(),
            url: format!("http://h/{path}").parse().unwrap(),
            headers: [("X-A".to_owned(), path)].into(),
            body: Body::None,
            secret_file: Some("/etc/secret".into()),
        })
    });
    (prop_oneof![run, http], interval(), 0_u32..9).prop_map(|(action, timeout, retries)| {
        let mut hook = Hook::new(action);
        hook.after = After::State;
        (hook.timeout, hook.retries) = (timeout, retries);
        hook
    })
}

fn target(index: usize) -> impl Strategy<Value = Target> {
    (any::<bool>(), 1_u16.., "[a-z]{1,5}", interval(), any::<bool>()).prop_map(
        move |(daemon, port, module, io_timeout, compress)| {
            let mut target = Target::default();
            let url = if daemon {
                format!("rsync://h{index}:{port}/{module}")
            } else {
                format!("h{index}:{module}")
            };
            target.url = url.parse::<Address>().unwrap();
            target.password_file = daemon.then(|| "/pw".into());
            target.io_timeout = io_timeout;
            target.warm = if compress { Warm::None } else { Warm::Greeting };
            if compress {
                target.options.set("compress", OptionValue::Switch(true)).unwrap();
            }
            target
        },
    )
}

fn mirror(index: usize) -> impl Strategy<Value = Mirror> {
    let filter = prop::collection::vec("[^\0\r\n]{1,9}", 0..3);
    let texts = (path(), filter, prop::option::of(1_u64..100_000_000));
    let parts = (target(2 * index), target(2 * index + 1), prop::collection::vec(hook(), 0..3));
    (texts, parts, interval(), any::<u32>(), "[^\0\n\r]{1,9}").prop_map(
        move |((source, filter, bytes), (one, two, hooks), settle, number, chmod)| {
            let mut mirror = Mirror::default();
            mirror.name = Some(format!("m{index}").parse().unwrap());
            mirror.source = source;
            mirror.filter = filter.iter().map(|rule| rule.parse().unwrap()).collect();
            mirror.batch_bytes = bytes.map_or(mirror.batch_bytes, Size);
            mirror.bwlimit = bytes.map(|rate| Bandwidth::Always(Rate(rate)));
            mirror.settle = settle;
            mirror.max_delay = settle;
            mirror.max_delete = Some(u64::from(number));
            mirror.options.set("chmod", OptionValue::Text(chmod)).unwrap();
            mirror.options.set("modify-window", OptionValue::Number(i64::from(number))).unwrap();
            mirror.targets = vec![one, two];
            mirror.hooks = hooks;
            let to = StreamAddress::Tcp("127.0.0.1:80".parse().unwrap());
            mirror.streams = vec![Stream::new(to, StreamFormat::Sersync)];
            mirror
        },
    )
}

proptest! {
    #[test]
    fn what_is_printed_is_read_as_the_same(one in mirror(0), two in mirror(1), addr in any::<u16>()) {
        let mut config = Config::default();
        config.status_addr = Some(([127, 0, 0, 1], addr).into());
        config.mirrors = vec![one, two];
        let printed = config.print().unwrap();
        prop_assert_eq!(parse(&printed).map_err(|error| format!("{error}\n{printed}")), Ok(config));
    }
}
