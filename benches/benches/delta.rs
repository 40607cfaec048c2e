//! Signature and search of `syncline-delta` beside `fast_rsync` and librsync (C), on 64 MiB inputs.
//!
//! Every search includes making the signature ready for it (our index, `fast_rsync`'s index, librsync's load), for that is
//! what a transfer does once a file. All use blocks of 8192 bytes. The rivals put a delta into memory that is there
//! already; ours hands out borrowed operations, and as `xxh128 to file` it writes a librsync delta the same way.
#![allow(missing_docs, clippy::unwrap_used)]

use criterion::{Criterion, SamplingMode, Throughput, criterion_group, criterion_main};
use std::hint::black_box;
use std::time::Duration;
use syncline_delta::{
    Algorithm, Operation, Search, SearchIndex, Signature, SignatureFormat, StrongSum, WeakSum,
    rdiff,
};

const LENGTH: usize = 64 << 20;
const BLOCK: u32 = 8192;
const OURS: [(&str, Algorithm); 4] = [
    ("syncline xxh3", Algorithm::Xxh3),
    ("syncline xxh128", Algorithm::Xxh128),
    ("syncline md5", Algorithm::Md5),
    ("syncline md4", Algorithm::Md4),
];

fn noise(length: usize, mut state: u64) -> Vec<u8> {
    let mut data = Vec::with_capacity(length);
    while data.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        data.extend_from_slice(&state.to_le_bytes());
    }
    data
}

fn periodic(length: usize) -> Vec<u8> {
    noise(1000, 7).into_iter().cycle().take(length).collect()
}

/// One byte in a hundred replaced, in runs of 1 KiB all over the file.
fn edited(basis: &[u8]) -> Vec<u8> {
    let mut new = basis.to_vec();
    let runs = basis.len() / 100 / 1024;
    let places = noise(runs * 8, 11);
    for place in places.as_chunks::<8>().0.iter().take(runs) {
        let start = usize::from_le_bytes(*place) % (basis.len() - 1024);
        for byte in &mut new[start..start + 1024] {
            *byte = byte.wrapping_mul(31).wrapping_add(17);
        }
    }
    new
}

/// Blocks that all have the weak sum of zeros, and none of which is zeros.
fn weak_zeros(length: usize) -> Vec<u8> {
    let mut data = vec![0; length];
    for (i, block) in data.chunks_exact_mut(BLOCK as usize).enumerate() {
        block[i % 8000..][..4].copy_from_slice(&[1, 0xff, 0xff, 1]);
    }
    data
}

fn shifted(basis: &[u8]) -> Vec<u8> {
    let mut new = Vec::with_capacity(basis.len() + 1);
    new.push(0x5a);
    new.extend_from_slice(basis);
    new
}

fn format(algorithm: Algorithm) -> SignatureFormat {
    let strong = StrongSum::rsync_named(algorithm, 0x1234_5678);
    SignatureFormat::new(WeakSum::Rsync, strong, BLOCK, strong.digest_length().min(16)).unwrap()
}

fn fast_rsync_options() -> fast_rsync::SignatureOptions {
    fast_rsync::SignatureOptions { block_size: BLOCK, crypto_hash_size: 16 }
}

fn librsync_signature(basis: &[u8], kind: librsync::SignatureType) -> Vec<u8> {
    let mut file = Vec::with_capacity(1 << 20);
    librsync::whole::signature_with_options(&mut &*basis, &mut file, BLOCK as usize, 16, kind)
        .unwrap();
    file
}

