//! `/etc/passwd` and `/etc/group` of this process's root, read without the C library.

use std::collections::HashMap;
use std::fs::OpenOptions;
use std::hash::Hash;
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::OnceLock;

use rustix::fs::OFlags;

use crate::AccountSource;

/// No such file is believed to be longer.
const FILE_MAX: u64 = 16 << 20;

/// The names in `/etc/passwd` and `/etc/group`, for a process in a chroot that others may write to: the C library would
/// load its name services, which are programs, from there.
#[derive(Debug, Default)]
pub struct AccountFiles {
    users: OnceLock<Table>,
    groups: OnceLock<Table>,
}

/// Of several lines with one name or one id the first counts.
#[derive(Debug, Default)]
struct Table {
    names: HashMap<u32, Vec<u8>>,
    ids: HashMap<Vec<u8>, u32>,
}

impl AccountFiles {
    fn users(&self) -> &Table {
        self.users.get_or_init(|| Table::read(Path::new("/etc/passwd")))
    }

    fn groups(&self) -> &Table {
        self.groups.get_or_init(|| Table::read(Path::new("/etc/group")))
    }
}

impl AccountSource for AccountFiles {
    fn user_name(&self, id: u32) -> Option<Vec<u8>> {
        self.users().names.get(&id).cloned()
    }

    fn user_id(&self, name: &[u8]) -> Option<u32> {
        self.users().ids.get(name).copied()
    }

    fn group_name(&self, id: u32) -> Option<Vec<u8>> {
        self.groups().names.get(&id).cloned()
    }

    fn group_id(&self, name: &[u8]) -> Option<u32> {
        self.groups().ids.get(name).copied()
    }
}

impl Table {
    /// A file that is missing, or no file, has no names.
    fn read(path: &Path) -> Self {
        let flags = OFlags::NONBLOCK | OFlags::NOFOLLOW | OFlags::NOCTTY;
        let opened =
            OpenOptions::new().read(true).custom_flags(flags.bits().cast_signed()).open(path);
        let mut text = Vec::new();
        if let Ok(file) = opened
            && file.metadata().is_ok_and(|data| data.is_file())
            && file.take(FILE_MAX).read_to_end(&mut text).is_err()
        {
            text.clear();
        }
        Self::parse(&text)
    }

    fn parse(text: &[u8]) -> Self {
        let mut table = Self::default();
        for line in text.split(|&byte| byte == b'\n') {
            let mut fields = line.split(|&byte| byte == b':');
            let (Some(name), Some(id)) = (fields.next(), fields.nth(1)) else { continue };
            let id = std::str::from_utf8(id).ok().and_then(|id| id.parse().ok());
            let Some(id) = id.filter(|_| !name.is_empty() && !b"#+-".contains(&name[0])) else {
                continue;
            };
            insert_first(&mut table.names, id, name.to_vec());
            insert_first(&mut table.ids, name.to_vec(), id);
        }
        table
    }
}

fn insert_first<K: Eq + Hash, V>(map: &mut HashMap<K, V>, key: K, value: V) {
    map.entry(key).or_insert(value);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_of_a_name_or_an_id_counts_and_what_is_no_line_does_not() {
        let text =
            b"root:x:0:0::/:/bin/sh\n#no:x:7:7::\n+nis:x:8:8\nbad:x:-1:\nshort:x\n\n:x:9:9\n\
                     also:x:0:0::/:\nroot:x:5:5::/:\nbig:x:4294967296:\nlast:x:10:10";
        let table = Table::parse(text);
        assert_eq!(table.names[&0], b"root");
        assert_eq!(table.names[&5], b"root");
        assert_eq!(table.ids[&b"root"[..]], 0);
        assert_eq!(table.ids[&b"also"[..]], 0);
        assert_eq!(table.ids[&b"last"[..]], 10);
        assert_eq!((table.ids.len(), table.names.len()), (3, 3));
    }

    #[test]
    fn what_is_no_file_has_no_names() {
        assert!(Table::read(Path::new("/")).ids.is_empty());
        assert!(Table::read(Path::new("/no/such/file")).ids.is_empty());
    }
}
