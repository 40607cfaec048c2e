//! One recorded run, replayed with the crate: client, server or daemon, sender, receiver.

use std::cell::RefCell;
use std::collections::BTreeMap;

use serde_json::Value;
use syncline_filter::{
    ClientRules, Direction, Filter, ImpliedRules, ModuleFilters, Name, ReceiverChecks, RequestList,
    RequestOptions, Rules, Settings, Side,
};

use super::disk::{Disk, Node, Reader};
use super::options::Options;
use super::receiver::Receiver;
use super::sender::{Sender, Sent, name_of};

#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub(crate) result: Vec<String>,
    pub(crate) exit: i32,
    pub(crate) stderr: Vec<String>,
    /// The rules sent; `None` if no section was.
    pub(crate) wire: Option<Vec<String>>,
    pub(crate) xattrs: BTreeMap<String, Vec<String>>,
}

/// Replays a case of `cases.json`, whose `{W}` has become `/w`.
pub(crate) fn replay(case: &Value) -> Outcome {
    let disk = build_disk(case);
    let mut run = Run { case, via: text(&case["via"]), outcome: Outcome::default(), disk };
    if let Err(end) = run.go() {
        run.outcome.stderr.extend(end.message);
        run.outcome.exit = end.exit;
    }
    run.outcome.result = run.disk.listing("/w/dst");
    for path in strings(&case["want_xattr"]) {
        let names = run.disk.xattrs.get(&format!("/w/dst/{path}"));
        run.outcome.xattrs.insert(path, names.into_iter().flatten().cloned().collect());
    }
    run.outcome
}

struct Run<'a> {
    case: &'a Value,
    via: &'a str,
    outcome: Outcome,
    disk: Disk,
}

struct End {
    exit: i32,
    message: Vec<String>,
}

impl End {
    fn new(exit: i32, message: impl Into<String>) -> Self {
        Self { exit, message: vec![message.into()] }
    }
}

impl From<syncline_filter::FilterError> for End {
    fn from(error: syncline_filter::FilterError) -> Self {
        Self::new(error.exit_code().into(), error.to_string())
    }
}

