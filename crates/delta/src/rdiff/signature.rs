//! Signature files.

use crate::error::Error;
use crate::signature::{LastBlock, Signature, SignatureFormat};
use crate::strong::{Algorithm, StrongSum};
use crate::weak::WeakSum;
use std::io::{self, BufReader, Read, Write};

/// The magic numbers and what they stand for.
const KINDS: [(u32, WeakSum, Algorithm); 4] = [
    (0x7273_0136, WeakSum::Rollsum, Algorithm::Md4),
    (0x7273_0137, WeakSum::Rollsum, Algorithm::Blake2b),
    (0x7273_0146, WeakSum::RabinKarp, Algorithm::Md4),
    (0x7273_0147, WeakSum::RabinKarp, Algorithm::Blake2b),
];

/// A format that librsync knows: `weak` one of its two, `algorithm` MD4 or BLAKE2b. `strong_length` 0 stands for the whole
/// digest.
pub fn format(
    weak: WeakSum,
    algorithm: Algorithm,
    block_length: u32,
    strong_length: usize,
) -> Result<SignatureFormat, Error> {
    let strong = StrongSum::unseeded(algorithm);
    let strong_length = if strong_length == 0 { strong.digest_length() } else { strong_length };
    let format = SignatureFormat::new(weak, strong, block_length, strong_length)?;
    magic(&format)?;
    Ok(format)
}

fn magic(format: &SignatureFormat) -> Result<u32, Error> {
    let algorithm = format.strong().algorithm();
    KINDS
        .iter()
        .find(|(_, weak, strong)| {
            // A seeded sum is one librsync could not compute.
            *weak == format.weak() && *format.strong() == StrongSum::unseeded(*strong)
        })
        .filter(|_| format.strong_length() > 0)
        .map(|(magic, ..)| *magic)
        .ok_or(Error::NotLibrsync(algorithm))
}

fn header(format: &SignatureFormat) -> Result<[u8; 12], Error> {
    let mut header = [0; 12];
    let fields = [magic(format)?, format.block_length(), format.strong_length() as u32];
    for (bytes, field) in header.as_chunks_mut::<4>().0.iter_mut().zip(fields) {
        *bytes = field.to_be_bytes();
    }
    Ok(header)
}

/// Signs a basis up to the end of the reader, holding a bounded part of it.
pub fn sign(
    mut basis: impl Read,
    format: SignatureFormat,
    mut file: impl Write,
) -> Result<(), Error> {
    let writing = "write the signature";
    file.write_all(&header(&format)?).map_err(Error::io(writing))?;
    let mut buffer = Vec::new();
    let mut records = Vec::new();
    loop {
        buffer.clear();
        records.clear();
        let limit = format.read_length();
        let read = (&mut basis)
            .take(limit as u64)
            .read_to_end(&mut buffer)
            .map_err(Error::io("read the basis"))?;
        format.sum_blocks(&buffer, |weak, strong| {
            records.extend_from_slice(&weak.to_be_bytes());
            records.extend_from_slice(strong);
        });
        file.write_all(&records).map_err(Error::io(writing))?;
        if read < limit {
            return file.flush().map_err(Error::io(writing));
        }
    }
}

/// Writes a signature that is there already. What it knows of the last block's length is lost: the format has no place for it.
pub fn write_signature(signature: &Signature, mut file: impl Write) -> Result<(), Error> {
    let mut bytes = header(signature.format())?.to_vec();
    for (weak, strong) in signature.blocks() {
        bytes.extend_from_slice(&weak.to_be_bytes());
        bytes.extend_from_slice(strong);
    }
    file.write_all(&bytes).map_err(Error::io("write the signature"))
}

/// Reads a signature file. Memory grows with the records that are there.
pub fn read_signature(file: impl Read) -> Result<Signature, Error> {
    let mut file = BufReader::new(file);
    let mut field = || -> Result<u32, Error> {
        let mut bytes = [0; 4];
        match fill(&mut file, &mut bytes)? {
            4 => Ok(u32::from_be_bytes(bytes)),
            _ => Err(Error::Truncated { what: "signature header" }),
        }
    };
    let found = field()?;
    let Some((_, weak, algorithm)) = KINDS.iter().find(|(magic, ..)| *magic == found) else {
        return Err(Error::Magic { what: "signature", found });
    };
    let block_length = field()?;
    let strong_length = field()? as usize;
    let format = format(*weak, *algorithm, block_length, strong_length)?;

    let mut signature = Signature::without_blocks(format, LastBlock::Unknown);
    let mut strong = vec![0; format.strong_length()];
    loop {
        let mut weak = [0; 4];
        // One to three stray bytes behind the last record are let be, as rdiff does.
        if fill(&mut file, &mut weak)? < 4 {
            return Ok(signature);
        }
        if fill(&mut file, &mut strong)? < strong.len() {
            return Err(Error::Truncated { what: "signature" });
        }
        if signature.len() == i32::MAX as u32 {
            return Err(Error::TooManyBlocks { block_length });
        }
        signature.push(u32::from_be_bytes(weak), &strong);
    }
}

/// Reads until `buffer` is full or the file ends.
fn fill(file: &mut impl Read, buffer: &mut [u8]) -> Result<usize, Error> {
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(Error::io("read the signature")(error)),
        }
    }
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_out_of_bounds_are_refused() {
        let read = |magic: u32, block: u32, strong: u32| {
            let bytes: Vec<u8> =
                [magic, block, strong].iter().flat_map(|f| f.to_be_bytes()).collect();
            read_signature(&bytes[..])
        };
        assert!(read(0x7273_0136, 1, 16).unwrap().is_empty());
        assert_eq!(read(0x7273_0147, 1, 0).unwrap().format().strong_length(), 32);
        assert!(matches!(read(0x7273_0236, 1, 16), Err(Error::Magic { .. })));
        assert!(matches!(read(0x7273_0136, 0, 16), Err(Error::Corrupt { .. })));
        assert!(matches!(read(0x7273_0136, 1 << 31, 16), Err(Error::Corrupt { .. })));
        assert!(matches!(read(0x7273_0136, 1, 17), Err(Error::Corrupt { .. })));
        assert!(matches!(read_signature(&b"rs\x016\0\0"[..]), Err(Error::Truncated { .. })));
    }

    #[test]
    fn stray_bytes_are_let_be_and_half_a_record_is_not() {
        let format = format(WeakSum::Rollsum, Algorithm::Md4, 4, 8).unwrap();
        let mut file = Vec::new();
        sign(&b"abcdefghij"[..], format, &mut file).unwrap();
        let whole = read_signature(&file[..]).unwrap();
        assert_eq!(whole.len(), 3);
        for stray in 1..=3 {
            file.push(0);
            assert_eq!(read_signature(&file[..]).unwrap(), whole, "{stray}");
        }
        file.push(0);
        assert!(matches!(read_signature(&file[..]), Err(Error::Truncated { .. })));
    }

    #[test]
    fn sums_that_librsync_lacks_are_refused() {
        assert!(format(WeakSum::Rsync, Algorithm::Md4, 4, 0).is_err());
        assert!(format(WeakSum::Rollsum, Algorithm::Xxh3, 4, 0).is_err());
        let seeded = StrongSum::rsync_named(Algorithm::Md4, 1);
        let format = SignatureFormat::new(WeakSum::Rollsum, seeded, 4, 8).unwrap();
        assert!(sign(&b""[..], format, Vec::new()).is_err());
    }
}
