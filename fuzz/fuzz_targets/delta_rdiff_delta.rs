//! A librsync delta that is read makes the same file after it was written again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use syncline_delta::rdiff::{self, DeltaReader, DeltaStep, DeltaWriter};

/// A copy of a huge length from a small basis ends in an error soon, but many copies make a large file.
const MOST_STEPS: usize = 1000;

fn rewrite(delta: &[u8]) -> Result<Vec<u8>, syncline_delta::Error> {
    let mut reader = DeltaReader::new(delta)?;
    let mut writer = DeltaWriter::new(Vec::new())?;
    let mut steps = 0;
    while let Some(step) = reader.next_step()? {
        match step {
            DeltaStep::Copy { offset, length } => writer.copy(offset, length)?,
            DeltaStep::Literal(data) => writer.literal(data)?,
        }
        steps += 1;
        if steps > MOST_STEPS {
            break;
        }
    }
    writer.finish()
}

fuzz_target!(|data: &[u8]| {
    let basis: Vec<u8> = (0..=255).collect();
    let Ok(rewritten) = rewrite(data) else { return };
    // Writing is the inverse of reading once the narrowest forms are chosen.
    assert_eq!(rewrite(&rewritten).unwrap(), rewritten);

    let (mut patched, mut again) = (Vec::new(), Vec::new());
    if rdiff::patch(&basis[..], data, &mut patched).is_ok() && patched.len() < 1 << 16 {
        rdiff::patch(&basis[..], &rewritten[..], &mut again).unwrap();
        assert!(patched.starts_with(&again));
    }
});
