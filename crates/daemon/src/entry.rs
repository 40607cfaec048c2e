//! Through a module's door: filters, log, hooks, chroot, rights, sandbox (docs/spec daemon.md 9).

use std::os::fd::AsFd;

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use syncline_conf::auth::Access;
use syncline_conf::rsyncd::ModuleSettings;
use syncline_engine::source::OperatorFiles;
use syncline_engine::{Charset, OperatorPaths, reason};
use syncline_filter::{Filter, FilterError, ModuleFilters};
use syncline_fs::{Root, Trust};
use syncline_wire::{Error as WireError, Protocol};

use crate::confine::Confinement;
use crate::hooks::{self, PreTransfer};
use crate::identity::{Identity, Trouble};
use crate::name_converter::NameConverter;
use crate::paths::{message, path, shown};
use crate::request::Request;
use crate::session::{Admitted, Over, REFUSED, Session, Step};
use crate::transfer;

/// The directory whose being there makes munged symlinks unsafe.
const MUNGED: &str = "/rsyncd-munged";

/// A client inside its module: the process is confined to it.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) name: Vec<u8>,
    pub(crate) settings: ModuleSettings,
    pub(crate) user: Vec<u8>,
    pub(crate) protocol: Result<Protocol, WireError>,
    /// Where the module is, as the configuration says it.
    pub(crate) configured_path: Vec<u8>,
    /// Where it is for this process.
    pub(crate) path: Vec<u8>,
    pub(crate) chrooted: bool,
    pub(crate) munge: bool,
    pub(crate) read_only: bool,
    pub(crate) log_format: Vec<u8>,
    pub(crate) temp_dir: Vec<u8>,
    pub(crate) incoming_chmod: Vec<u8>,
    pub(crate) outgoing_chmod: Vec<u8>,
    pub(crate) filter: Filter,
    pub(crate) pre_transfer: Option<PreTransfer>,
    pub(crate) name_converter: Option<NameConverter>,
    /// Of the module's names, for clients with `--iconv`.
    pub(crate) charset: Option<Charset>,
    /// Held to the end.
    _slot: Option<crate::slots::Slot>,
}

/// Where the module is.
struct Place {
    /// The process's root.
    chroot: Option<Vec<u8>>,
    /// The module below it.
    inside: Vec<u8>,
}

impl Entry {
    /// Whether the paths of a client are cut off at the module's root, not only cleaned.
    pub(crate) fn sanitizes(&self) -> bool {
        self.path != b"/"
    }

    /// Enters, and serves; the exit code.
    pub(crate) fn enter(mut session: Session<'_>, admitted: Admitted) -> Step<u8> {
        match Self::prepare(&mut session, admitted) {
            Ok(mut entry) => match Request::hear(&mut session, &mut entry) {
                Ok(request) => Ok(transfer::run(session, entry, request)),
                Err(over) => {
                    session.link.close();
                    Err(over)
                }
            },
            Err(over) => {
                session.link.close();
                Err(over)
            }
        }
    }

