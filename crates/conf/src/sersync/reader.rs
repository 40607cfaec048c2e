//! The tree of elements to values.

use super::expression;
use super::xml::{self, Element, XmlProblem};
use super::{
    Auth, Confxml, ConfxmlProblem, Crontab, Events, Expression, FailLog, Filter, Finding,
    FindingKind, LocalPath, Parsed, Plugin, Remote,
};
use crate::Error;
use crate::rsyncd::leading_integer;
use crate::text::show;

pub(super) fn read(text: &[u8]) -> Result<Parsed, Error> {
    let head = xml::parse(text)?;
    if head.name != b"head" {
        let problem = XmlProblem::WrongRoot(show(&head.name));
        return Err(Error::Xml { line: head.line, column: 1, problem });
    }
    let mut reader = Reader { findings: Vec::new() };
    let confxml = reader.head(&head)?;
    let mut findings = reader.findings;
    findings.sort_by_key(|finding| finding.line);
    Ok(Parsed { confxml, findings })
}

/// Collects findings on the way.
struct Reader {
    findings: Vec<Finding>,
}

/// An element that may be missing, and the line to name then.
#[derive(Clone, Copy)]
struct Place<'a> {
    element: Option<&'a Element>,
    name: &'static str,
    line: u32,
}

impl<'a> Place<'a> {
    fn attribute(self, name: &str) -> Option<&'a [u8]> {
        let attributes = &self.element?.attributes;
        let found = attributes.iter().find(|(attribute, _)| attribute == name.as_bytes());
        found.map(|(_, value)| &value[..])
    }

    fn child(self, child: &'static str) -> Place<'a> {
        let found = self.element.and_then(|element| children(element, child).next());
        Place { element: found, name: child, line: found.map_or(self.line, |element| element.line) }
    }
}

fn children<'a>(element: &'a Element, name: &'static str) -> impl Iterator<Item = &'a Element> {
    element.children.iter().filter(move |child| child.name == name.as_bytes())
}

impl Reader {
    fn head(&mut self, head: &Element) -> Result<Confxml, Error> {
        self.look_for_strangers(head, &HEAD);
        let top = Place { element: Some(head), name: "head", line: head.line };
        self.required(top.child("host"));
        let debug = self.required(top.child("debug"));
        let debug = self.switch(debug, "start", "debug", false);
        let xfs = self.required(top.child("fileSystem"));
        let xfs = self.switch(xfs, "xfs", "fileSystem", false);
        let filter = self.required(top.child("filter"));
        let filter = self.filter(filter, "filter", "exclude");
        let inotify = self.required(top.child("inotify"));
        let events = self.events(inotify);

        let sersync = top.child("sersync");
        let (source, ignored_sources) = self.sources(sersync)?;
        let rsync = sersync.child("rsync");
        let params = self.required(rsync.child("commonParams"));
        let params = self.text(params, "params", "commonParams", b"-artuz");
        let auth = self.required(rsync.child("auth"));
        let auth = self.switch(auth, "start", "auth", false).then(|| Auth {
            users: self.text(auth, "users", "auth", b"root"),
            password_file: self.text(auth, "passwordfile", "auth", b"/etc/rsync.pas"),
        });
        let port = self.required(rsync.child("userDefinedPort"));
        let port = self
            .switch(port, "start", "userDefinedPort", false)
            .then(|| self.port(port, "userDefinedPort", 874));
        let timeout = self.required(rsync.child("timeout"));
        let timeout = self
            .switch(timeout, "start", "timeout", false)
            .then(|| u32::try_from(self.number(timeout, "time", "timeout", 100)).unwrap_or(0));
        let ssh = self.required(rsync.child("ssh"));
        let ssh = self.switch(ssh, "start", "ssh", false);

        let fail_log = self.required(sersync.child("failLog"));
        let fail_log = FailLog {
            path: self.text(fail_log, "path", "failLog", b"/tmp/rsync_fail_log.sh"),
            minutes: self.number(fail_log, "timeToExecute", "failLog", 60),
        };
        let crontab = self.required(sersync.child("crontab"));
        let crontab = self.crontab(crontab, filter.on);
        let plugins: Vec<Plugin> =
            children(head, "plugin").filter_map(|plugin| self.plugin(plugin)).collect();
        let plugin = self.required(sersync.child("plugin"));
        let plugin_line = plugin.line;
        let plugin = self
            .switch(plugin, "start", "plugin", false)
            .then(|| self.text(plugin, "name", "plugin", b"command"));

        let confxml = Confxml {
            debug,
            xfs,
            filter,
            events,
            source,
            ignored_sources,
            params,
            auth,
            port: port.flatten(),
            timeout,
            ssh,
            fail_log,
            crontab,
            plugin,
            plugins,
        };
        self.check_plugin(&confxml, plugin_line);
        Ok(confxml)
    }

