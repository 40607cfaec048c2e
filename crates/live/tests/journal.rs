//! What a journal gives back after the process, the power or the disk failed.
#![allow(clippy::unwrap_used)] // In helpers as in tests.

mod common;

use std::collections::BTreeMap;
use std::time::Duration;

use common::Memory;
use syncline_fs::{RelPath, RelPathBuf};
use syncline_live::{Directory, Error, JournalSync, Outbox, Recovery, Todo};

const NOW: Duration = Duration::ZERO;

fn path(text: &str) -> RelPathBuf {
    RelPath::new(text.as_bytes()).unwrap().to_owned()
}

fn open(memory: &Memory) -> (Outbox<Memory>, Recovery) {
    Outbox::open(memory.clone(), JournalSync::Batch, 1000, NOW).unwrap()
}

fn push(outbox: &mut Outbox<Memory>, text: &str, todo: Todo) {
    outbox.push(NOW, path(text).as_path(), todo);
}

fn waiting(outbox: &Outbox<Memory>) -> Waiting {
    outbox.queue().iter().map(|pending| (pending.path.as_bytes().to_vec(), pending.todo)).collect()
}

type Waiting = BTreeMap<Vec<u8>, Todo>;

/// A journal with changes, one batch done and one under way, and what was waiting after each of its records.
fn sample() -> (Vec<u8>, Vec<(usize, Waiting)>) {
    let memory = Memory::default();
    let (mut outbox, _) = open(&memory);
    let mut states = vec![(memory.bytes().len(), BTreeMap::new())];
    let mut note = |outbox: &Outbox<Memory>| states.push((memory.bytes().len(), waiting(outbox)));
    for (text, todo) in [
        ("a", Todo::changed()),
        ("b/c", Todo::attributes()),
        ("b", Todo::Remove),
        ("e", Todo::tree()),
    ] {
        push(&mut outbox, text, todo);
        note(&outbox);
    }
    assert_eq!(outbox.take(NOW, 2).unwrap().entries.len(), 2);
    outbox.finish(NOW, &[]);
    note(&outbox);
    push(&mut outbox, "f", Todo::names());
    note(&outbox);
    (memory.bytes(), states)
}

#[test]
fn r70_a_journal_cut_anywhere_gives_what_its_whole_records_say() {
    let (bytes, states) = sample();
    for cut in 0..=bytes.len() {
        let memory = Memory::with(bytes[..cut].to_vec());
        let (outbox, recovery) = open(&memory);
        assert!(!recovery.clean);
        match states.iter().rev().find(|(length, _)| *length <= cut) {
            Some((_, expected)) => {
                assert_eq!(
                    (waiting(&outbox), recovery.damaged),
                    (expected.clone(), false),
                    "cut at {cut}"
                );
            }
            // Not even the beginning is whole: then all is compared, unless it is a header that is cut.
            None => assert_eq!(
                (recovery.damaged, recovery.paths),
                (cut >= 12, usize::from(cut >= 12)),
                "cut at {cut}"
            ),
        }
    }
}

#[test]
fn r70_a_flipped_bit_loses_nothing_but_the_last_record() {
    let (bytes, states) = sample();
    let last = states[states.len() - 2].0;
    for at in 0..bytes.len() {
        for bit in 0..8 {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1 << bit;
            let memory = Memory::with(damaged);
            if at < 12 {
                // Not our format any more: refused, and left as it is (R76).
                let error =
                    Outbox::open(memory.clone(), JournalSync::Batch, 1000, NOW).unwrap_err();
                assert!(matches!(error, Error::NotAJournal { .. } | Error::UnknownVersion { .. }));
                assert_eq!(memory.bytes().len(), bytes.len());
                continue;
            }
            let (outbox, recovery) = open(&memory);
            assert!(!recovery.clean);
            if at < last {
                assert!(recovery.damaged, "byte {at}");
                assert_eq!(waiting(&outbox).get(&b"."[..]).copied(), Some(Todo::tree()));
            } else {
                assert_eq!(waiting(&outbox), states[states.len() - 2].1, "byte {at}");
            }
        }
    }
}

#[test]
fn r76_an_unknown_format_is_refused_and_kept() {
    let (mut bytes, _) = sample();
    bytes[8] = 2;
    let memory = Memory::with(bytes.clone());
    let error = Outbox::open(memory.clone(), JournalSync::Batch, 1000, NOW).unwrap_err();
    assert_eq!(
        error.to_string(),
        "journal segment 0000000000000001 has format 2, this program reads 1: run the program that wrote it, or remove \
         the state directory for a full comparison"
    );
    assert_eq!(memory.bytes(), bytes);
}