    fn prepare(session: &mut Session<'_>, admitted: Admitted) -> Step<Self> {
        let Admitted { module, user, access, protocol, early_input, slot } = admitted;
        let name = module.name().to_vec();
        let settings = module.settings;
        let uid = session.expand(&settings.uid)?;
        let gid = session.expand(&settings.gid)?;
        let identity =
            Identity::of_module(&uid, &gid).map_err(|trouble| session.trouble(&trouble))?;
        let configured_path = session.expand(&settings.path)?;
        if configured_path.is_empty() {
            session.log.warn(message![b"No path specified for module ", name]);
            return Err(session.refuse("no path setting."));
        }
        let place = session.choose_root(&settings, &configured_path);
        session.variables.set("RSYNC_MODULE_PATH", configured_path.clone());
        let charset = session.open_charset(&settings)?;
        let filter = session.load_filter(&settings, &place.inside)?;
        let target = session.module_target(&settings)?;
        session.log = session.log.or_open(target, trust(&settings));
        let (pre_transfer, name_converter) = session.start_hooks(&settings, &early_input)?;
        session.change_root(&settings, &place)?;
        let munge =
            settings.munge_symlinks.unwrap_or(place.chroot.is_none() || place.inside != b"/");
        if munge && std::fs::metadata(MUNGED).is_ok_and(|data| data.is_dir()) {
            session
                .log
                .warn(format!("Symlink munging is unsafe when a {MUNGED} directory exists."));
            return Err(session.refuse("daemon security issue -- contact admin"));
        }
        let read_only = match access {
            Access::ReadOnly => true,
            Access::ReadWrite => false,
            _ => *settings.read_only,
        };
        identity.take().map_err(|trouble| session.trouble(&trouble))?;
        let confinement = Confinement { writes: !read_only, links: *settings.insecure_links };
        let here = rustix::fs::open(".", OFlags::PATH | OFlags::DIRECTORY, Mode::empty());
        let confined = here
            .map_err(|errno| errno.to_string())
            .and_then(|module| confinement.enforce(module.as_fd()));
        confined.map_err(|reason| {
            session.log.warn(format!("cannot confine the session: {reason}"));
            session.refuse("daemon security issue -- contact admin")
        })?;
        let temp_dir = session.expand(&settings.temp_dir)?;
        let log_format = session.expand(&settings.log_format)?;
        let incoming_chmod = session.expand(&settings.incoming_chmod)?;
        let outgoing_chmod = session.expand(&settings.outgoing_chmod)?;
        session.limit(*settings.timeout);
        session.send(b"@RSYNCD: OK\n")?;
        Ok(Self {
            log_format,
            temp_dir,
            incoming_chmod,
            outgoing_chmod,
            name,
            user,
            protocol,
            configured_path,
            chrooted: place.chroot.is_some(),
            path: place.inside,
            munge,
            read_only,
            filter,
            pre_transfer,
            name_converter,
            charset,
            settings,
            _slot: slot,
        })
    }
}

impl Session<'_> {
    fn trouble(&mut self, trouble: &Trouble) -> Over {
        self.log.warn(&trouble.log);
        match &trouble.client {
            Some(text) => self.refuse(text),
            None => Over(REFUSED),
        }
    }

    /// Its tables are files: there may be none once the session is in its module.
    fn open_charset(&mut self, settings: &ModuleSettings) -> Step<Option<Charset>> {
        let name = self.expand(&settings.charset)?;
        if name.is_empty() {
            return Ok(None);
        }
        Charset::open(&name).map(Some).map_err(|error| {
            self.log.warn(error.to_string());
            self.refuse("invalid charset setting.")
        })
    }

    fn choose_root(&self, settings: &ModuleSettings, configured: &[u8]) -> Place {
        let absolute = make_absolute(configured);
        let dot = absolute.windows(3).position(|window| window == b"/./");
        let chroots = match *settings.use_chroot {
            Some(wanted) => wanted,
            None if dot.is_some() => true,
            None => match try_chroot() {
                Ok(()) => true,
                Err(errno) => {
                    let reason = errno_words(errno);
                    self.log.info(format!(
                        "chroot test failed: {reason}. Switching 'use chroot' from unset to false."
                    ));
                    false
                }
            },
        };
        match dot {
            _ if !chroots => Place { chroot: None, inside: clean(&absolute) },
            Some(at) => {
                Place { chroot: Some(clean(&absolute[..at])), inside: clean(&absolute[at + 2..]) }
            }
            None => Place { chroot: Some(clean(&absolute)), inside: b"/".to_vec() },
        }
    }

    fn load_filter(&mut self, settings: &ModuleSettings, module: &[u8]) -> Step<Filter> {
        let filter = self.expand(&settings.filter)?;
        let include_from = self.expand(&settings.include_from)?;
        let include = self.expand(&settings.include)?;
        let exclude_from = self.expand(&settings.exclude_from)?;
        let exclude = self.expand(&settings.exclude)?;
        let parameters = ModuleFilters {
            filter: &filter,
            include_from: &include_from,
            include: &include,
            exclude_from: &exclude_from,
            exclude: &exclude,
        };
        let mut files = OperatorFiles {
            paths: OperatorPaths::following(*settings.insecure_links),
            ..OperatorFiles::default()
        };
        match parameters.compile(module, &mut files) {
            Ok((filter, warnings)) => {
                for warning in &warnings {
                    self.log.warn(warning.to_string());
                }
                Ok(filter)
            }
            Err(error) => {
                self.log.warn(error.to_string());
                Err(Over(if matches!(error, FilterError::Open { .. }) { 11 } else { 1 }))
            }
        }
    }

    fn start_hooks(
        &mut self,
        settings: &ModuleSettings,
        early_input: &[u8],
    ) -> Step<(Option<PreTransfer>, Option<NameConverter>)> {
        let command = |setting| {
            hooks::command(setting, &self.variables).map_err(|error| {
                self.log.warn(error.to_string());
                Over(4)
            })
        };
        let early = command(&settings.early_exec)?;
        let pre = command(&settings.pre_xfer_exec)?;
        let post = command(&settings.post_xfer_exec)?;
        let converter = command(&settings.name_converter)?;
        if early.is_none() && pre.is_none() && post.is_none() && converter.is_none() {
            return Ok((None, None));
        }
        self.variables.set("RSYNC_PID", std::process::id().to_string());
        if let Some(command) = post {
            let (signals, link) = (self.signals.clone(), &mut self.link);
            let leave = || {
                signals.disarm();
                link.abandon();
            };
            hooks::stay_for_post_transfer(&command, &self.variables, leave)
                .map_err(|_| self.refuse("fork failed"))?;
        }
        if let Some(command) = early {
            match hooks::early(&command, &self.variables, early_input) {
                Ok(status) if status.success() => {}
                Ok(_) => {
                    self.log.warn("rsync: [Receiver] early exec failed: Success (0)");
                    return Err(self.refuse("early exec failed"));
                }
                Err(error) => {
                    let reason = reason(&error);
                    self.log.warn(format!("rsync: [Receiver] early exec failed: {reason}"));
                    return Err(self.refuse("early exec preparation failed"));
                }
            }
        }
        // First, so that it holds nothing of the other hook's.
        let (variables, link) = (&self.variables, &mut self.link);
        let converter =
            converter.map(|command| NameConverter::prepare(&command, variables, || link.abandon()));
        let converter = converter
            .transpose()
            .map_err(|_| self.refuse("name-converter exec preparation failed"))?;
        let pre = pre.map(|command| PreTransfer::prepare(&command, &self.variables)).transpose();
        let pre = pre.map_err(|_| self.refuse("pre-xfer exec preparation failed"))?;
        Ok((pre, converter))
    }

    fn change_root(&mut self, settings: &ModuleSettings, place: &Place) -> Step<()> {
        if let Some(root) = &place.chroot {
            let change =
                rustix::process::chroot(path(root)).and_then(|()| rustix::process::chdir("/"));
            change.map_err(|errno| {
                let root = shown(root);
                let reason = reason(&errno.into());
                self.log.warn(format!("rsync: [Receiver] chroot(\"{root}\") failed: {reason}"));
                self.refuse("chroot failed")
            })?;
        }
        let trust = if place.chroot.is_some() { Trust::Everyone } else { trust(settings) };
        let enter = || {
            let root = Root::open(path(&place.inside), trust).map_err(|error| error.reason())?;
            rustix::process::fchdir(root.top()).map_err(|errno| reason(&errno.into()))
        };
        enter().map_err(|reason| {
            let path = shown(&place.inside);
            self.log.warn(format!("rsync: [Receiver] chdir {path} failed: {reason}"));
            self.refuse("chdir failed")
        })
    }
}

