//! Tokens that can be read are written and read again: the same file.
#![no_main]

use libfuzzer_sys::fuzz_target;
use syncline_wire::{Compression, Protocol, Token, TokenDecoder, TokenEncoder};

const METHODS: [Compression; 5] =
    [Compression::None, Compression::Zlib, Compression::Zlibx, Compression::Zstd, Compression::Lz4];

/// What is read of one input at most: a few bytes can say a lot.
const TOTAL_MAX: usize = 1 << 20;

enum Said {
    Data(Vec<u8>),
    Block(u32),
}

fn read(
    decoder: &mut TokenDecoder,
    mut input: &[u8],
    block: &[u8],
) -> Option<(Vec<Said>, Vec<u8>)> {
    let (mut said, mut file) = (Vec::new(), Vec::new());
    decoder.start(1000);
    while file.len() < TOTAL_MAX {
        match decoder.next(&mut input).ok()? {
            Token::End => return Some((said, file)),
            Token::Data(bytes) => {
                assert!(!bytes.is_empty());
                file.extend_from_slice(bytes);
                said.push(Said::Data(bytes.to_vec()));
            }
            Token::Block(index) => {
                assert!(index < 1000);
                file.extend_from_slice(block);
                said.push(Said::Block(index));
                decoder.insert(block);
            }
        }
    }
    None
}

fuzz_target!(|data: &[u8]| {
    let Some(([choice, length], input)) = data.split_first_chunk() else { return };
    let method = METHODS[usize::from(*choice) % METHODS.len()];
    let protocol = Protocol::ALL[usize::from(choice / 8) % Protocol::ALL.len()];
    let block = vec![b'b'; usize::from(*length) * 300 + 1];
    let mut decoder = TokenDecoder::new(method, protocol).expect("a decoder");
    let Some((said, file)) = read(&mut decoder, input, &block) else { return };

    let mut encoder = TokenEncoder::new(method, None, protocol).expect("an encoder");
    let mut wire = Vec::new();
    for token in &said {
        match token {
            Said::Data(bytes) => encoder.data(&mut wire, bytes),
            Said::Block(index) => encoder.block(&mut wire, *index, &block),
        }
        .expect("what was read can be written");
    }
    encoder.end(&mut wire).expect("what was read can be written");
    let mut decoder = TokenDecoder::new(method, protocol).expect("a decoder");
    let again = read(&mut decoder, &wire, &block);
    assert!(again.is_some_and(|(_, again)| again == file));
});
