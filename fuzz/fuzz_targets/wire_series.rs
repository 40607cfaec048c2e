//! A series of incremental lists, as a receiver takes it: numbers and places stay consistent
//! whatever arrives.
#![no_main]

use libfuzzer_sys::fuzz_target;
use syncline_wire::list::{FileLists, ListDecoder, ListOptions, Place};
use syncline_wire::{CompatFlags, Index, IndexDecoder, Protocol, Result};

/// Checks that a number and the place it names agree.
fn look(lists: &FileLists, index: u32) {
    match lists.locate(index) {
        Ok(Place::Entry { list, position }) => {
            let entry = lists.list(list).and_then(|list| list.get(position)).expect("a live entry");
            assert_eq!(entry.index(), index);
            assert_eq!(entry.is_active(), lists.entry(index).is_ok());
        }
        Ok(Place::Directory(number)) => {
            assert!(number < lists.directory_count());
            assert!(lists.directory(number).expect("a known directory").is_directory());
        }
        Err(_) => assert!(lists.entry(index).is_err()),
    }
}

fn take(mut input: &[u8], options: &ListOptions) -> Result<()> {
    let mut decoder = ListDecoder::new(options.clone());
    let mut indexes = IndexDecoder::new(options.protocol);
    let mut lists = FileLists::new(options);
    let mut from = None;
    loop {
        let path = from.map(|number| lists.announce(number)).transpose()?;
        let mut list = decoder.read_list(&mut input, lists.next_first(), path.as_deref())?;
        list.sort(options.protocol);
        list.drop_duplicates(options.protocol);
        lists.add(list, from)?;
        loop {
            match indexes.decode(&mut input)? {
                Index::List(number) => {
                    from = Some(number);
                    break;
                }
                Index::ListEnd => lists.end()?,
                Index::Done => drop(lists.release_oldest()),
                Index::DeleteStats => {}
                Index::File(index) => look(&lists, index),
            }
            for index in 0..lists.next_first().min(50) {
                look(&lists, index);
            }
        }
    }
}

fuzz_target!(|data: &[u8]| {
    let flags = CompatFlags(0x181);
    let options = ListOptions { flags, relative: true, ..ListOptions::new(Protocol::NEWEST) };
    let _ = take(data, &options);
});