    fn sources(&mut self, sersync: Place<'_>) -> Result<(LocalPath, Vec<LocalPath>), Error> {
        let fail = |line, problem| Error::Confxml { line, problem };
        let mut paths = Vec::new();
        for element in
            sersync.element.into_iter().flat_map(|element| children(element, "localpath"))
        {
            let line = element.line;
            let place = Place { element: Some(element), name: "localpath", line };
            let remotes = children(element, "remote").map(|remote| {
                let place = Place { element: Some(remote), name: "remote", line: remote.line };
                let attribute = |name| place.attribute(name).unwrap_or_default().to_vec();
                (remote.line, Remote { ip: attribute("ip"), name: attribute("name") })
            });
            let remotes: Vec<(u32, Remote)> = remotes.collect();
            let watch = place.attribute("watch").unwrap_or_default().to_vec();
            if paths.is_empty() {
                if watch.is_empty() {
                    return Err(fail(line, ConfxmlProblem::EmptyWatch));
                }
                if remotes.is_empty() {
                    return Err(fail(line, ConfxmlProblem::NoRemote));
                }
                for (line, remote) in &remotes {
                    if remote.ip.is_empty() {
                        return Err(fail(*line, ConfxmlProblem::EmptyIp));
                    }
                    if remote.name.is_empty() {
                        return Err(fail(*line, ConfxmlProblem::NoName));
                    }
                }
            } else {
                self.find(line, FindingKind::SecondLocalpath(show(&watch)));
            }
            paths.push(LocalPath {
                watch,
                remotes: remotes.into_iter().map(|(_, remote)| remote).collect(),
                line,
            });
        }
        if paths.is_empty() {
            return Err(fail(sersync.line, ConfxmlProblem::NoLocalpath));
        }
        let source = paths.remove(0);
        Ok((source, paths))
    }

