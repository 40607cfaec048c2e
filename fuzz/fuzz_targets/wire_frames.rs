//! A multiplexed stream that can be read is written and read again: the same data and messages.
#![no_main]

use std::io::{Read, Write};

use libfuzzer_sys::fuzz_target;
use syncline_wire::{Demultiplexer, Message, Multiplexer, Protocol};

fn read(wire: &[u8]) -> Option<(Vec<u8>, Vec<Message>)> {
    let mut messages = Vec::new();
    let mut data = Vec::new();
    let mut input = Demultiplexer::new(wire, |message| {
        messages.push(message);
        Ok(())
    });
    input.start();
    input.read_to_end(&mut data).ok()?;
    assert_eq!(input.received(), wire.len() as u64);
    Some((data, messages))
}

fuzz_target!(|wire: &[u8]| {
    let Some((data, messages)) = read(wire) else { return };
    let mut output = Multiplexer::new(Vec::new(), Protocol::NEWEST);
    output.start().expect("memory takes all");
    output.write_all(&data).expect("memory takes all");
    for message in &messages {
        assert!(output.message(message).expect("memory takes all"));
    }
    output.flush().expect("memory takes all");
    assert_eq!(read(&output.into_inner()), Some((data, messages)));
});
