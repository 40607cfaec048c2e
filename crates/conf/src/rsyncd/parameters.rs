//! The table of all parameters: reading, printing and documentation come from it.

use std::collections::HashMap;
use std::sync::LazyLock;

use super::value::{
    Assign, Assigned, Facility, Kind, Origin, ParameterType, PathText, Setting, fold,
};
use crate::{Text, Variables};

/// One row of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parameter {
    /// Its one name. In a file blanks and case do not matter; there are no other spellings, here as in stock.
    pub name: &'static str,
    /// Where it may stand.
    pub scope: Scope,
    /// The kind of its value.
    pub kind: Kind,
    /// Its default as a file would have it; an empty string is unset.
    pub default: &'static str,
    /// Whether it is our own addition, which a stock daemon ignores as unknown.
    pub ours: bool,
    /// What it is for, in one line.
    pub help: &'static str,
}

/// Where a parameter may stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Outside of modules only.
    Global,
    /// In a module; outside it sets the default of the modules that follow.
    Module,
}

/// A parameter with its value as [`GlobalSettings::effective`] and [`ModuleSettings::effective`] list it.
#[derive(Debug, Clone)]
pub struct Effective<'a> {
    /// Which.
    pub parameter: &'static Parameter,
    /// The value as a file would have it.
    pub value: Vec<u8>,
    /// Where it came from.
    pub origin: &'a Origin,
}

/// All parameters, the global ones first.
pub fn parameters() -> impl Iterator<Item = &'static Parameter> {
    GLOBAL.iter().chain(std::iter::once(&NAME)).chain(MODULE)
}

/// The parameter of a name as a file has it.
pub fn parameter(name: &[u8]) -> Option<&'static Parameter> {
    static BY_NAME: LazyLock<HashMap<Vec<u8>, &Parameter>> = LazyLock::new(|| {
        parameters().map(|parameter| (fold(parameter.name.as_bytes()), parameter)).collect()
    });
    BY_NAME.get(&fold(name)).copied()
}

/// How many letters of a name may be wrong.
const MAX_DISTANCE: usize = 2;

/// The parameter that was probably meant by an unknown name.
pub(crate) fn nearest(name: &[u8]) -> Option<&'static str> {
    let letters = |name: &[u8]| -> Vec<u8> {
        fold(name).into_iter().filter(|byte| !matches!(byte, b'_' | b'-')).collect()
    };
    let sorted = |mut name: Vec<u8>| {
        name.sort_unstable();
        name
    };
    let wanted = letters(name);
    let wanted_sorted = sorted(wanted.clone());
    let score = |parameter: &&'static Parameter| {
        let known = letters(parameter.name.as_bytes());
        if known.len().abs_diff(wanted.len()) > MAX_DISTANCE {
            MAX_DISTANCE + 1
        } else if sorted(known.clone()) == wanted_sorted {
            // The same letters in another order: `allow hosts`.
            1
        } else {
            distance(&known, &wanted)
        }
    };
    let best = parameters().min_by_key(score)?;
    (score(&best) <= MAX_DISTANCE.min(wanted.len() / 3)).then_some(best.name)
}

/// The number of bytes to insert, remove or replace.
fn distance(left: &[u8], right: &[u8]) -> usize {
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, byte) in left.iter().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, other) in right.iter().enumerate() {
            let cost = diagonal + usize::from(byte != other);
            diagonal = row[j + 1];
            row[j + 1] = cost.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[right.len()]
}

/// `name` is about the module as a whole and thus no setting.
const NAME: Parameter = Parameter {
    name: "name",
    scope: Scope::Module,
    kind: Kind::String,
    default: "",
    ours: false,
    help: "Renames the module; unset: the name in its header",
};

/// What a reader does with a set of parameters.
pub(super) trait Settings {
    /// None: it has no such parameter.
    fn assign(
        &mut self,
        name: &str,
        value: &[u8],
        origin: &Origin,
        variables: &dyn Variables,
    ) -> Option<Assigned>;

    fn take_late_defaults(&mut self, defaults: &Self);
}

macro_rules! settings {
    ($(#[$doc:meta])* $settings:ident, $scope:ident, $table:ident {
        $($field:ident: $type:ty = $default:literal, $name:literal, $ours:literal, $help:literal;)*
    }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq)]
        #[non_exhaustive]
        pub struct $settings {
            $(#[doc = concat!("`", $name, "`: ", $help, ".")] pub $field: Setting<$type>,)*
        }

        const $table: &[Parameter] = &[$(Parameter {
            name: $name,
            scope: Scope::$scope,
            kind: <$type as ParameterType>::KIND,
            default: $default,
            ours: $ours,
            help: $help,
        },)*];

        impl Default for $settings {
            fn default() -> Self {
                Self { $($field: Setting::built_in($default),)* }
            }
        }

        impl $settings {
            /// Every parameter with its value and origin, in the order of the table.
            pub fn effective(&self) -> Vec<Effective<'_>> {
                let values = [$((self.$field.written(), self.$field.origin()),)*];
                let rows = $table.iter().zip(values);
                rows.map(|(parameter, (value, origin))| Effective { parameter, value, origin }).collect()
            }
        }

        impl Settings for $settings {
            fn assign(
                &mut self,
                name: &str,
                value: &[u8],
                origin: &Origin,
                variables: &dyn Variables,
            ) -> Option<Assigned> {
                match name {
                    $($name => Some(self.$field.assign(value, origin, variables)),)*
                    _ => None,
                }
            }

            fn take_late_defaults(&mut self, defaults: &Self) {
                $(self.$field.take_late_default($default, &defaults.$field);)*
            }
        }
    };
}

