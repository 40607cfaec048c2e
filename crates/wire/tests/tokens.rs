//! Token streams of stock: what it wrote is read, and what we write is read back.

#![allow(clippy::unwrap_used)] // Helpers of tests may panic as tests do.

use proptest::prelude::*;
use syncline_wire::{Compression, Protocol, SumHead, Token, TokenDecoder, TokenEncoder, WireRead};

fn vector(name: &str) -> Vec<u8> {
    let path = format!("{}/tests/vectors/{name}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn protocol(version: u8) -> Protocol {
    Protocol::new(version).unwrap()
}

/// What a stream said, kept to say it again.
#[derive(Clone, Debug, Eq, PartialEq)]
enum Said {
    Data(Vec<u8>),
    Block(u32),
}

fn block<'a>(basis: &'a [u8], head: &SumHead, index: u32) -> &'a [u8] {
    let start = head.offset_of(index) as usize;
    &basis[start..start + head.length_of(index) as usize]
}

/// Reads one file's tokens; returns them and the file they make.
fn read(
    decoder: &mut TokenDecoder,
    input: &mut &[u8],
    head: &SumHead,
    basis: &[u8],
) -> (Vec<Said>, Vec<u8>) {
    let mut said = Vec::new();
    let mut file = Vec::new();
    decoder.start(head.count);
    let needs_blocks = decoder.needs_blocks();
    loop {
        let index = match decoder.next(input).unwrap() {
            Token::End => return (said, file),
            Token::Data(bytes) => {
                file.extend_from_slice(bytes);
                match said.last_mut() {
                    Some(Said::Data(before)) => before.extend_from_slice(bytes),
                    _ => said.push(Said::Data(bytes.to_vec())),
                }
                continue;
            }
            Token::Block(index) => index,
        };
        let bytes = block(basis, head, index);
        file.extend_from_slice(bytes);
        if needs_blocks {
            decoder.insert(bytes);
        }
        said.push(Said::Block(index));
    }
}

fn write(encoder: &mut TokenEncoder, said: &[Said], head: &SumHead, basis: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    for token in said {
        match token {
            Said::Data(bytes) => encoder.data(&mut out, bytes).unwrap(),
            Said::Block(index) => {
                encoder.block(&mut out, *index, block(basis, head, *index)).unwrap();
            }
        }
    }
    encoder.end(&mut out).unwrap();
    out
}

/// Reads a capture, checks what it makes, and what our own encoder makes of the same tokens.
fn check(name: &str, method: Compression, version: u8, basis: &[u8], new: &[u8]) {
    let wire = vector(name);
    let mut input = &wire[..];
    let head = SumHead::decode(&mut input, protocol(version), 16).unwrap();
    let tokens = input;
    let mut decoder = TokenDecoder::new(method, protocol(version)).unwrap();
    let (said, file) = read(&mut decoder, &mut input, &head, basis);
    assert!(file == new, "{name}: the file differs");
    assert_eq!(input.len(), 16, "{name}: the sum remains");

    let mut encoder = TokenEncoder::new(method, None, protocol(version)).unwrap();
    let own = write(&mut encoder, &said, &head, basis);
    if method == Compression::None {
        assert!(own == tokens[..tokens.len() - 16], "{name}: plain tokens have one form");
    }
    let mut decoder = TokenDecoder::new(method, protocol(version)).unwrap();
    let (again, file) = read(&mut decoder, &mut &own[..], &head, basis);
    assert!(again == said && file == new, "{name}: our own stream differs");
}

#[test]
fn streams_of_stock_are_read_in_every_method() {
    let (basis, new) = (vector("text.basis"), vector("text.new"));
    for (name, method) in [
        ("text.tokens.p32.plain", Compression::None),
        ("text.tokens.p32.zlib", Compression::Zlib),
        ("text.tokens.p32.zlibx", Compression::Zlibx),
        ("text.tokens.p32.zstd", Compression::Zstd),
        ("text.tokens.p32.lz4", Compression::Lz4),
    ] {
        check(name, method, 32, &basis, &new);
    }
    check("text.tokens.p29.plain", Compression::None, 29, &basis, &new);
    check("text.tokens.p29.zlib", Compression::Zlib, 29, &basis, &new);
}

#[test]
fn incompressible_data_is_read_in_every_method() {
    let new = vector("random.new");
    for (name, method) in [
        ("random.tokens.p32.plain", Compression::None),
        ("random.tokens.p32.zlibx", Compression::Zlibx),
        ("random.tokens.p32.zstd", Compression::Zstd),
        ("random.tokens.p32.lz4", Compression::Lz4),
    ] {
        check(name, method, 32, &[], &new);
    }
}

