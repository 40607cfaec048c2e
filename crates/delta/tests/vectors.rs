//! The golden vectors: what stock rsync and rdiff computed.
#![allow(clippy::unwrap_used)]

use serde_json::Value;
use std::path::PathBuf;
use syncline_delta::{
    Algorithm, MAX_BLOCK_LENGTH, Operation, Search, SearchIndex, Signature, SignatureBuilder,
    SignatureFormat, StrongSum, SumHeader, WeakSum, max_block_length, rdiff,
};

fn vector(name: &str) -> Vec<u8> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/vectors").join(name);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn json(name: &str) -> Value {
    serde_json::from_slice(&vector(name)).unwrap()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

fn unhex(digits: &str) -> Vec<u8> {
    (0..digits.len())
        .step_by(2)
        .map(|i| u8::from_str_radix(&digits[i..i + 2], 16).unwrap())
        .collect()
}

fn pattern(length: usize, step: usize) -> Vec<u8> {
    (0..length).map(|i| (131 * i + 17 * (i >> 8) + 59 * step) as u8).collect()
}

fn input(spec: &str) -> Vec<u8> {
    let (kind, rest) = spec.split_once(':').unwrap();
    match kind {
        "hex" => unhex(rest),
        "ascii" => rest.as_bytes().to_vec(),
        "pattern" => pattern(rest.parse().unwrap(), 0),
        "zeros" => vec![0; rest.parse().unwrap()],
        "ones" => vec![0xff; rest.parse().unwrap()],
        other => panic!("unknown input {other}"),
    }
}

fn sum_of_row(row: &str, seed: i32) -> StrongSum {
    match row {
        "md4_proto27-29" => StrongSum::rsync_default(28, seed, false),
        "md5_proto30+" | "md5_proto30+_seedfix" => StrongSum::rsync_default(31, seed, true),
        "md5_proto30+_noseedfix" => StrongSum::rsync_default(31, seed, false),
        "md4_named" => StrongSum::rsync_named(Algorithm::Md4, seed),
        "sha1" => StrongSum::rsync_named(Algorithm::Sha1, seed),
        "xxh64" => StrongSum::rsync_named(Algorithm::Xxh64, seed),
        "xxh3" => StrongSum::rsync_named(Algorithm::Xxh3, seed),
        "xxh128" => StrongSum::rsync_named(Algorithm::Xxh128, seed),
        other => panic!("unknown row {other}"),
    }
}

#[test]
fn sums_of_blocks_and_files_are_stocks() {
    let mut compared = 0;
    for case in json("checksums.json")["vectors"].as_array().unwrap() {
        let data = input(text(&case["input"]));
        assert_eq!(data.len() as u64, case["len"].as_u64().unwrap());
        let seed = case["seed"].as_i64().unwrap() as i32;
        let weak = u32::from_str_radix(text(&case["weak"]), 16).unwrap();
        assert_eq!(WeakSum::Rsync.of(&data), weak, "{}", case["input"]);
        for (row, sum) in case["block"].as_object().unwrap() {
            let sum = unhex(text(sum));
            let ours = sum_of_row(row, seed).block(&data);
            assert_eq!(ours[..sum.len()], sum, "block {row} {} {seed}", case["input"]);
            compared += 1;
        }
        for (row, sum) in case["whole"].as_object().unwrap() {
            let ours = sum_of_row(row, seed).file(&data);
            assert_eq!(*ours, unhex(text(sum)), "file {row} {} {seed}", case["input"]);
            compared += 1;
        }
    }
    assert!(compared > 100, "{compared}");
}

#[test]
fn weak_sums_of_every_window_are_the_specifications() {
    let data = pattern(64, 0);
    for case in json("rolling.json")["vectors"].as_array().unwrap() {
        let window = case["window"].as_u64().unwrap() as usize;
        for (start, weak) in case["weak"].as_array().unwrap().iter().enumerate() {
            let ours = WeakSum::Rsync.of(&data[start..start + window]);
            assert_eq!(format!("{ours:08x}"), text(weak));
        }
    }
}

#[test]
fn headers_are_those_of_stocks_generator() {
    let vectors = json("blocksize.json");
    let rows = vectors["rows"].as_array().unwrap();
    assert!(!rows.is_empty());
    for row in rows {
        let number = |i: usize| row[i].as_u64().unwrap();
        let block_size = Some(number(1) as u32).filter(|size| *size > 0);
        let max = max_block_length(number(0) as u32);
        let header = SumHeader::for_file(number(2), block_size, max, 16, false).unwrap();
        let wire: Vec<i32> = (3..7).map(|i| number(i) as i32).collect();
        assert_eq!(header.to_wire()[..], wire, "{row}");
    }
}