fn signature(criterion: &mut Criterion) {
    for (name, basis) in
        [("noise", noise(LENGTH, 1)), ("zeros", vec![0; LENGTH]), ("periodic", periodic(LENGTH))]
    {
        let mut group = criterion.benchmark_group(format!("signature/{name}"));
        group.throughput(Throughput::Bytes(LENGTH as u64));
        group.sampling_mode(SamplingMode::Flat).sample_size(10);
        group.measurement_time(Duration::from_secs(2)).warm_up_time(Duration::from_millis(300));
        for (ours, algorithm) in OURS {
            group.bench_function(ours, |bencher| {
                bencher.iter(|| Signature::of_slice(format(algorithm), black_box(&basis)).unwrap());
            });
        }
        let mut storage = Vec::new();
        group.bench_function("fast_rsync md4", |bencher| {
            bencher.iter(|| {
                let signature =
                    fast_rsync::Signature::calculate(black_box(&basis), fast_rsync_options());
                storage.clear();
                storage.extend_from_slice(signature.serialized());
            });
        });
        group.bench_function("librsync md4", |bencher| {
            bencher.iter(|| librsync_signature(black_box(&basis), librsync::SignatureType::MD4));
        });
        group.bench_function("librsync blake2", |bencher| {
            bencher.iter(|| librsync_signature(black_box(&basis), librsync::SignatureType::Blake2));
        });
    }
}

fn search(criterion: &mut Criterion) {
    let basis = noise(LENGTH, 1);
    let zeros = vec![0; LENGTH];
    let period = periodic(LENGTH);
    let crafted = weak_zeros(LENGTH);
    for (name, basis, new) in [
        ("identical", &basis, basis.clone()),
        ("edits", &basis, edited(&basis)),
        ("shifted", &basis, shifted(&basis)),
        ("unrelated", &basis, noise(LENGTH, 2)),
        ("zeros", &zeros, zeros.clone()),
        ("periodic", &period, period.clone()),
        ("crafted", &crafted, zeros.clone()),
    ] {
        let mut group = criterion.benchmark_group(format!("search/{name}"));
        group.throughput(Throughput::Bytes(LENGTH as u64));
        group.sampling_mode(SamplingMode::Flat).sample_size(10);
        group.measurement_time(Duration::from_secs(2)).warm_up_time(Duration::from_millis(300));
        for (ours, algorithm) in OURS {
            let signature = Signature::of_slice(format(algorithm), basis).unwrap();
            group.bench_function(ours, |bencher| {
                bencher.iter(|| {
                    let index = SearchIndex::new(signature.clone());
                    let mut literal = 0;
                    let consumed = Search::new(&index).scan(black_box(&new), true, |operation| {
                        if let Operation::Literal(data) = operation {
                            literal += data.len();
                        }
                        Ok::<_, syncline_delta::Error>(())
                    });
                    (consumed.unwrap(), literal)
                });
            });
        }
        if name == "crafted" {
            // The rivals sum a block at every byte of it, which takes many minutes.
            continue;
        }
        let mut delta = Vec::with_capacity(LENGTH + LENGTH / 8);
        let signature = Signature::of_slice(format(Algorithm::Xxh128), basis).unwrap();
        group.bench_function("syncline xxh128 to file", |bencher| {
            bencher.iter(|| {
                delta.clear();
                let index = SearchIndex::new(signature.clone());
                rdiff::delta(&index, &black_box(&new)[..], &mut delta).unwrap();
            });
        });
        let signature = fast_rsync::Signature::calculate(basis, fast_rsync_options());
        group.bench_function("fast_rsync md4", |bencher| {
            bencher.iter(|| {
                delta.clear();
                fast_rsync::diff(&signature.index(), black_box(&new), &mut delta).unwrap();
            });
        });
        for (rival, kind) in [
            ("librsync md4", librsync::SignatureType::MD4),
            ("librsync blake2", librsync::SignatureType::Blake2),
        ] {
            let signature = librsync_signature(basis, kind);
            group.bench_function(rival, |bencher| {
                bencher.iter(|| {
                    delta.clear();
                    librsync::whole::delta(
                        &mut &black_box(&new)[..],
                        &mut &signature[..],
                        &mut delta,
                    )
                    .unwrap();
                });
            });
        }
    }
}

criterion_group!(benches, signature, search);
criterion_main!(benches);