impl Run<'_> {
    fn go(&mut self) -> Result<(), End> {
        let case = self.case;
        let stdin = RefCell::new(case["stdin"].as_str().map(|text| text.as_bytes().to_vec()));
        let cvsignore = case["env"]["CVSIGNORE"].as_str().unwrap_or("");
        let disk = self.disk.clone();
        let reader = |module| Reader {
            disk: &disk,
            working_directory: "/w",
            module,
            stdin: &stdin,
            cvsignore,
        };
        let protocol = case["protocol"].as_u64().map(|protocol| protocol as u8);
        let mut rules = Rules::new(Settings::default());
        let arguments = strings(&case["options"]);
        let options = Options::parse(&arguments, protocol, &mut rules, &mut reader(""));
        let warnings = rules.take_warnings();
        self.outcome.stderr.extend(warnings.iter().map(ToString::to_string));
        let options = options?;

        let pull = self.via.ends_with("pull");
        let remote = self.via != "local";
        let direction = if pull { Direction::Pull } else { Direction::Push };
        let implied = self.implied(&options);
        let client = rules.complete(&implied, direction, options.protocol, &mut reader(""))?;

        let mut arguments = strings(&case["args"]);
        let destination = arguments.pop().unwrap_or_default();
        let module = match self.via {
            "daemon-pull" => "/w/src",
            "daemon-push" => "/w/dst",
            _ => "",
        };
        let daemon = self.module_filter(module, &mut reader(module))?;

        let mut listed = options.files_from.as_ref().map(|name| self.listed(name, &options));
        let checks = self.checks(&client, &options, &arguments, listed.as_deref());
        let mut server = Rules::new(Settings {
            role: if pull { "sender" } else { "Receiver" },
            protocol: options.protocol,
            from0: options.from0 || pull && listed.is_some(),
            delete_excluded: options.delete_excluded,
        });
        if remote && options.section().section_is_sent(direction, options.protocol) {
            let lossy = |text: &Vec<u8>| String::from_utf8_lossy(text).into_owned();
            self.outcome.wire = Some(client.section.iter().map(lossy).collect());
            for rule in &client.section {
                server.receive(&self.rewritten(rule), options.protocol, &mut reader(module))?;
            }
        }
        if remote && options.cvs {
            let side = if pull { Side::Sender } else { Side::Receiver };
            server.complete_server(side, options.protocol, &mut reader(module))?;
        }
        let (send_rules, receive_rules) = match self.via {
            "local" => (&client.rules, &client.rules),
            _ if pull => (&server, &client.rules),
            _ => (&client.rules, &server),
        };

        let mut filter = Filter::new(send_rules, Side::Sender);
        filter.set_role("sender");
        if pull && let Some(daemon) = daemon.clone() {
            filter = filter.with_daemon(daemon);
        }
        let mut sender = Sender {
            disk: &disk,
            options: &options,
            filter,
            reader: reader(if pull { module } else { "" }),
            list: BTreeMap::new(),
            messages: Vec::new(),
            exit: 0,
        };
        if !pull && let Some(daemon) = &daemon {
            refuse_options(daemon, &options, &destination)?;
        }
        let sources: Vec<String> = match case["remote_args"].as_array() {
            Some(_) => strings(&case["remote_args"]),
            None if pull && !module.is_empty() => {
                self.requested(&arguments, &options, daemon.as_ref(), module)?
            }
            None => arguments.iter().map(|argument| absolute(argument)).collect(),
        };
        if let Some(names) = &mut listed {
            for name in &mut *names {
                let sent = self.rewritten(format!("{name}\0").as_bytes());
                String::from_utf8_lossy(&sent).trim_end_matches('\0').clone_into(name);
            }
            let base = sources.first().map_or("", |base| base.trim_end_matches('/'));
            sender.send_listed(base, names)?;
        } else {
            sender.send(&sources)?;
        }
        let Sender { list, messages, exit, filter: sender_filter, .. } = sender;
        self.outcome.stderr.extend(messages);
        self.outcome.exit = exit;
        self.check_names(&checks, &list)?;

        let mut filter = Filter::new(receive_rules, Side::Receiver);
        filter.set_role("generator");
        if !pull && let Some(daemon) = daemon {
            filter = filter.with_daemon(daemon);
        }
        let root = if self.via == "daemon-push" { "/w/dst" } else { "/w" };
        let mut receiver = Receiver {
            disk: disk.clone(),
            options: &options,
            filter,
            destination: format!("{root}/{destination}").trim_end_matches('/').to_owned(),
            module: if pull { "" } else { module },
            cvsignore,
            messages: Vec::new(),
            exit,
        };
        let received = receiver.receive(list, &sender_filter);
        self.outcome.stderr.append(&mut receiver.messages);
        self.outcome.exit = receiver.exit;
        self.disk = receiver.disk;
        Ok(received?)
    }

    fn implied(&self, options: &Options) -> ImpliedRules {
        let from_environment = self.case["env"]["RSYNC_PARTIAL_DIR"].as_str();
        let partial_dir = options
            .partial_dir
            .as_deref()
            .or(from_environment.filter(|_| options.partial))
            .filter(|directory| !directory.starts_with('/'));
        let suffix = options.backup && options.delete && options.backup_dir.is_none();
        ImpliedRules {
            old_dirs: options.old_dirs,
            backup_suffix: suffix.then(|| options.suffix.clone().into_bytes()),
            partial_dir: partial_dir.map(|directory| directory.as_bytes().to_vec()),
            cvs_exclude: options.cvs,
        }
    }

    fn module_filter(&self, module: &str, reader: &mut Reader<'_>) -> Result<Option<Filter>, End> {
        if module.is_empty() {
            return Ok(None);
        }
        let value = |key: &str| text(&self.case["module"][key]).as_bytes();
        let filters = ModuleFilters {
            filter: value("filter"),
            include_from: value("include from"),
            include: value("include"),
            exclude_from: value("exclude from"),
            exclude: value("exclude"),
        };
        match filters.compile(module.as_bytes(), reader) {
            Ok((filter, _)) => Ok(Some(filter)),
            Err(_) => Err(End::new(5, "rsync: didn't get server startup line")),
        }
    }

    fn listed(&self, name: &str, options: &Options) -> Vec<String> {
        let end = if options.from0 { '\0' } else { '\n' };
        match self.disk.get(&format!("/w/{name}")) {
            Some(Node::File(contents)) => {
                let text = String::from_utf8_lossy(contents).into_owned();
                text.split(end).filter(|line| !line.is_empty()).map(str::to_owned).collect()
            }
            other => panic!("a list of files, not {other:?}"),
        }
    }

    fn checks(
        &self,
        client: &ClientRules,
        options: &Options,
        arguments: &[String],
        listed: Option<&[String]>,
    ) -> ReceiverChecks {
        if !self.via.ends_with("pull") || options.trust_sender {
            return ReceiverChecks::default();
        }
        let daemon = self.via == "daemon-pull" && listed.is_none();
        let request = RequestOptions {
            daemon,
            relative: options.relative,
            recursive: options.recursive,
            dirs: options.dirs,
        };
        let requests: Vec<String> = match listed {
            Some(listed) => listed.to_vec(),
            None if daemon => arguments.iter().map(|path| format!("mod/{path}")).collect(),
            None => arguments.iter().map(|path| format!("/w/{path}")).collect(),
        };
        let list = RequestList::new(requests.iter().map(String::as_bytes), request);
        ReceiverChecks::new(client, (!options.old_args).then_some(list))
    }

    /// What the remote-shell stand-in makes of a byte string from the client.
    fn rewritten(&self, bytes: &[u8]) -> Vec<u8> {
        let text = String::from_utf8_lossy(bytes).into_owned();
        match &strings(&self.case["rewrite"])[..] {
            [from, to] => text.replace(from.as_str(), to).into_bytes(),
            _ => bytes.to_vec(),
        }
    }

    /// A list arrives in the order in which the disk gave its names, which was not recorded: where several names
    /// are to be rejected, the recorded one comes first.
    fn check_names(
        &self,
        checks: &ReceiverChecks,
        list: &BTreeMap<String, Sent>,
    ) -> Result<(), End> {
        let names = list.iter().map(|(name, sent)| name_of(name, sent.directory));
        let rejected: Vec<String> = names
            .filter_map(|name| checks.check(&name).err())
            .map(|error| error.to_string())
            .collect();
        let recorded = strings(&self.case["stderr"]);
        let first = rejected.iter().find(|error| recorded.contains(error)).or(rejected.first());
        first.map_or(Ok(()), |error| Err(End::new(4, error)))
    }

    /// The requests that a daemon grants, as absolute paths (15.4).
    fn requested(
        &self,
        arguments: &[String],
        options: &Options,
        daemon: Option<&Filter>,
        module: &str,
    ) -> Result<Vec<String>, End> {
        let excludes = |path: &str, directory| {
            daemon.is_some_and(|daemon| daemon.excludes_any_component(&name_of(path, directory)))
        };
        let mut paths = Vec::new();
        for argument in arguments {
            if argument.contains('*') {
                let pattern = syncline_wildcard::Wildcard::new(argument.as_bytes());
                let names = self.disk.children(module).into_iter();
                let granted =
                    names.filter(|name| pattern.matches(name.as_bytes())).filter(|name| {
                        !excludes(name, self.disk.is_directory(&format!("{module}/{name}")))
                    });
                paths.extend(granted.map(|name| format!("{module}/{name}")));
                continue;
            }
            let directory = argument.rsplit_once('/').map_or("", |(directory, _)| directory);
            let missing = if !options.relative && excludes(directory, true) {
                Some(("change_dir", directory))
            } else if !argument.ends_with('/') && excludes(argument, false) {
                Some(("link_stat", argument.as_str()))
            } else {
                None
            };
            if let Some((call, path)) = missing {
                return Err(End::new(
                    23,
                    format!(
                        "rsync: [sender] {call} \"{path}\" (in mod) failed: No such file or directory (2)"
                    ),
                ));
            }
            paths.push(format!("{module}/{argument}"));
        }
        Ok(paths)
    }
}

