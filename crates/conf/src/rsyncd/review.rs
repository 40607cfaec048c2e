//! Warnings that need the whole configuration: about values that are kept as text, and about modules.

use std::collections::HashSet;

use super::parameters::{Effective, ModuleSettings};
use super::reader::{Extent, is_text, lookalike_in};
use super::value::{Kind, Origin};
use super::warning::{Warning, WarningKind};
use super::{Config, Module, Setting};
use crate::Text;
use crate::access::{AccessFinding, AccessList};
use crate::auth::AuthRules;
use crate::socket_options;
use crate::text::show;

pub(super) fn review(config: &Config, extent: Extent, warnings: &mut Vec<Warning>) {
    let mut review = Review { seen: HashSet::new(), warnings: Vec::new() };
    review.values(&config.global.effective());
    review.global(config);
    review.settings(&config.defaults);
    if extent == Extent::Whole {
        for module in &config.modules {
            review.module(module);
        }
    }
    warnings.append(&mut review.warnings);
    // Stable: what was read first comes first, the command line before every file.
    warnings.sort_by_cached_key(|warning| match &warning.origin {
        Origin::BuiltIn | Origin::CommandLine => None,
        Origin::File(location) => Some(location.clone()),
    });
}

/// Where a comment seems to begin: a `#` after a blank.
pub(super) fn comment_start(value: &[u8]) -> Option<usize> {
    let hash =
        |at: usize| value[at..].starts_with(b"#") || value[at..].starts_with("＃".as_bytes());
    (1..value.len()).find(|&at| hash(at) && matches!(value[at - 1], b' ' | b'\t'))
}

struct Review {
    /// A default that is odd is odd once, however many modules have it.
    seen: HashSet<Warning>,
    warnings: Vec<Warning>,
}

impl Review {
    fn warn(&mut self, origin: &Origin, kind: WarningKind) {
        let warning = Warning { origin: origin.clone(), kind };
        if *origin != Origin::BuiltIn && self.seen.insert(warning.clone()) {
            self.warnings.push(warning);
        }
    }

    fn global(&mut self, config: &Config) {
        let global = &config.global;
        for finding in socket_options::parse(global.socket_options.as_bytes()).1 {
            self.warn(global.socket_options.origin(), WarningKind::SocketOption { finding });
        }
        self.access_list("proxy protocol hosts", &global.proxy_protocol_hosts, false);
        if *global.proxy_protocol && global.proxy_protocol_hosts.is_empty() {
            self.warn(global.proxy_protocol.origin(), WarningKind::NoProxyHosts);
        }
    }

    fn settings(&mut self, settings: &ModuleSettings) {
        self.values(&settings.effective());
        let digest = settings.auth_digest.as_bytes();
        let known = ["sha512", "sha256", "sha1", "md5", "md4"];
        if !digest.is_empty()
            && !known.iter().any(|name| digest.eq_ignore_ascii_case(name.as_bytes()))
        {
            self.warn(
                settings.auth_digest.origin(),
                WarningKind::UnknownDigest { value: show(digest) },
            );
        }
        for finding in AuthRules::parse(settings.auth_users.as_bytes()).findings() {
            self.warn(settings.auth_users.origin(), WarningKind::Auth { finding });
        }
        for word in settings.refuse_options.as_bytes().split(|&byte| byte == b' ') {
            if word.contains(&b',') {
                let kind = WarningKind::CommaInRefuseOptions { word: show(word) };
                self.warn(settings.refuse_options.origin(), kind);
            }
        }
    }

    fn module(&mut self, module: &Module) {
        let settings = &module.settings;
        self.settings(settings);
        self.access_list("hosts allow", &settings.hosts_allow, false);
        // With both lists set, who is on neither may enter: a deny list that denies nobody opens the module.
        let deny = AccessList::parse(settings.hosts_deny.as_bytes());
        let opens = !settings.hosts_allow.is_empty() && deny.denies_nobody();
        self.access_list("hosts deny", &settings.hosts_deny, opens);
        let name = show(&module.name);
        let header = Origin::File(module.location.clone());
        if settings.path.is_empty() {
            self.warn(&header, WarningKind::NoPath { module: name.clone() });
        }
        if !settings.auth_users.is_empty() && settings.secrets_file.is_empty() {
            self.warn(&header, WarningKind::NoSecretsFile { module: name });
        }
    }

    fn access_list(&mut self, name: &'static str, setting: &Setting<Text>, opens: bool) {
        for finding in AccessList::parse(setting.as_bytes()).findings() {
            let opens = opens && !matches!(finding, AccessFinding::CommentWord { .. });
            self.warn(setting.origin(), WarningKind::Access { name, finding, opens });
        }
    }

    /// Comments and full-width characters in values that hold neither.
    fn values(&mut self, settings: &[Effective<'_>]) {
        for Effective { parameter, value, origin } in settings {
            let name = parameter.name;
            // A shell command may hold a `#`, and lists have findings of their own.
            let looked_at_elsewhere = name.ends_with("exec")
                || matches!(
                    name,
                    "name converter"
                        | "hosts allow"
                        | "hosts deny"
                        | "proxy protocol hosts"
                        | "auth users"
                );
            if !is_text(parameter.kind) || looked_at_elsewhere {
                continue;
            }
            if comment_start(value).is_some() {
                self.warn(origin, WarningKind::CommentInValue { name, value: show(value) });
                continue;
            }
            let any_text = parameter.kind == Kind::Path
                || name.ends_with("file")
                || name.ends_with("from")
                || matches!(name, "comment" | "daemon chroot" | "filter" | "include" | "exclude");
            if let Some(lookalike) = lookalike_in(value).filter(|_| !any_text) {
                self.warn(
                    origin,
                    WarningKind::LookalikeInValue { name, value: show(value), lookalike },
                );
            }
        }
    }
}