#[test]
fn long_blocks_enter_the_history_by_the_rule_of_the_version() {
    let (basis, new) = (vector("big.basis"), vector("big.new"));
    check("big.tokens.p30.zlib.bl100000", Compression::Zlib, 30, &basis, &new);
    check("big.tokens.p31.zlib.bl100000", Compression::Zlib, 31, &basis, &new);
}

#[test]
fn runs_of_blocks_are_packed_as_stock_packs_them() {
    let basis: Vec<u8> = (0..70000_u32)
        .flat_map(|i| [i.wrapping_mul(2_654_435_761).to_le_bytes(), i.to_le_bytes()].concat())
        .collect();
    let jumps = [0, 63, 127, 191, 10, 11, 11, 12, 200, 201, 264, 329, 69999];
    let all: Vec<u32> = (0..70000).collect();
    for (name, blocks) in
        [("runs.tokens.p32.zlib.all", &all[..]), ("runs.tokens.p32.zlib.jumps", &jumps)]
    {
        let wire = vector(name);
        let mut input = &wire[..];
        let head = SumHead::decode(&mut input, protocol(32), 16).unwrap();
        let tokens = &input[..input.len() - 16];
        let mut decoder = TokenDecoder::new(Compression::Zlib, protocol(32)).unwrap();
        let (said, _) = read(&mut decoder, &mut input, &head, &basis);
        let expected: Vec<Said> = blocks.iter().map(|index| Said::Block(*index)).collect();
        assert_eq!(said, expected);
        let mut encoder = TokenEncoder::new(Compression::Zlib, None, protocol(32)).unwrap();
        assert_eq!(write(&mut encoder, &said, &head, &basis), tokens);
    }
}

#[test]
fn state_lives_from_file_to_file_as_the_method_has_it() {
    let files = [vector("two.file1"), vector("two.file2")];
    for (name, method) in
        [("lz4", Compression::Lz4), ("zlibx", Compression::Zlibx), ("zstd", Compression::Zstd)]
    {
        let mut decoder = TokenDecoder::new(method, protocol(32)).unwrap();
        let mut encoder = TokenEncoder::new(method, None, protocol(32)).unwrap();
        let mut again = TokenDecoder::new(method, protocol(32)).unwrap();
        let head = SumHead::default();
        for (number, new) in (1..).zip(&files) {
            let wire = vector(&format!("two.tokens.p32.{name}.{number}"));
            let mut input = &wire[..];
            let (said, file) = read(&mut decoder, &mut input, &head, &[]);
            assert!(&file == new, "{name} {number}");
            assert_eq!(input.len(), 16);
            let own = write(&mut encoder, &said, &head, &[]);
            assert!(&read(&mut again, &mut &own[..], &head, &[]).1 == new, "{name} {number}");
        }
    }
}

#[test]
fn documented_small_streams_are_written() {
    let (basis, new) = (b"abcdefghij", b"abcdXefghij");
    let head = SumHead { count: 3, block_length: 4, strong_length: 2, remainder: 2 };
    let said = [Said::Block(0), Said::Data(b"X".to_vec()), Said::Block(1), Said::Block(2)];
    let zstd = [
        0x80, 0x40, 0x0a, 0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x58, 0x08, 0x00, 0x00, 0x58, 0xc1, 1, 0, 0,
    ];
    for (method, bytes) in [
        (Compression::Zlib, &[0x80, 0x40, 0x03, 0x8a, 0x00, 0x00, 0xc1, 1, 0, 0][..]),
        (Compression::Zlibx, &[0x80, 0x40, 0x03, 0x8a, 0x00, 0x00, 0xc1, 1, 0, 0]),
        (Compression::Zstd, &zstd),
        (Compression::Lz4, &[0x80, 0x40, 0x02, 0x10, 0x58, 0xc1, 1, 0, 0]),
    ] {
        let mut decoder = TokenDecoder::new(method, protocol(32)).unwrap();
        assert_eq!(
            read(&mut decoder, &mut &bytes[..], &head, basis),
            (said.to_vec(), new.to_vec())
        );
        let mut encoder = TokenEncoder::new(method, None, protocol(32)).unwrap();
        assert_eq!(write(&mut encoder, &said, &head, basis), bytes, "{method:?}");
    }
}

#[test]
fn stored_streams_are_read_like_compressed_ones() {
    let basis = noise(7, 100_000);
    let head = SumHead { count: 100, block_length: 1000, strong_length: 2, remainder: 0 };
    let said = [Said::Data(vec![b'x'; 100_000]), Said::Block(3), Said::Data(noise(1, 70_000))];
    for method in [Compression::Zlib, Compression::Zlibx] {
        let mut encoder = TokenEncoder::stored(method, protocol(32)).unwrap();
        assert!(!encoder.needs_blocks());
        let wire = write(&mut encoder, &said, &head, &basis);
        assert!(wire.len() > 170_000);
        let mut decoder = TokenDecoder::new(method, protocol(32)).unwrap();
        assert!(read(&mut decoder, &mut &wire[..], &head, &basis).0 == said);
    }
}