#[test]
fn r72_what_is_under_way_at_the_end_of_the_process_waits_again() {
    let memory = Memory::default();
    let (mut outbox, _) = open(&memory);
    push(&mut outbox, "a", Todo::changed());
    push(&mut outbox, "b", Todo::changed());
    outbox.take(NOW, 1).unwrap();
    drop(outbox);
    let (mut outbox, recovery) = open(&memory);
    assert_eq!((recovery.paths, recovery.clean, recovery.existed), (2, false, true));
    outbox.take(NOW, 1).unwrap();
    // Changed again while it is sent: not done with the batch.
    push(&mut outbox, "a", Todo::attributes());
    outbox.finish(NOW, &[]);
    drop(outbox);
    assert_eq!(
        waiting(&open(&memory).0).keys().map(Vec::as_slice).collect::<Vec<_>>(),
        [b"a", b"b"]
    );
}

#[test]
fn r73_paths_that_failed_outlive_the_process() {
    let memory = Memory::default();
    let (mut outbox, _) = open(&memory);
    for text in ["a", "b", "c"] {
        push(&mut outbox, text, Todo::changed());
    }
    outbox.take(NOW, 10).unwrap();
    outbox.finish(NOW, &[path("b")]);
    drop(outbox);
    assert_eq!(waiting(&open(&memory).0), [(b"b".to_vec(), Todo::changed())].into());
}

#[test]
fn a_clean_end_is_known_and_only_the_last_one_counts() {
    let memory = Memory::default();
    let (mut outbox, recovery) = open(&memory);
    assert_eq!((recovery.existed, recovery.clean), (false, false));
    push(&mut outbox, "a", Todo::changed());
    outbox.take(NOW, 1);
    outbox.close().unwrap();
    let (outbox, recovery) = open(&memory);
    assert_eq!((recovery.clean, recovery.paths), (true, 1));
    drop(outbox);
    assert!(!open(&memory).1.clean);
}

#[test]
fn r71_each_policy_keeps_what_it_promises_when_the_power_is_lost() {
    let after_power_loss = |policy, ticks: bool| {
        let memory = Memory::default();
        let (mut outbox, _) = Outbox::open(memory.clone(), policy, 1000, NOW).unwrap();
        push(&mut outbox, "a", Todo::changed());
        if ticks {
            outbox.tick(Duration::from_millis(999));
            outbox.tick(Duration::from_secs(1));
        }
        memory.lose_power();
        let (outbox, recovery) = open(&memory);
        assert!(!recovery.clean && !recovery.damaged);
        outbox.queue().len()
    };
    assert_eq!(after_power_loss(JournalSync::Always, false), 1);
    assert_eq!(after_power_loss(JournalSync::Batch, true), 1);
    assert_eq!(after_power_loss(JournalSync::Batch, false), 0);
    assert_eq!(after_power_loss(JournalSync::Never, true), 0);

    // Before a session begins, all is on the disk.
    let memory = Memory::default();
    let (mut outbox, _) = open(&memory);
    push(&mut outbox, "a", Todo::changed());
    outbox.take(NOW, 1).unwrap();
    memory.lose_power();
    assert_eq!(open(&memory).0.queue().len(), 1);

    // A second without a change costs no wait for the disk.
    let (mut outbox, _) = open(&memory);
    let before = memory.0.borrow().syncs;
    (1..9).for_each(|second| outbox.tick(Duration::from_secs(second)));
    assert_eq!(memory.0.borrow().syncs, before);
}

#[test]
fn r75_a_full_disk_stops_nothing_and_is_made_good() {
    let memory = Memory::default();
    let (mut outbox, _) = open(&memory);
    push(&mut outbox, "a", Todo::changed());
    memory.0.borrow_mut().room = Some(10);
    push(&mut outbox, "b", Todo::changed());
    assert!(outbox.trouble().unwrap().to_string().starts_with("cannot write the journal segment"));
    push(&mut outbox, "c", Todo::changed());
    assert_eq!(outbox.take(NOW, 10).unwrap().entries.len(), 3);
    // Tried again each minute, and not more often.
    outbox.tick(Duration::from_secs(59));
    assert_eq!(memory.0.borrow().segments.len(), 1);
    outbox.tick(Duration::from_secs(60));
    assert!(outbox.trouble().is_some());
    memory.0.borrow_mut().room = None;
    outbox.tick(Duration::from_secs(120));
    assert!(outbox.trouble().is_none());
    push(&mut outbox, "d", Todo::changed());
    outbox.finish(Duration::from_secs(121), &[path("c")]);
    drop(outbox);
    let (outbox, recovery) = open(&memory);
    assert_eq!(waiting(&outbox).keys().map(Vec::as_slice).collect::<Vec<_>>(), [b"c", b"d"]);
    assert!(!recovery.damaged);
}

