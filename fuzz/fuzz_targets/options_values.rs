//! Values of options: any text is a value or an error; formats and sizes keep their inverse.
#![no_main]

use libfuzzer_sys::fuzz_target;
use syncline_options::Refusals;
use syncline_options::invoke::{escape_file, escape_option, split_shell};
use syncline_options::location::Location;
use syncline_options::unescape;
use syncline_options::values::chmod::Chmod;
use syncline_options::values::format::{Format, Piece};
use syncline_options::values::size::{self, Range, Unit};
use syncline_options::values::{choice, flags, idmap, integer, stop};

fuzz_target!(|data: &[u8]| {
    if data.len() > 4096 {
        return;
    }
    if let Ok(bytes) = size::parse(data, Unit::Byte, Range::ANY, b'.') {
        assert_eq!(
            size::parse(bytes.to_string().as_bytes(), Unit::Byte, Range::ANY, b'.'),
            Ok(bytes)
        );
    }
    if let Ok(value) = integer::parse(data) {
        assert_eq!(integer::parse(value.to_string().as_bytes()), Ok(value));
    }
    if let Some(chmod) = Chmod::parse(data) {
        for mode in [0, 0o644, 0o7777, 0o100_755] {
            let changed = chmod.apply(mode, false, 0o022);
            assert_eq!(changed & !0o7777, mode & !0o7777);
        }
    }
    let format = Format::parse(data);
    let spelled: Vec<u8> = format.pieces().iter().flat_map(Piece::spelling).collect();
    assert_eq!(Format::parse(&spelled).pieces(), format.pieces());
    // What escapes add, a shell or a daemon takes away.
    assert_eq!(unescape(&escape_option(data)), data);
    let _ = escape_file(data);
    let _ = split_shell(data);
    let _ = Location::parse(data);
    let _ = idmap::parse("usermap", data);
    let _ = choice::ChecksumChoice::parse(data);
    let _ = flags::Levels::<flags::Info>::default().apply(data);
    let now = "2026-11-21T17:02:39+00:00[UTC]".parse().expect("a date");
    let _ = stop::at(data, &now);
    let _ = stop::after(data, &now);
    let _ = Refusals::for_module(data, true);
});
