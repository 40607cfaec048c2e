//! Whole batch files of stock, from the head to the last index.

#![allow(clippy::unwrap_used)] // Helpers of tests may panic as tests do.

use syncline_wire::list::{ListDecoder, ListOptions};
use syncline_wire::{
    BatchHeader, BatchOptions, Compression, Index, IndexDecoder, Item, Statistics, SumHead, Token,
    TokenDecoder, WireRead,
};

fn vector(name: &str) -> Vec<u8> {
    let path = format!("{}/tests/vectors/{name}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn replay(name: &str, version: u8, method: Compression) {
    let wire = vector(name);
    let basis = vector("batch.basis");
    let mut input = &wire[..];
    let head = BatchHeader::decode(&mut input).unwrap();
    assert_eq!((head.protocol.number(), head.seed), (version, 0x1234_5678));
    let compressed = head.options.contains(BatchOptions::COMPRESS);
    assert_eq!(compressed, method != Compression::None);

    let options = ListOptions { flags: head.flags, ..ListOptions::new(head.protocol) };
    let list = ListDecoder::new(options).read_list(&mut input, 0, None).unwrap();
    let entry = list.get(0).unwrap();
    assert_eq!((list.len(), entry.base(), entry.mtime()), (1, &b"f"[..], (1_000_000_000, 0)));

    let mut indexes = IndexDecoder::new(head.protocol);
    let mut tokens = TokenDecoder::new(method, head.protocol).unwrap();
    let mut file = Vec::new();
    let mut rounds = 0;
    while rounds < head.protocol.sender_rounds() {
        match indexes.decode(&mut input).unwrap() {
            Index::File(0) => {
                assert!(Item::decode(&mut input, head.protocol).unwrap().is_transfer());
                let sums = SumHead::decode(&mut input, head.protocol, 16).unwrap();
                tokens.start(sums.count);
                loop {
                    let block = match tokens.next(&mut input).unwrap() {
                        Token::End => break,
                        Token::Data(bytes) => {
                            file.extend_from_slice(bytes);
                            continue;
                        }
                        Token::Block(block) => block,
                    };
                    let start = sums.offset_of(block) as usize;
                    let bytes = &basis[start..start + sums.length_of(block) as usize];
                    file.extend_from_slice(bytes);
                    tokens.insert(bytes);
                }
                input.read_bytes::<16>().unwrap();
            }
            Index::Done => {
                rounds += 1;
                if rounds == head.protocol.sender_rounds().min(3) {
                    let statistics = Statistics::decode(&mut input, head.protocol).unwrap();
                    assert_eq!(statistics.total_size, file.len() as u64);
                }
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(file == vector("batch.new"));
    assert!(input.is_empty());
}

#[test]
fn batches_of_stock_are_read_to_the_end() {
    replay("batch.p32.plain", 32, Compression::None);
    replay("batch.p32.zlib", 32, Compression::Zlib);
    replay("batch.p29.zlib", 29, Compression::Zlib);
}