settings! {
    /// The parameters of the daemon as a whole (daemon.md 3.1).
    GlobalSettings, Global, GLOBAL {
        address: Text = "", "address", false, "IP address or host name to listen on; unset: all addresses";
        port: i32 = "873", "port", false, "TCP port to listen on; 0 is the default";
        socket_options: Text = "", "socket options", false, "Options of the listening sockets, each NAME or NAME=NUMBER";
        listen_backlog: i32 = "5", "listen backlog", false, "Connections the kernel holds until they are accepted";
        pid_file: Text = "", "pid file", false, "File that holds the daemon's process id and is locked while it lives";
        motd_file: Text = "", "motd file", false, "File sent to every client after the greeting";
        daemon_chroot: Text = "", "daemon chroot", false, "Directory a session makes its root before the greeting";
        daemon_gid: Text = "", "daemon gid", false, "Group a session takes before the greeting";
        daemon_uid: Text = "", "daemon uid", false, "User a session becomes before the greeting";
        proxy_protocol: bool = "no", "proxy protocol", false, "Every connection begins with a PROXY header of version 1 or 2";
        proxy_protocol_hosts: Text = "", "proxy protocol hosts", false, "Peers that may send a PROXY header; unset: none may";
        max_connections_per_host: i32 = "0", "max connections per host", true, "Connections from one address at a time; 0 is no limit";
        log_json: bool = "no", "log json", true, "Log one JSON object a line";
        tls_cert: PathText = "", "tls cert", true, "Certificate chain in PEM for connections with TLS; unset: no TLS";
        tls_key: PathText = "", "tls key", true, "Private key in PEM of the certificate";
    }
}

