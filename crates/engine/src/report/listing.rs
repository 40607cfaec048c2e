//! Lines of a listing, and the pieces that formats share with them (docs/spec cli.md 12).

use jiff::Timestamp;
use syncline_wire::list::{EntryRef, FileKind};

use super::{Numbers, Setting, local_zone};

/// The line for one entry, without its newline.
pub(super) fn line(entry: EntryRef<'_>, setting: &Setting, numbers: Numbers) -> Vec<u8> {
    let width = if numbers.level() == 0 { 11 } else { 14 };
    let options = &setting.options;
    if entry.kind() == FileKind::Missing {
        let columns = 10 + 1 + width + 1 + 19;
        let mut line = format!("{:<columns$} ", "*missing").into_bytes();
        entry.put_path(&mut line);
        return line;
    }
    let mut line = permissions(entry.mode()).to_vec();
    let size = numbers.bytes(entry.size());
    line.extend_from_slice(format!(" {size:>width$} {}", date(entry.mtime().0, ' ')).as_bytes());
    if options.attributes.atimes > 0 {
        let atime = if entry.is_directory() { String::new() } else { date(entry.atime(), ' ') };
        line.extend_from_slice(format!("{atime:>20}").as_bytes());
    }
    line.push(b' ');
    entry.put_path(&mut line);
    if let (true, Some(target)) = (options.attributes.links, entry.target()) {
        line.extend_from_slice(b" -> ");
        line.extend_from_slice(target);
    }
    line
}

/// `YYYY/MM/DD HH:MM:SS` in the local time zone, with `separator` in the middle.
pub(super) fn date(seconds: i64, separator: char) -> String {
    let Ok(time) = Timestamp::from_second(seconds) else { return "(time out of range)".to_owned() };
    let time = time.to_zoned(local_zone());
    format!(
        "{:04}/{:02}/{:02}{separator}{:02}:{:02}:{:02}",
        time.year(),
        time.month(),
        time.day(),
        time.hour(),
        time.minute(),
        time.second()
    )
}

/// The ten characters of type and permissions.
pub(super) fn permissions(mode: u32) -> [u8; 10] {
    let mut text = *b"----------";
    text[0] = match FileKind::of(mode) {
        Some(FileKind::Directory) => b'd',
        Some(FileKind::Symlink) => b'l',
        Some(FileKind::BlockDevice) => b'b',
        Some(FileKind::CharacterDevice) => b'c',
        Some(FileKind::Socket) => b's',
        Some(FileKind::Fifo) => b'p',
        _ => b'-',
    };
    for (place, letter) in b"rwxrwxrwx".iter().enumerate() {
        if mode & (0o400 >> place) != 0 {
            text[place + 1] = *letter;
        }
    }
    for (bit, place, with, without) in
        [(0o4000, 3, b's', b'S'), (0o2000, 6, b's', b'S'), (0o1000, 9, b't', b'T')]
    {
        if mode & bit != 0 {
            text[place] = if text[place] == b'x' { with } else { without };
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn permissions_read_as_ls_writes_them() {
        for (mode, text) in [
            (0o100_644, "-rw-r--r--"),
            (0o040_755, "drwxr-xr-x"),
            (0o104_755, "-rwsr-xr-x"),
            (0o104_644, "-rwSr--r--"),
            (0o102_755, "-rwxr-sr-x"),
            (0o041_777, "drwxrwxrwt"),
            (0o041_776, "drwxrwxrwT"),
            (0o120_777, "lrwxrwxrwx"),
            (0o140_000, "s---------"),
        ] {
            assert_eq!(permissions(mode), text.as_bytes());
        }
    }
}