    fn events(&mut self, inotify: Place<'_>) -> Events {
        let mut switch = |name: &'static str, default: bool| {
            let place = inotify.child(name);
            let shown = format!("inotify/{name}");
            if inotify.element.is_some() && place.element.is_none() {
                self.find(place.line, FindingKind::Missing(shown.clone()));
            }
            self.switch(place, "start", &shown, default)
        };
        Events {
            delete: switch("delete", true),
            create_folder: switch("createFolder", true),
            create_file: switch("createFile", false),
            close_write: switch("closeWrite", true),
            move_from: switch("moveFrom", true),
            move_to: switch("moveTo", true),
            attrib: switch("attrib", false),
            modify: switch("modify", false),
        }
    }

    fn crontab(&mut self, crontab: Place<'_>, filter_is_on: bool) -> Option<Crontab> {
        let on = self.switch(crontab, "start", "crontab", false);
        let filter = crontab.child("crontabfilter");
        let filter_on =
            filter.element.is_some() && self.switch(filter, "start", "crontabfilter", false);
        if !on {
            return None;
        }
        let minutes = match self.number(crontab, "schedule", "crontab", 600) {
            minutes @ 1.. => minutes,
            _ => 600,
        };
        let switched_off = filter_is_on && !filter_on;
        if switched_off {
            self.find(crontab.line, FindingKind::CrontabSwitchedOff);
        }
        let filter = if filter_on { self.expressions(filter, "exclude") } else { Vec::new() };
        Some(Crontab {
            minutes,
            filter: filter.into_iter().map(|(_, text)| text).collect(),
            switched_off,
        })
    }

    fn plugin(&mut self, element: &Element) -> Option<Plugin> {
        let place = Place { element: Some(element), name: "plugin", line: element.line };
        let local = place.child("localpath");
        let watch = local.attribute("watch").unwrap_or_default().to_vec();
        let text = |place: Place<'_>, name| place.attribute(name).unwrap_or_default().to_vec();
        match place.attribute("name")? {
            b"command" => {
                let param = place.child("param");
                Some(Plugin::Command {
                    prefix: text(param, "prefix"),
                    suffix: text(param, "suffix"),
                    ignore_error: self.switch(param, "ignoreError", "plugin/param", false),
                    filter: self.filter(place.child("filter"), "plugin/filter", "include"),
                })
            }
            b"socket" => {
                let host = local.child("deshost");
                Some(Plugin::Socket {
                    watch,
                    ip: text(host, "ip"),
                    port: self.port(host, "plugin/deshost", 8009)?,
                })
            }
            b"refreshCDN" => {
                let info = local.child("cdninfo");
                let regex = local.child("regexurl");
                Some(Plugin::RefreshCdn {
                    watch,
                    domain_name: text(info, "domainname"),
                    port: self.port(info, "plugin/cdninfo", 80)?,
                    user_name: text(info, "username"),
                    password: text(info, "passwd"),
                    base: text(local.child("sendurl"), "base"),
                    regex: self.switch(regex, "regex", "plugin/regexurl", false),
                    pattern: text(regex, "match"),
                })
            }
            _ => None,
        }
    }

    fn check_plugin(&mut self, confxml: &Confxml, line: u32) {
        let Some(name) = &confxml.plugin else { return };
        let shown = show(name);
        match confxml.active_plugin() {
            None if matches!(&name[..], b"command" | b"socket" | b"refreshCDN") => {
                self.find(line, FindingKind::UndefinedPlugin(shown));
            }
            None => self.find(line, FindingKind::UnknownPlugin(shown)),
            Some(plugin) => {
                let directory = |path: &[u8]| path.strip_suffix(b"/").unwrap_or(path).to_vec();
                if let Some(watch) = plugin
                    .watch()
                    .filter(|watch| directory(watch) != directory(&confxml.source.watch))
                {
                    let kind =
                        FindingKind::PluginReplacesSource { plugin: shown, watch: show(watch) };
                    self.find(line, kind);
                }
            }
        }
    }

    fn filter(&mut self, place: Place<'_>, shown: &str, child: &'static str) -> Filter {
        let on = place.element.is_some() && self.switch(place, "start", shown, false);
        let mut expressions = Vec::new();
        for (line, text) in self.expressions(place, child) {
            let valid = expression::is_valid(&text);
            if on && !valid {
                self.find(line, FindingKind::BadRegex(show(&text)));
            }
            expressions.push(Expression { text, valid });
        }
        Filter { on, expressions }
    }

    /// As many children as there are expressions, from the first: another element among them pushes one out.
    fn expressions(&mut self, place: Place<'_>, child: &'static str) -> Vec<(u32, Vec<u8>)> {
        let Some(element) = place.element else { return Vec::new() };
        let count = children(element, child).count();
        let mut read = Vec::new();
        for (index, element) in element.children.iter().enumerate() {
            if element.name != child.as_bytes() {
                continue;
            }
            let place = Place { element: Some(element), name: child, line: element.line };
            let text = place.attribute("expression").unwrap_or_default();
            if index < count {
                read.push((element.line, text.to_vec()));
            } else {
                self.find(element.line, FindingKind::ExpressionNotRead(show(text)));
            }
        }
        read
    }

    /// Notes that an element is missing which sersync cannot do without.
    fn required<'a>(&mut self, place: Place<'a>) -> Place<'a> {
        if place.element.is_none() {
            self.find(place.line, FindingKind::Missing(place.name.to_owned()));
        }
        place
    }

    /// `true`, or anything else for false. The default is that of a missing element.
    fn switch(
        &mut self,
        place: Place<'_>,
        attribute: &'static str,
        shown: &str,
        default: bool,
    ) -> bool {
        match self.attribute(place, attribute, shown) {
            None => default,
            Some(b"true") => true,
            Some(b"false") => false,
            Some(value) => {
                let kind = FindingKind::NotTrue { element: shown.to_owned(), value: show(value) };
                self.find(place.line, kind);
                false
            }
        }
    }

    fn text(
        &mut self,
        place: Place<'_>,
        attribute: &'static str,
        shown: &str,
        default: &[u8],
    ) -> Vec<u8> {
        self.attribute(place, attribute, shown).unwrap_or(default).to_vec()
    }

    fn number(
        &mut self,
        place: Place<'_>,
        attribute: &'static str,
        shown: &str,
        default: i32,
    ) -> i32 {
        let Some(value) = self.attribute(place, attribute, shown) else { return default };
        let (number, whole) = leading_integer(value);
        if !whole {
            let (element, value) = (shown.to_owned(), show(value));
            self.find(
                place.line,
                FindingKind::NotANumber { element, value, taken: i64::from(number) },
            );
        }
        number
    }

    fn port(&mut self, place: Place<'_>, shown: &str, default: u16) -> Option<u16> {
        let Some(value) = self.attribute(place, "port", shown) else { return Some(default) };
        let port = str::from_utf8(value)
            .ok()
            .and_then(|digits| digits.parse().ok())
            .filter(|&port| port != 0);
        if port.is_none() {
            self.find(
                place.line,
                FindingKind::NotAPort { element: shown.to_owned(), value: show(value) },
            );
        }
        port
    }

    /// An attribute that must be there if its element is.
    fn attribute<'a>(
        &mut self,
        place: Place<'a>,
        attribute: &'static str,
        shown: &str,
    ) -> Option<&'a [u8]> {
        let value = place.attribute(attribute);
        if value.is_none() && place.element.is_some() {
            self.find(place.line, FindingKind::Missing(format!("{shown}@{attribute}")));
        }
        value
    }

    fn look_for_strangers(&mut self, element: &Element, known: &Known) {
        for &line in &element.text_lines {
            self.find(line, FindingKind::TextIgnored);
        }
        for child in &element.children {
            match known.0.iter().find(|(name, _)| name.as_bytes() == child.name) {
                Some((_, known)) => self.look_for_strangers(child, known),
                None => self.find(child.line, FindingKind::UnknownElement(show(&child.name))),
            }
        }
    }

    fn find(&mut self, line: u32, kind: FindingKind) {
        self.findings.push(Finding { line, kind });
    }
}

