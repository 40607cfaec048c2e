//! Searches are linear on every input: counted in bytes put through the strong sum, not timed.
#![allow(clippy::unwrap_used, clippy::print_stderr)]

use syncline_delta::{
    Algorithm, Operation, Search, SearchIndex, SearchWork, Signature, SignatureFormat, StrongSum,
    WeakSum,
};

const BLOCK: usize = 256;
const LENGTH: usize = 1 << 20;

fn index(basis: &[u8], strong_length: usize) -> SearchIndex {
    let strong = StrongSum::unseeded(Algorithm::Xxh3);
    let format = SignatureFormat::new(WeakSum::Rsync, strong, BLOCK as u32, strong_length).unwrap();
    SearchIndex::new(Signature::of_slice(format, basis).unwrap())
}

/// The work done, and how many bytes were literal.
fn search(index: &SearchIndex, new: &[u8]) -> (SearchWork, usize) {
    let mut literal = 0;
    let work = Search::new(index).run(new, |operation| {
        if let Operation::Literal(data) = operation {
            literal += data.len();
        }
        Ok::<_, syncline_delta::Error>(())
    });
    (work.unwrap(), literal)
}

fn noise(length: usize, mut state: u64) -> Vec<u8> {
    (0..length)
        .map(|_| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (state >> 56) as u8
        })
        .collect()
}

/// A block that is not zeros and yet has weak sum 0, different for each `shift`.
fn weak_zero(shift: usize) -> Vec<u8> {
    let mut block = vec![0; BLOCK];
    for (i, byte) in [1, 0xff, 0xff, 1].into_iter().enumerate() {
        block[shift + i] = byte;
    }
    assert_eq!(WeakSum::Rsync.of(&block), 0);
    block
}

#[test]
fn an_unchanged_file_is_summed_once() {
    for basis in [noise(LENGTH, 1), vec![0; LENGTH], (0..LENGTH).map(|i| (i % 37) as u8).collect()]
    {
        let (work, literal) = search(&index(&basis, 8), &basis);
        assert_eq!((work.strong_bytes, literal), (LENGTH as u64, 0));
    }
}

#[test]
fn zeros_and_periods_of_another_length_are_summed_once() {
    let (work, literal) = search(&index(&vec![0; LENGTH], 8), &vec![0; 3 * LENGTH]);
    assert_eq!((work.strong_bytes, literal), (3 * LENGTH as u64, 0));
    let period = |length: usize| -> Vec<u8> { (0..length).map(|i| (i % 37) as u8).collect() };
    let (work, literal) = search(&index(&period(LENGTH), 8), &period(3 * LENGTH));
    assert!(work.strong_bytes <= 3 * LENGTH as u64);
    assert!(literal < BLOCK, "{literal}");
}

#[test]
fn one_edited_block_costs_one_block() {
    let basis = noise(LENGTH, 2);
    let mut new = basis.clone();
    for at in (0..LENGTH).step_by(100 * BLOCK) {
        new[at + 17] ^= 0x55;
    }
    let (work, literal) = search(&index(&basis, 8), &new);
    assert_eq!(literal, LENGTH.div_ceil(100 * BLOCK) * BLOCK);
    assert!(work.strong_bytes <= LENGTH as u64);
}

#[test]
fn unrelated_data_is_hardly_ever_summed() {
    let (work, literal) = search(&index(&noise(LENGTH, 3), 8), &noise(LENGTH, 4));
    assert_eq!(literal, LENGTH);
    assert!(work.strong_bytes < LENGTH as u64 / 10, "{work:?}");
}

#[test]
fn crafted_weak_collisions_cost_a_bounded_number_of_strong_sums() {
    // Every window of the new file has the weak sum of every block of the basis, and none is equal.
    let basis: Vec<u8> = (0..4000).flat_map(|i| weak_zero(i % (BLOCK - 4))).collect();
    let (work, literal) = search(&index(&basis, 8), &vec![0; LENGTH]);
    assert_eq!(literal, LENGTH);
    assert!(work.blind_bytes > LENGTH as u64 / 2, "the case is not the bad one: {work:?}");
    assert!(work.strong_bytes < 10 * LENGTH as u64, "{work:?}");
}

#[test]
fn a_true_match_is_found_among_any_number_of_weak_collisions() {
    let mut basis: Vec<u8> = (0..4000).flat_map(|i| weak_zero(i % (BLOCK - 4))).collect();
    basis.extend_from_slice(&[0; BLOCK]);
    let (work, literal) = search(&index(&basis, 8), &[noise(77, 5), vec![0; LENGTH]].concat());
    assert_eq!(literal, 77);
    assert!(work.strong_bytes < 2 * LENGTH as u64);
}

#[test]
fn likely_blocks_that_all_fail_cost_a_bounded_number_of_strong_sums() {
    // The new file looks like the basis by weak sums throughout, block by block in order.
    let basis: Vec<u8> = (0..4000).flat_map(|i| weak_zero(i % 200)).collect();
    let new: Vec<u8> = (0..4000).flat_map(|i| weak_zero(i % 200 + 40)).collect();
    for algorithm in [Algorithm::Md4, Algorithm::Xxh3] {
        let strong = StrongSum::unseeded(algorithm);
        let format = SignatureFormat::new(WeakSum::Rsync, strong, BLOCK as u32, 8).unwrap();
        // A signature of blocks that never occur, with the weak sums of those that do.
        let basis: Vec<u8> = basis.chunks(BLOCK).take(3).flatten().copied().collect();
        let index = SearchIndex::new(Signature::of_slice(format, &basis.repeat(1333)).unwrap());
        let (work, _) = search(&index, &new);
        assert!(work.strong_bytes < 28 * new.len() as u64, "{algorithm:?} {work:?}");
    }
}

#[test]
fn an_in_place_search_over_equal_blocks_stays_linear() {
    let index = index(&vec![0; LENGTH], 8);
    let mut copied = 0;
    let work = Search::new(&index).in_place().run(&vec![0; 2 * LENGTH][..], |operation| {
        if let Operation::Copy { .. } = operation {
            copied += operation.length();
        }
        Ok::<_, syncline_delta::Error>(())
    });
    assert_eq!(copied, 2 * LENGTH as u64);
    assert_eq!(work.unwrap().strong_bytes, 2 * LENGTH as u64);
}
