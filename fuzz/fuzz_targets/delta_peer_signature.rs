//! A signature from a hostile peer: checked, bounded, and every search of it covers the new file exactly, in linear work.
#![no_main]

use libfuzzer_sys::fuzz_target;
use syncline_delta::{
    Algorithm, MAX_BLOCK_LENGTH, Operation, Search, SearchIndex, SignatureBuilder, StrongSum,
    SumHeader,
};

fuzz_target!(|data: &[u8]| {
    let Some((fields, rest)) = data.split_first_chunk::<16>() else { return };
    let mut wire = [0; 4];
    for (field, bytes) in wire.iter_mut().zip(fields.as_chunks::<4>().0) {
        *field = i32::from_le_bytes(*bytes);
    }
    let strong = StrongSum::rsync_named(Algorithm::Xxh3, 1);
    let Ok(header) = SumHeader::from_wire(wire, MAX_BLOCK_LENGTH, strong.digest_length()) else {
        return;
    };
    if header.surplus() == 0 {
        assert_eq!(header.to_wire(), wire);
    }
    let mut builder = SignatureBuilder::new(header, strong).unwrap();
    let mut rest = rest;
    while builder.missing() > 0 {
        let Some((weak, after)) = rest.split_first_chunk::<4>() else { return };
        let Some((strong, after)) = after.split_at_checked(header.strong_length()) else { return };
        builder.push(u32::from_le_bytes(*weak), strong).unwrap();
        rest = after;
    }
    assert!(builder.push(0, &vec![0; header.strong_length()]).is_err());
    let index = SearchIndex::new(builder.finish().unwrap());

    for in_place in [false, true] {
        let search = Search::new(&index);
        let mut search = if in_place { search.in_place() } else { search };
        let mut made = 0;
        let consumed = search.scan(rest, true, |operation| {
            match operation {
                Operation::Copy { block, offset, length } => {
                    assert!(block < header.count());
                    assert_eq!(
                        (offset, length),
                        (header.offset_of(block), header.length_of(block))
                    );
                }
                Operation::Literal(data) => assert_eq!(*data, rest[made..made + data.len()]),
            }
            made += operation.length() as usize;
            Ok::<_, ()>(())
        });
        assert_eq!((consumed, made), (Ok(rest.len()), rest.len()));
        let free = (1 << 20) + 4 * u64::from(header.block_length());
        assert!(search.work().strong_bytes <= free + 12 * rest.len() as u64);
    }
});