settings! {
    /// The parameters of a module, or their defaults (daemon.md 3.2 to 3.4).
    ModuleSettings, Module, MODULE {
        comment: Text = "", "comment", false, "Text in the list of modules";
        path: PathText = "", "path", false, "Directory that is the module's root; every module needs one";
        list: bool = "yes", "list", false, "Show the module in the list, and admit to denied hosts that it exists";
        hosts_allow: Text = "", "hosts allow", false, "Hosts that may enter; unset: all that are not denied";
        hosts_deny: Text = "", "hosts deny", false, "Hosts that may not enter unless they are allowed";
        reverse_lookup: bool = "yes", "reverse lookup", false, "Look up the name of the peer's address";
        forward_lookup: bool = "yes", "forward lookup", false, "Resolve the host names in hosts allow and hosts deny";
        auth_users: Text = "", "auth users", false, "Users and @groups that may enter, with :ro, :rw or :deny; unset: anybody";
        secrets_file: Text = "", "secrets file", false, "File with the passwords of auth users";
        strict_modes: bool = "yes", "strict modes", false, "Refuse a secrets file that others can access or, as root, do not own";
        auth_digest: Text = "", "auth digest", false, "Weakest digest accepted: sha512, sha256, sha1, md5 or md4; unset: any";
        max_connections: i32 = "0", "max connections", false, "Connections at a time; 0 is no limit, a negative number disables the module";
        lock_file: Text = "/var/run/rsyncd.lock", "lock file", false, "File in which the slots of max connections are locked";
        read_only: bool = "yes", "read only", false, "Refuse uploads";
        write_only: bool = "no", "write only", false, "Refuse downloads";
        refuse_options: Text = "", "refuse options", false, "Options, separated by blanks, a client may not use; !OPTION accepts";
        timeout: i32 = "0", "timeout", false, "Seconds without data after which a transfer ends; 0 is no limit";
        max_verbosity: i32 = "1", "max verbosity", false, "How many -v of a client have an effect";
        uid: Text = "", "uid", false, "User that does the transfer; unset: nobody for root, else unchanged";
        gid: Text = "", "gid", false, "Groups that do the transfer, * first for all of the user; unset: nogroup for root, else unchanged";
        use_chroot: Option<bool> = "unset", "use chroot", false, "Make the module the process's root; unset: where possible";
        numeric_ids: Option<bool> = "unset", "numeric ids", false, "Use numbers of users and groups; unset: in a chroot without name converter";
        name_converter: Text = "", "name converter", false, "Command that turns names of users and groups into numbers and back";
        munge_symlinks: Option<bool> = "unset", "munge symlinks", false, "Store symlinks so that they lead nowhere; unset: unless chrooted";
        insecure_links: bool = "no", "insecure links", false, "Follow symlinks that others could have placed";
        fake_super: bool = "no", "fake super", false, "Keep owners, modes and devices in extended attributes";
        charset: Text = "", "charset", false, "Character set of the module's file names; unset: --iconv is refused";
        temp_dir: PathText = "", "temp dir", false, "Directory for files that are being received; unset: beside the file";
        open_noatime: Option<bool> = "unset", "open noatime", false, "Read files without touching their access time; unset: as the client says";
        incoming_chmod: Text = "", "incoming chmod", false, "Changes of mode for received files";
        outgoing_chmod: Text = "", "outgoing chmod", false, "Changes of mode for sent files";
        filter: Text = "", "filter", false, "Filter rules, separated by blanks";
        include_from: Text = "", "include from", false, "File with patterns to include";
        include: Text = "", "include", false, "Patterns to include, separated by blanks";
        exclude_from: Text = "", "exclude from", false, "File with patterns to exclude";
        exclude: Text = "", "exclude", false, "Patterns to exclude, separated by blanks";
        ignore_errors: bool = "no", "ignore errors", false, "Delete even after I/O errors";
        ignore_nonreadable: bool = "no", "ignore nonreadable", false, "Leave out what the module's user cannot read";
        dont_compress: Text = "*.3g2 *.3gp *.7z *.aac *.ace *.apk *.avi *.bz2 *.deb *.dmg *.ear *.f4v *.flac *.flv \
             *.gpg *.gz *.iso *.jar *.jpeg *.jpg *.lrz *.lz *.lz4 *.lzma *.lzo *.m1a *.m1v *.m2a \
             *.m2ts *.m2v *.m4a *.m4b *.m4p *.m4r *.m4v *.mka *.mkv *.mov *.mp1 *.mp2 *.mp3 *.mp4 \
             *.mpa *.mpeg *.mpg *.mpv *.mts *.odb *.odf *.odg *.odi *.odm *.odp *.ods *.odt *.oga \
             *.ogg *.ogm *.ogv *.ogx *.opus *.otg *.oth *.otp *.ots *.ott *.oxt *.png *.qt *.rar \
             *.rpm *.rz *.rzip *.spx *.squashfs *.sxc *.sxd *.sxg *.sxm *.sxw *.sz *.tbz *.tbz2 *.tgz \
             *.tlz *.ts *.txz *.tzo *.vob *.war *.webm *.webp *.xz *.z *.zip *.zst", "dont compress", false, "Patterns of files not to compress; * turns compression off, anything else has no effect";
        early_exec: Text = "", "early exec", false, "Command run before the client's request is read";
        pre_xfer_exec: Text = "", "pre-xfer exec", false, "Command run before the transfer, which its failure prevents";
        post_xfer_exec: Text = "", "post-xfer exec", false, "Command run after the transfer";
        log_file: Text = "", "log file", false, "File to log to; unset: syslog";
        syslog_facility: Facility = "daemon", "syslog facility", false, "Facility of messages to syslog";
        syslog_tag: Text = "rsyncd", "syslog tag", false, "Tag of messages to syslog";
        transfer_logging: bool = "no", "transfer logging", false, "Log a line for every file";
        log_format: Text = "%o %h [%a] %m (%u) %f %l", "log format", false, "What the line for a file says";
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_default_is_a_valid_value_of_its_parameter() {
        let (global, module) = (GlobalSettings::default(), ModuleSettings::default());
        for effective in global.effective().into_iter().chain(module.effective()) {
            assert_eq!(
                effective.value,
                effective.parameter.default.as_bytes(),
                "{}",
                effective.parameter.name
            );
            assert_eq!(*effective.origin, Origin::BuiltIn);
        }
    }

    #[test]
    fn names_are_distinct_and_found_in_any_case_with_any_blanks() {
        for known in parameters() {
            let name = known.name.to_ascii_uppercase().replace(' ', "\t ");
            assert_eq!(parameter(name.as_bytes()), Some(known));
        }
        assert_eq!(parameter(b"R EAD only").unwrap().name, "read only");
        assert!(parameter(b"hosts_allow").is_none());
        assert!(parameter(b"pre xfer exec").is_none());
    }

    #[test]
    fn a_misspelt_name_finds_the_one_that_was_meant() {
        for (wrong, right) in [
            ("hosts alow", Some("hosts allow")),
            ("hosts_allow", Some("hosts allow")),
            ("allow hosts", Some("hosts allow")),
            ("auth user", Some("auth users")),
            ("secret file", Some("secrets file")),
            ("log-file", Some("log file")),
            ("pre xfer exec", Some("pre-xfer exec")),
            ("foo bar", None),
            ("x", None),
        ] {
            assert_eq!(nearest(wrong.as_bytes()), right, "{wrong}");
        }
    }
}