fn trust(settings: &ModuleSettings) -> Trust<'static> {
    if *settings.insecure_links { Trust::Everyone } else { Trust::Owners }
}

/// Whether this process may: the test changes nothing but makes `/` the working directory, as in stock.
fn try_chroot() -> Result<(), Errno> {
    rustix::process::chroot("/")?;
    rustix::process::chdir("/")
}

fn errno_words(errno: Errno) -> String {
    let text = reason(&errno.into());
    text.rsplit_once(" (").map_or(text.clone(), |(words, _)| words.to_owned())
}

/// A relative path is relative to the directory the daemon was started in.
fn make_absolute(configured: &[u8]) -> Vec<u8> {
    use std::os::unix::ffi::OsStringExt;
    if configured.starts_with(b"/") {
        return configured.to_vec();
    }
    let start = std::env::current_dir().unwrap_or_default().into_os_string().into_vec();
    message![start, b"/", configured]
}

/// Without empty and `.` parts.
fn clean(absolute: &[u8]) -> Vec<u8> {
    let mut clean = Vec::with_capacity(absolute.len());
    for part in absolute.split(|&byte| byte == b'/') {
        if !part.is_empty() && part != b"." {
            clean.push(b'/');
            clean.extend_from_slice(part);
        }
    }
    if clean.is_empty() {
        clean.push(b'/');
    }
    clean
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_made_absolute_and_clean() {
        assert_eq!(clean(b"/srv//./a/"), b"/srv/a");
        assert_eq!(clean(b"//"), b"/");
        assert!(make_absolute(b"a").ends_with(b"/a"));
    }
}
