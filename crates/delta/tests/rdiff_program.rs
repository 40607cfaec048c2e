//! Files exchanged with the `rdiff` program, in both directions.
#![allow(clippy::unwrap_used, clippy::print_stderr)]

use std::fs;
use std::path::Path;
use std::process::Command;
use syncline_delta::{Algorithm, SearchIndex, WeakSum, rdiff};

fn has_rdiff(test: &str) -> bool {
    let there = Command::new("rdiff").arg("--version").output().is_ok();
    if !there {
        eprintln!("SKIPPED {test}: no rdiff program");
    }
    there
}

fn run(directory: &Path, arguments: &[&str]) {
    let output = Command::new("rdiff").current_dir(directory).args(arguments).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

fn files() -> (Vec<u8>, Vec<u8>) {
    let mut state = 1_u32;
    let basis: Vec<u8> = (0..100_001)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        })
        .collect();
    let mut new = basis.clone();
    new.splice(100..110, *b"an edit");
    new.splice(50_000..50_000, vec![0; 70_000]);
    new.extend_from_within(20_000..40_000);
    (basis, new)
}

#[test]
fn files_go_both_ways_with_every_magic() {
    if !has_rdiff("files_go_both_ways_with_every_magic") {
        return;
    }
    let (basis, new) = files();
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    fs::write(path("basis"), &basis).unwrap();
    fs::write(path("new"), &new).unwrap();
    for (roll, weak) in [("rollsum", WeakSum::Rollsum), ("rabinkarp", WeakSum::RabinKarp)] {
        for (hash, algorithm) in [("md4", Algorithm::Md4), ("blake2", Algorithm::Blake2b)] {
            for (block, strong) in [(256_u32, 0_usize), (1000, 8), (7, 5), (200_000, 16)] {
                let case = format!("{roll} {hash} {block} {strong}");
                let (b, s) = (block.to_string(), strong.to_string());
                run(
                    directory.path(),
                    &[
                        "-f",
                        "-R",
                        roll,
                        "-H",
                        hash,
                        "-b",
                        &b,
                        "-S",
                        &s,
                        "signature",
                        "basis",
                        "sig",
                    ],
                );
                let theirs = fs::read(path("sig")).unwrap();
                let format = rdiff::format(weak, algorithm, block, strong).unwrap();
                let mut ours = Vec::new();
                rdiff::sign(&basis[..], format, &mut ours).unwrap();
                assert!(ours == theirs, "{case}");

                // Their delta of our signature, patched by us.
                run(directory.path(), &["-f", "delta", "sig", "new", "delta"]);
                let mut patched = Vec::new();
                rdiff::patch(&basis[..], &fs::read(path("delta")).unwrap()[..], &mut patched)
                    .unwrap();
                assert!(patched == new, "{case}");
                let their_length = fs::metadata(path("delta")).unwrap().len();

                // Our delta of their signature, patched by them.
                let index = SearchIndex::new(rdiff::read_signature(&theirs[..]).unwrap());
                let mut delta = Vec::new();
                rdiff::delta(&index, &new[..], &mut delta).unwrap();
                fs::write(path("delta"), &delta).unwrap();
                run(directory.path(), &["-f", "patch", "basis", "delta", "patched"]);
                assert!(fs::read(path("patched")).unwrap() == new, "{case}");
                assert!(
                    delta.len() as u64 <= their_length + u64::from(2 * block),
                    "{case}: {} {their_length}",
                    delta.len()
                );
            }
        }
    }
}
