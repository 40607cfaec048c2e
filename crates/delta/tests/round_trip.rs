//! Whatever the basis, the new file, the sums and the pieces: a patch makes the new file.
#![allow(clippy::unwrap_used, clippy::print_stderr)]

use proptest::prelude::*;
use std::io::Cursor;
use syncline_delta::{
    Algorithm, Error, InPlacePatcher, Operation, Patcher, Search, SearchIndex, SeekBasis,
    Signature, SignatureFormat, StrongSum, WeakSum, rdiff,
};

fn sums() -> impl Strategy<Value = (WeakSum, StrongSum)> {
    let weak = prop::sample::select(vec![WeakSum::Rsync, WeakSum::Rollsum, WeakSum::RabinKarp]);
    let named = prop::sample::select(vec![
        Algorithm::Md4Archaic,
        Algorithm::Md4,
        Algorithm::Md5,
        Algorithm::Sha1,
        Algorithm::Xxh64,
        Algorithm::Xxh3,
        Algorithm::Xxh128,
        Algorithm::Blake2b,
    ]);
    let strong = prop_oneof![
        (named, any::<i32>()).prop_map(|(algorithm, seed)| StrongSum::rsync_named(algorithm, seed)),
        (26_u32..33, any::<i32>(), any::<bool>())
            .prop_map(|(protocol, seed, order)| StrongSum::rsync_default(protocol, seed, order)),
    ];
    (weak, strong)
}

/// Few distinct bytes, so that blocks repeat and sums collide.
fn data(longest: usize) -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..longest),
        prop::collection::vec(0_u8..2, 0..longest),
        (1_usize..9, 0..longest)
            .prop_map(|(period, length)| { (0..length).map(|i| (i % period) as u8).collect() }),
    ]
}

/// A basis and a new file made of pieces of it and of something else.
fn files() -> impl Strategy<Value = (Vec<u8>, Vec<u8>)> {
    let piece = (any::<bool>(), any::<prop::sample::Index>(), 0_usize..300, data(40));
    (data(1500), prop::collection::vec(piece, 0..8)).prop_map(|(basis, pieces)| {
        let mut new = Vec::new();
        for (known, at, length, other) in pieces {
            if known && !basis.is_empty() {
                let start = at.index(basis.len());
                new.extend_from_slice(&basis[start..basis.len().min(start + length)]);
            } else {
                new.extend_from_slice(&other);
            }
        }
        (basis, new)
    })
}

/// Searches `new` in pieces of `chunk` bytes, as an engine with its own buffer does.
fn search_in_pieces(
    mut search: Search<'_>,
    new: &[u8],
    chunk: usize,
    mut each: impl FnMut(Operation<'_>) -> Result<(), Error>,
) -> Result<(), Error> {
    let (mut start, mut end) = (0, 0);
    loop {
        end = new.len().min(end + chunk);
        let mut made = 0;
        let consumed = search.scan(&new[start..end], end == new.len(), |operation| {
            made += operation.length();
            each(operation)
        })?;
        assert_eq!(made, consumed as u64);
        start += consumed;
        assert!(end - start < search.window().max(1));
        if end == new.len() {
            assert_eq!(start, end);
            return Ok(());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn a_patch_makes_the_new_file(
        (basis, new) in files(), (weak, strong) in sums(), block in 1_u32..200, chunk in 1_usize..700,
    ) {
        let format = SignatureFormat::new(weak, strong, block, strong.digest_length()).unwrap();
        let signature = Signature::of_slice(format, &basis).unwrap();
        prop_assert_eq!(&signature, &Signature::of_reader(format, &basis[..]).unwrap());
        let index = SearchIndex::new(signature);

        let mut patched = Vec::new();
        let mut patcher = Patcher::new(SeekBasis::new(Cursor::new(&basis)));
        search_in_pieces(Search::new(&index), &new, chunk, |operation| patcher.apply(operation, &mut patched)).unwrap();
        prop_assert_eq!(&patched, &new);

        let mut patched = Vec::new();
        let mut patcher = Patcher::new(&basis[..]);
        Search::new(&index).run(&new[..], |operation| patcher.apply(operation, &mut patched)).unwrap();
        prop_assert_eq!(&patched, &new);
    }

    #[test]
    fn an_update_in_place_makes_the_new_file(
        (basis, new) in files(), block in 1_u32..200, chunk in 1_usize..700,
    ) {
        let strong = StrongSum::unseeded(Algorithm::Xxh128);
        let format = SignatureFormat::new(WeakSum::Rsync, strong, block, 16).unwrap();
        let index = SearchIndex::new(Signature::of_slice(format, &basis).unwrap());
        let mut patcher = InPlacePatcher::new(Cursor::new(basis), 0);
        search_in_pieces(Search::new(&index).in_place(), &new, chunk, |operation| patcher.apply(operation)).unwrap();
        let length = patcher.position() as usize;
        let mut patched = patcher.into_inner().into_inner();
        patched.truncate(length);
        prop_assert_eq!(patched, new);
    }

    #[test]
    fn an_unchanged_file_is_all_copies(
        basis in data(2000), (weak, strong) in sums(), block in 1_u32..200, in_place in any::<bool>(),
    ) {
        let format = SignatureFormat::new(weak, strong, block, strong.digest_length()).unwrap();
        let index = SearchIndex::new(Signature::of_slice(format, &basis).unwrap());
        let search = Search::new(&index);
        let search = if in_place { search.in_place() } else { search };
        let mut next = 0;
        let work = search.run::<Error>(&basis[..], |operation| match operation {
            Operation::Copy { offset, length, .. } if offset == next => {
                next += u64::from(length);
                Ok(())
            }
            other => panic!("{other:?} at {next}"),
        });
        prop_assert!(work.is_ok_and(|work| work.strong_bytes == next));
        prop_assert_eq!(next, basis.len() as u64);
    }

    #[test]
    fn librsync_files_are_read_as_they_were_written(
        (basis, new) in files(),
        weak in prop::sample::select(vec![WeakSum::Rollsum, WeakSum::RabinKarp]),
        algorithm in prop::sample::select(vec![Algorithm::Md4, Algorithm::Blake2b]),
        block in 1_u32..200, strong in 8_usize..=16,
    ) {
        let format = rdiff::format(weak, algorithm, block, strong).unwrap();
        let (mut file, mut again) = (Vec::new(), Vec::new());
        rdiff::sign(&basis[..], format, &mut file).unwrap();
        let signature = rdiff::read_signature(&file[..]).unwrap();
        rdiff::write_signature(&signature, &mut again).unwrap();
        prop_assert_eq!(&file, &again);
        prop_assert!(signature.blocks().eq(Signature::of_slice(format, &basis).unwrap().blocks()));

        let (mut delta, mut patched) = (Vec::new(), Vec::new());
        rdiff::delta(&SearchIndex::new(signature), &new[..], &mut delta).unwrap();
        rdiff::patch(&basis[..], &delta[..], &mut patched).unwrap();
        prop_assert_eq!(patched, new);
    }
}