#[test]
fn r75_a_disk_that_is_full_at_the_start_keeps_the_old_journal() {
    let (bytes, states) = sample();
    for room in 0..60 {
        let memory = Memory::with(bytes.clone());
        memory.0.borrow_mut().room = Some(room);
        let (outbox, _) = open(&memory);
        let expected = &states.last().unwrap().1;
        assert_eq!(waiting(&outbox), *expected);
        if outbox.trouble().is_some() {
            assert_eq!(memory.bytes(), bytes);
        }
        drop(outbox);
        memory.0.borrow_mut().room = None;
        assert_eq!(waiting(&open(&memory).0), *expected);
    }
}

#[test]
fn a_compaction_cut_anywhere_changes_nothing() {
    let (bytes, states) = sample();
    let memory = Memory::with(bytes.clone());
    drop(open(&memory));
    let newer = memory.bytes();
    for cut in 0..=newer.len() {
        let memory = Memory::with(bytes.clone());
        let segment = common::Segment { bytes: newer[..cut].to_vec(), synced: cut };
        memory.0.borrow_mut().segments.insert(2, segment);
        let (outbox, recovery) = open(&memory);
        assert_eq!(
            (waiting(&outbox), recovery.damaged),
            (states.last().unwrap().1.clone(), false),
            "cut at {cut}"
        );
        assert_eq!(memory.0.borrow().segments.len(), 1);
    }
}

#[test]
fn r74_a_target_that_is_down_for_long_costs_bounded_memory_and_disk() {
    let memory = Memory::default();
    let (mut outbox, _) = open(&memory);
    let mut largest = 0;
    for number in 0_u32..300_000 {
        let text = format!("{}/{}/file-with-a-longer-name-{number}", number % 7, number % 1013);
        push(&mut outbox, &text, Todo::changed());
        largest = largest.max(outbox.journal_bytes());
        assert!(outbox.queue().len() <= 1000);
    }
    // A queue of 1,000 paths of 60 bytes: twice that, the slack of 8 MB, one change more.
    assert!((8 << 20..(8 << 20) + 2 * 1000 * 100).contains(&largest), "{largest}");
    // Once all is done, the journal is small again.
    while outbox.take(NOW, 10_000).is_some() {
        outbox.finish(NOW, &[]);
    }
    assert!(outbox.journal_bytes() <= (8 << 20) + 1000);
    drop(outbox);
    assert!(open(&memory).0.queue().is_empty());
}

#[test]
fn a_path_longer_than_a_record_becomes_a_directory_above_it() {
    let memory = Memory::default();
    let (mut outbox, _) = open(&memory);
    push(&mut outbox, &format!("a/{}x", "y/".repeat(20_000)), Todo::Remove);
    drop(outbox);
    let (outbox, recovery) = open(&memory);
    let pending = outbox.queue().iter().next().unwrap();
    assert_eq!((recovery.damaged, pending.todo), (false, Todo::tree()));
    assert!(pending.path.as_bytes().len() <= 16 << 10);
}

#[test]
fn files_of_a_directory_do_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let storage = || Directory::open(&dir.path().join("queue")).unwrap();
    let (mut outbox, _) = Outbox::open(storage(), JournalSync::Always, 100, NOW).unwrap();
    outbox.push(NOW, RelPath::new(b"\xff new\nline").unwrap(), Todo::changed());
    drop(outbox);
    let (outbox, recovery) = Outbox::open(storage(), JournalSync::Batch, 100, NOW).unwrap();
    assert_eq!(recovery.paths, 1);
    outbox.close().unwrap();
    let names: Vec<_> = std::fs::read_dir(dir.path().join("queue"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(names, ["journal-0000000000000002"]);
    assert!(Outbox::open(storage(), JournalSync::Never, 100, NOW).unwrap().1.clean);
}