#[test]
fn signatures_are_those_of_stocks_generator() {
    let basis = vector("text.basis");
    for (name, sum) in [
        ("p27.md4", sum_of_row("md4_proto27-29", 0x1234_5678)),
        ("p29.md4", sum_of_row("md4_proto27-29", 0x1234_5678)),
        ("p30.md5", sum_of_row("md5_proto30+_seedfix", 0x1234_5678)),
        ("p32.md5", sum_of_row("md5_proto30+_seedfix", 0x1234_5678)),
        ("p32.sha1", sum_of_row("sha1", 0x1234_5678)),
        ("p32.xxh128", sum_of_row("xxh128", 0x1234_5678)),
        ("p32.xxh64", sum_of_row("xxh64", 0x1234_5678)),
    ] {
        let wire = vector(&format!("text.sums.{name}"));
        let digest = sum.digest_length();
        let header =
            SumHeader::for_file(basis.len() as u64, None, MAX_BLOCK_LENGTH, digest, false).unwrap();
        let mut ours: Vec<u8> =
            header.to_wire().iter().flat_map(|field| field.to_le_bytes()).collect();
        let format = SignatureFormat::rsync(&header, sum).unwrap();
        let signature = Signature::of_slice(format, &basis).unwrap();
        let mut builder = SignatureBuilder::new(header, sum).unwrap();
        for (weak, strong) in signature.blocks() {
            ours.extend_from_slice(&weak.to_le_bytes());
            ours.extend_from_slice(strong);
            builder.push(weak, strong).unwrap();
        }
        assert_eq!(ours, wire, "{name}");
        assert_eq!(builder.finish().unwrap(), signature, "{name}");
    }
}

/// The data of `match` cases: 700-byte blocks by letter, or hex.
fn blocks(names: &Value) -> Vec<u8> {
    let block = |name: &Value| match text(name) {
        "Z" => vec![0; 700],
        letter @ ("A" | "B" | "C" | "D") => pattern(700, usize::from(letter.as_bytes()[0] - b'A')),
        digits => unhex(digits),
    };
    names.as_array().unwrap().iter().flat_map(block).collect()
}

#[test]
fn the_search_picks_the_blocks_that_stock_picks() {
    let cases = json("sender_choices.json");
    for case in cases["match"].as_array().unwrap() {
        let (basis, new) = (blocks(&case["basis"]), blocks(&case["new"]));
        let sum = StrongSum::rsync_default(32, 77, true);
        let header =
            SumHeader::for_file(basis.len() as u64, None, MAX_BLOCK_LENGTH, 16, false).unwrap();
        let format = SignatureFormat::rsync(&header, sum).unwrap();
        let index = SearchIndex::new(Signature::of_slice(format, &basis).unwrap());
        let options: Vec<&str> = case["options"].as_array().unwrap().iter().map(text).collect();
        let updates_basis = match text(&case["basis_type"]) {
            "81" => true,
            "80 (not sent)" => options.contains(&"--inplace"),
            _ => false,
        };
        let search = Search::new(&index);
        let mut search = if updates_basis { search.in_place() } else { search };
        let mut ours: Vec<(String, u64)> = Vec::new();
        let note = |operation: Operation<'_>| {
            match operation {
                Operation::Copy { block, .. } => ours.push(("block".into(), u64::from(block))),
                Operation::Literal(data) => ours.push(("literal".into(), data.len() as u64)),
            }
            Ok::<_, ()>(())
        };
        assert_eq!(search.scan(&new, true, note), Ok(new.len()));
        let stock: Vec<(String, u64)> = case["ops"]
            .as_array()
            .unwrap()
            .iter()
            .map(|operation| (text(&operation[0]).into(), operation[1].as_u64().unwrap()))
            .collect();
        assert_eq!(ours, stock, "{} {:?}", case["new"], options);
    }
}

#[test]
fn an_append_starts_where_stock_starts() {
    for case in json("sender_choices.json")["append"].as_array().unwrap() {
        let field = |i: usize| case["header"][i].as_i64().unwrap() as i32;
        let wire = [field(0), field(1), field(2), field(3)];
        let header = SumHeader::from_wire(wire, MAX_BLOCK_LENGTH, 16).unwrap();
        assert_eq!(header.covered(), case["prefix_length"].as_u64().unwrap());
    }
}

#[test]
fn rdiff_signatures_are_read_and_written_byte_for_byte() {
    let basis = vector("text.basis");
    let length = Some(basis.len() as u64);
    let block = rdiff::default_block_length(length);
    let minimum = rdiff::minimum_strong_length(length, block);
    for (weak_name, weak) in [("rollsum", WeakSum::Rollsum), ("rabinkarp", WeakSum::RabinKarp)] {
        for (name, algorithm, strong) in [
            ("md4", Algorithm::Md4, 0),
            ("blake2", Algorithm::Blake2b, 0),
            ("blake2.S8", Algorithm::Blake2b, 8),
            ("blake2.Sm1", Algorithm::Blake2b, minimum),
        ] {
            let theirs = vector(&format!("rdiff/text.sig.{weak_name}.{name}"));
            let format = rdiff::format(weak, algorithm, block, strong).unwrap();
            let mut ours = Vec::new();
            rdiff::sign(&basis[..], format, &mut ours).unwrap();
            assert_eq!(ours, theirs, "{weak_name} {name}");

            let signature = rdiff::read_signature(&theirs[..]).unwrap();
            let mut again = Vec::new();
            rdiff::write_signature(&signature, &mut again).unwrap();
            assert_eq!(again, theirs, "{weak_name} {name}");

            let index = SearchIndex::new(signature);
            let mut delta = Vec::new();
            rdiff::delta(&index, &vector("text.new")[..], &mut delta).unwrap();
            assert_eq!(delta, vector("rdiff/text.delta"), "{weak_name} {name}");
        }
    }
}

#[test]
fn rdiff_deltas_are_applied_with_every_opcode() {
    for (basis, delta, new) in [
        ("text.basis", "rdiff/text.delta", "text.new"),
        ("rdiff/allops.basis", "rdiff/allops.delta", "rdiff/allops.out"),
    ] {
        let mut patched = Vec::new();
        rdiff::patch(&vector(basis)[..], &vector(delta)[..], &mut patched).unwrap();
        assert_eq!(patched, vector(new), "{delta}");
    }
}