/// The elements that mean something inside another.
struct Known(&'static [(&'static str, Known)]);

const NONE: Known = Known(&[]);
const PLUGIN_PATH: Known =
    Known(&[("deshost", NONE), ("cdninfo", NONE), ("sendurl", NONE), ("regexurl", NONE)]);
const HEAD: Known = Known(&[
    ("host", NONE),
    ("debug", NONE),
    ("fileSystem", NONE),
    ("filter", Known(&[("exclude", NONE)])),
    (
        "inotify",
        Known(&[
            ("delete", NONE),
            ("createFolder", NONE),
            ("createFile", NONE),
            ("closeWrite", NONE),
            ("moveFrom", NONE),
            ("moveTo", NONE),
            ("attrib", NONE),
            ("modify", NONE),
        ]),
    ),
    (
        "sersync",
        Known(&[
            ("localpath", Known(&[("remote", NONE)])),
            (
                "rsync",
                Known(&[
                    ("commonParams", NONE),
                    ("auth", NONE),
                    ("userDefinedPort", NONE),
                    ("timeout", NONE),
                    ("ssh", NONE),
                ]),
            ),
            ("failLog", NONE),
            ("crontab", Known(&[("crontabfilter", Known(&[("exclude", NONE)]))])),
            ("plugin", NONE),
        ]),
    ),
    (
        "plugin",
        Known(&[
            ("param", NONE),
            ("filter", Known(&[("include", NONE)])),
            ("localpath", PLUGIN_PATH),
        ]),
    ),
]);
