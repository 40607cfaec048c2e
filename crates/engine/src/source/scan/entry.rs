//! One object as a list describes it.

use std::time::SystemTime;

use syncline_filter::Name as FilterName;
use syncline_fs::{Dir, Kind, OpenSource, Stat, Time, is_unsafe_target, unmunged};
use syncline_options::values::flags::{Debug, Info};
use syncline_wire::IoErrors;
use syncline_wire::list::{Device, DirectoryRole, FileEntry, HardLink};

use super::super::extras::with_object;
use super::super::tree::checked;
use super::{Located, Scan};
use crate::{Notice, Result};

impl Scan<'_> {
    /// What a link leads to, if this run sends that instead of the link.
    pub(super) fn referent(
        &self,
        name: &[u8],
        place: &Located,
        directory: &Dir,
    ) -> syncline_fs::Result<Option<Stat>> {
        let path = checked(place.at.below(name));
        if self.settings.copy_links {
            return place.at.root.stat_following_in(directory, path).map(Some);
        }
        if self.settings.copy_unsafe_links {
            let target = directory.place(path).read_link()?;
            let own = name.strip_prefix(b"/").unwrap_or(name);
            if is_unsafe_target(&target, checked(own)) {
                if self.options.output.info.level(Info::Symsafe) > 0 {
                    self.monitor.notice(Notice::CopyingUnsafeLink { path: name, target: &target });
                }
                return place.at.root.stat_following_in(directory, path).map(Some);
            }
        }
        if self.settings.copy_dirlinks {
            // A dangling link is sent as the link it is.
            let target = place.at.root.stat_following_in(directory, path).ok();
            return Ok(target.filter(Stat::is_dir));
        }
        Ok(None)
    }

    pub(super) fn is_hidden(&self, name: &[u8], is_directory: bool) -> bool {
        let absolute = name.starts_with(b"/");
        let path = name.strip_prefix(b"/").unwrap_or(name);
        let name = FilterName { path, is_directory, absolute, in_doomed_directory: false };
        let Some(decision) = self.filter.decide(&name) else { return false };
        if self.options.output.debug.level(Debug::Filter) > 0 {
            let kind = if is_directory { "directory" } else { "file" };
            let text = self.filter.explain(kind, path, &decision);
            self.monitor.notice(Notice::FilterDecision(&text));
        }
        decision.excludes()
    }

    /// An object as a list describes it; none if it is passed over.
    pub(super) fn entry(
        &mut self,
        name: &[u8],
        stat: &Stat,
        role: DirectoryRole,
        place: &Located,
        directory: Option<&Dir>,
    ) -> Result<Option<FileEntry>> {
        let content = self.device_as_file(name, stat, place);
        let stat = content.as_ref().unwrap_or(stat);
        let kind = stat.kind();
        let path = checked(place.at.below(name));
        let mut entry = FileEntry {
            name: name.to_vec(),
            mode: stat.mode,
            size: stat.size,
            mtime: stat.mtime.seconds,
            mtime_nsec: stat.mtime.nanos,
            atime: stat.atime.seconds,
            uid: stat.uid,
            gid: stat.gid,
            role,
            ..FileEntry::default()
        };
        match kind {
            Kind::Symlink => {
                let read = match directory {
                    Some(directory) => directory.place(path).read_link(),
                    None => place.at.root.place(path).and_then(|place| place.read_link()),
                };
                let target = match read {
                    Ok(target) => target,
                    Err(error) => {
                        let shown = place.at.show(name);
                        self.tell_system(
                            &[b"readlink_stat(", &self.quote(&shown), b") failed"],
                            &error,
                        );
                        self.fail(IoErrors::GENERAL);
                        return Ok(None);
                    }
                };
                if target.is_empty() {
                    let shown = self.quote(&place.at.show(name));
                    self.general(&[b"skipping symlink with 0-length value: ", &shown]);
                    return Ok(None);
                }
                let target = if self.settings.munges { unmunged(&target).to_vec() } else { target };
                entry.size = target.len() as u64;
                entry.target = Some(target);
            }
            Kind::CharDevice | Kind::BlockDevice => {
                entry.size = 0;
                entry.device = Some(Device { major: stat.rdev.major, minor: stat.rdev.minor });
            }
            Kind::Fifo | Kind::Socket => entry.size = 0,
            Kind::File => entry.checksum = self.checksum(name, stat, place),
            Kind::Directory | Kind::Unknown => {}
        }
        if kind != Kind::Directory && (stat.links > 1 || self.keys_every_file(kind)) {
            entry.hard_link = Some(HardLink::Inode { device: stat.dev, inode: stat.ino });
        }
        let chmod = &self.options.attributes.chmod;
        if kind != Kind::Symlink && !chmod.is_empty() {
            entry.mode = (entry.mode & !0o7777)
                | chmod.apply(entry.mode, kind == Kind::Directory, self.settings.umask) & 0o7777;
        }
        if self.reading.is_needed() && !self.read_extras(&mut entry, stat, place)? {
            return Ok(None);
        }
        Ok(Some(entry))
    }

    /// ACLs and attributes; false, and told, if they cannot be read.
    fn read_extras(&mut self, entry: &mut FileEntry, stat: &Stat, place: &Located) -> Result<bool> {
        let Self { reading, emitter, .. } = self;
        let name = entry.name.clone();
        let read = with_object(&place.at, &name, stat.kind(), self.settings.follows, |object| {
            reading.read(object, stat, entry, emitter.attributes())
        });
        let Err(error) = read else { return Ok(true) };
        let shown = place.at.show(&name);
        let call = error.op().map_or("get_xattr", |op| op.name());
        self.tell_system(&[call.as_bytes(), b" ", &shown, b" failed"], &error);
        self.fail(IoErrors::GENERAL);
        Ok(false)
    }

    /// `--copy-devices`: a device is sent as a file that was changed just now.
    fn device_as_file(&self, name: &[u8], stat: &Stat, place: &Located) -> Option<Stat> {
        if !stat.kind().is_device() || !self.options.attributes.copy_devices {
            return None;
        }
        let how = OpenSource { devices: true, no_atime: false };
        let opened = self.tree.open(&place.at, name, how, self.settings.follows);
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Some(Stat {
            mode: 0o100_000 | (stat.permissions() & 0o777),
            // One that cannot be read is complained about when it is asked for.
            size: opened.map_or(0, |file| file.length()),
            mtime: Time { seconds: now.as_secs() as i64, nanos: 0 },
            ..*stat
        })
    }

    /// Protocol 27 names the inode of every regular file (filelist.md 12.1).
    fn keys_every_file(&self, kind: Kind) -> bool {
        kind == Kind::File && !self.emitter.protocol().has_wide_entry_flags()
    }

    /// The sum of `--checksum`; zeros for what cannot be read.
    fn checksum(&mut self, name: &[u8], stat: &Stat, place: &Located) -> Option<Vec<u8>> {
        let sums = self.settings.sums?;
        let unread = Some(vec![0; sums.digest_length()]);
        let path = checked(place.at.below(name));
        let how =
            OpenSource { no_atime: self.options.attributes.open_noatime, ..OpenSource::default() };
        let opened = if self.settings.follows {
            how.open_following(&place.at.root, path)
        } else {
            place.at.root.place(path).and_then(|place| how.open(&place))
        };
        let Ok(file) = opened else { return unread };
        let mut hasher = sums.file_hasher();
        let mut buffer = vec![0; (256 * 1024).min(stat.size.max(1) as usize)];
        let mut position = 0;
        loop {
            match file.read_at(&mut buffer, position) {
                Ok(0) => break,
                Ok(count) => {
                    hasher.update(&buffer[..count]);
                    position += count as u64;
                }
                Err(_) => return unread,
            }
        }
        Some(hasher.finish().as_ref().to_vec())
    }
}