#[test]
fn malformed_streams_are_refused() {
    let next = |method, bytes: &[u8]| {
        let mut decoder = TokenDecoder::new(method, protocol(32)).unwrap();
        decoder.start(10);
        decoder.next(&mut &bytes[..]).map(|_| ()).unwrap_err().to_string()
    };
    assert_eq!(
        next(Compression::None, &[0xf5, 0xff, 0xff, 0xff]),
        "Invalid block index 10 (count=10)"
    );
    assert_eq!(
        next(Compression::None, &[0, 0, 0, 0x80]),
        "Invalid block index 2147483647 (count=10)"
    );
    let invalid = "invalid token number in compressed stream";
    for bytes in [
        &[0x20, 0xff, 0xff, 0xff, 0xff][..],
        &[0x20, 0xff, 0xff, 0xff, 0x7f],
        &[0x21, 0xfe, 0xff, 0xff, 0x7f, 1, 0],
        &[0xc0, 0, 0],
        &[0x01],
        &[0x22],
    ] {
        assert_eq!(next(Compression::Zstd, bytes), invalid);
    }
    assert_eq!(next(Compression::Lz4, &[0x40, 0x01, 0x00]), "lz4 failed: empty piece");
    assert_eq!(next(Compression::Zlibx, &[0x40, 0x00]), "deflate failed: empty piece");
    assert_eq!(next(Compression::Zlib, &[0x40, 0x02, 0x03, 0x00]), "deflate failed: stream ended");
    assert!(next(Compression::Zlib, &[0x40, 0x01, 0xff]).starts_with("deflate failed: "));
    assert!(next(Compression::Zstd, &[0x40, 0x04, 1, 2, 3, 4]).starts_with("zstd failed: "));
}

#[test]
fn signatures_of_stock_are_read_and_written_again() {
    for (name, version) in [
        ("text.sums.p27.md4", 27),
        ("text.sums.p29.md4", 29),
        ("text.sums.p30.md5", 30),
        ("text.sums.p32.md5", 32),
        ("text.sums.p32.sha1", 32),
        ("text.sums.p32.xxh128", 32),
        ("text.sums.p32.xxh64", 32),
    ] {
        let wire = vector(name);
        let mut input = &wire[..];
        let head = SumHead::decode(&mut input, protocol(version), 8).unwrap();
        assert_eq!(head.total_length(), 23016);
        let mut again = Vec::new();
        head.encode(&mut again);
        for _ in 0..head.count {
            let mut strong = Vec::new();
            let weak = head.decode_block(&mut input, &mut strong).unwrap();
            head.encode_block(&mut again, weak, &strong);
        }
        assert!(input.read_u8().is_err());
        assert_eq!(again, wire, "{name}");
    }
}

fn tokens() -> impl Strategy<Value = Vec<Said>> {
    let data = prop_oneof![
        proptest::collection::vec(any::<u8>(), 1..300),
        (any::<u8>(), 1..70_000_usize).prop_map(|(byte, length)| vec![byte; length]),
        (any::<u64>(), 1..70_000_usize).prop_map(|(seed, length)| noise(seed, length)),
    ];
    let token = prop_oneof![
        data.prop_map(Said::Data),
        (0..40_u32).prop_map(Said::Block),
        (0..3_u32).prop_map(Said::Block),
    ];
    proptest::collection::vec(token, 0..12)
}

/// Bytes that do not compress.
fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed | 1;
    std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    })
    .take(length)
    .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn every_session_survives_every_method(
        files in proptest::collection::vec(tokens(), 1..4),
        block_length in prop_oneof![1..100_u32, 700..90_000_u32],
        level in proptest::option::of(-1..10_i32),
        version in 27..=32_u8,
    ) {
        let head = SumHead { count: 40, block_length, strong_length: 2, remainder: block_length / 2 };
        let basis = noise(9, head.total_length() as usize);
        for method in
            [Compression::None, Compression::Zlib, Compression::Zlibx, Compression::Zstd, Compression::Lz4]
        {
            let (in_force, _) = method.with_level(level);
            let mut encoder = TokenEncoder::new(method, level, protocol(version)).unwrap();
            let mut decoder = TokenDecoder::new(in_force, protocol(version)).unwrap();
            for file in &files {
                let wire = write(&mut encoder, file, &head, &basis);
                let mut input = &wire[..];
                let (_, made) = read(&mut decoder, &mut input, &head, &basis);
                let wanted: Vec<u8> = file.iter().flat_map(|token| match token {
                    Said::Data(bytes) => bytes.clone(),
                    Said::Block(index) => block(&basis, &head, *index).to_vec(),
                }).collect();
                prop_assert!(made == wanted, "{method:?}");
                prop_assert!(input.is_empty());
            }
        }
    }
}