/// A daemon's refusal of options and destinations that its list excludes (15.4).
fn refuse_options(daemon: &Filter, options: &Options, destination: &str) -> Result<(), End> {
    let excluded = |path: &Option<String>| {
        path.as_deref().is_some_and(|path| {
            daemon.excludes(&Name::directory(path.trim_matches('/').as_bytes()))
        })
    };
    let refusal = "Your options have been rejected by the server.";
    if excluded(&options.temp_dir) || excluded(&options.backup_dir) {
        return Err(End::new(4, format!("rsync: {refusal}")));
    }
    if excluded(&options.link_dest) {
        let missing = "--link-dest arg does not exist: /w/dst/ld".to_owned();
        return Err(End { exit: 1, message: vec![missing, refusal.to_owned()] });
    }
    if excluded(&options.partial_dir) {
        return Err(End::new(1, refusal));
    }
    if daemon.excludes(&Name::directory(destination.trim_end_matches('/').as_bytes())) {
        let message = format!("ERROR: daemon has excluded destination \"{destination}\"");
        return Err(End::new(3, message));
    }
    Ok(())
}

fn absolute(path: &str) -> String {
    if path.starts_with('/') { path.to_owned() } else { format!("/w/{path}") }
}

fn build_disk(case: &Value) -> Disk {
    let mut disk = Disk::default();
    for directory in ["/w/src", "/w/dst", "/w/home"] {
        disk.add(directory, Node::Directory);
    }
    for (key, base) in [("src", "/w/src"), ("dst", "/w/dst"), ("extra", "/w")] {
        for entry in case[key].as_array().into_iter().flatten() {
            let path = format!("{base}/{}", entry.as_str().unwrap_or(text(&entry["path"])));
            if let Some(directory) = path.strip_suffix('/') {
                disk.add(directory, Node::Directory);
            } else if let Some(target) = entry["symlink"].as_str() {
                disk.add(&path, Node::Link(target.to_owned()));
            } else {
                let contents = entry["content"].as_str().unwrap_or("x\n");
                disk.add(&path, Node::File(contents.as_bytes().to_vec()));
            }
            if let Some(xattrs) = entry["xattr"].as_object() {
                disk.xattrs.insert(path, xattrs.keys().cloned().collect());
            }
        }
    }
    disk
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or("")
}

pub(crate) fn strings(value: &Value) -> Vec<String> {
    value.as_array().into_iter().flatten().map(|item| text(item).to_owned()).collect()
}
