//! The local time zone, from its one file: looking for its name would mean to list all there are, at every start.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use jiff::tz::TimeZone;

/// Where the zone of this machine is.
const LOCAL: &str = "/etc/localtime";

/// Where zones are by name, unless `TZDIR` says otherwise.
const ZONES: &str = "/usr/share/zoneinfo";

/// No zone's file is longer.
const FILE_MAX: u64 = 1 << 20;

/// The zone that `TZ` names, else this machine's; UTC where there is none. It is read once, so that it outlasts a chroot.
pub fn local_zone() -> TimeZone {
    static ZONE: OnceLock<TimeZone> = OnceLock::new();
    ZONE.get_or_init(|| zone_of(std::env::var_os("TZ").as_deref())).clone()
}

fn zone_of(variable: Option<&OsStr>) -> TimeZone {
    let found = match variable.map(OsStr::as_bytes) {
        None => read(Path::new(LOCAL)),
        Some(text) => {
            let name = text.strip_prefix(b":").unwrap_or(text);
            let folder = std::env::var_os("TZDIR").map_or_else(|| ZONES.into(), PathBuf::from);
            let rule = || TimeZone::posix(std::str::from_utf8(text).ok()?).ok();
            // An absolute name replaces the folder.
            let file = (!name.is_empty()).then(|| folder.join(OsStr::from_bytes(name)));
            file.and_then(|file| read(&file)).or_else(rule)
        }
    };
    found.unwrap_or(TimeZone::UTC)
}

fn read(path: &Path) -> Option<TimeZone> {
    if std::fs::metadata(path).ok()?.len() > FILE_MAX {
        return None;
    }
    TimeZone::tzif("", &std::fs::read(path).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::Timestamp;

    fn offset(variable: &str) -> i32 {
        let summer = Timestamp::from_second(1_720_000_000).unwrap();
        zone_of(Some(OsStr::new(variable))).to_offset(summer).seconds()
    }

    #[test]
    fn a_zone_is_a_name_a_file_or_a_rule() {
        assert_eq!(offset("CET-1CEST,M3.5.0,M10.5.0/3"), 7200);
        assert_eq!(offset("UTC"), 0);
        assert_eq!(offset(""), 0);
        assert_eq!(offset("No/Such_Zone"), 0);
        if Path::new("/usr/share/zoneinfo/Asia/Tokyo").exists() {
            assert_eq!(offset("Asia/Tokyo"), 9 * 3600);
            assert_eq!(offset(":Asia/Tokyo"), 9 * 3600);
            assert_eq!(offset("/usr/share/zoneinfo/Asia/Tokyo"), 9 * 3600);
        }
    }
}
