//! Whatever the basis, the new file, the sums and the pieces: a patch makes the new file, beside it and in place.
#![no_main]

use libfuzzer_sys::fuzz_target;
use std::io::Cursor;
use syncline_delta::{
    Algorithm, InPlacePatcher, Operation, Patcher, Search, SearchIndex, Signature, SignatureFormat,
    StrongSum, WeakSum,
};

fn search(mut search: Search<'_>, new: &[u8], chunk: usize, mut each: impl FnMut(Operation<'_>)) {
    let (mut start, mut end) = (0, 0);
    while end < new.len() || start == 0 && end == 0 {
        end = new.len().min(end + chunk);
        let consumed = search.scan(&new[start..end], end == new.len(), |operation| {
            each(operation);
            Ok::<_, ()>(())
        });
        start += consumed.unwrap();
        if new.is_empty() {
            break;
        }
    }
    assert_eq!(start, new.len());
}

fuzz_target!(|data: &[u8]| {
    let [weak, strong, block, chunk, cut, rest @ ..] = data else { return };
    let weak = [WeakSum::Rsync, WeakSum::Rollsum, WeakSum::RabinKarp][usize::from(*weak) % 3];
    // Full digests: with short ones a fuzzer finds true collisions.
    let strong = [
        StrongSum::rsync_default(29, 7, false),
        StrongSum::rsync_default(31, 7, true),
        StrongSum::unseeded(Algorithm::Md4),
        StrongSum::unseeded(Algorithm::Sha1),
        StrongSum::unseeded(Algorithm::Blake2b),
        StrongSum::rsync_named(Algorithm::Xxh128, -7),
    ][usize::from(*strong) % 6];
    let (basis, new) = rest.split_at(rest.len() * usize::from(*cut) / 255);
    let block = u32::from(*block).max(1);
    let chunk = usize::from(*chunk) * 4 + 1;

    let format = SignatureFormat::new(weak, strong, block, strong.digest_length()).unwrap();
    let index = SearchIndex::new(Signature::of_slice(format, basis).unwrap());

    let (mut patcher, mut patched) = (Patcher::new(basis), Vec::new());
    search(Search::new(&index), new, chunk, |operation| {
        patcher.apply(operation, &mut patched).unwrap();
    });
    assert_eq!(patched, new);

    let mut patcher = InPlacePatcher::new(Cursor::new(basis.to_vec()), 0);
    search(Search::new(&index).in_place(), new, chunk, |operation| {
        patcher.apply(operation).unwrap()
    });
    let length = patcher.position() as usize;
    let mut patched = patcher.into_inner().into_inner();
    patched.truncate(length);
    assert_eq!(patched, new);
});
