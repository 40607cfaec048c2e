//! The text part of a daemon connection: what can be read is written and read again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use syncline_wire::daemon::{
    Greeting, Reply, Request, put_daemon_arguments, put_secluded_arguments, read_daemon_arguments,
    read_line, read_proxy_header, read_secluded_arguments,
};
use syncline_wire::{Algorithm, Capabilities, Checksum, Protocol};

fuzz_target!(|data: &[u8]| {
    let _ = read_proxy_header(&mut { data });
    for protocol in [Protocol::OLDEST, Protocol::NEWEST] {
        if let Ok(words) = read_daemon_arguments(&mut { data }, protocol) {
            let mut out = Vec::new();
            put_daemon_arguments(&mut out, &words, protocol);
            assert_eq!(read_daemon_arguments(&mut &out[..], protocol).ok(), Some(words));
        }
    }
    if let Ok(words) = read_secluded_arguments(&mut { data }) {
        let mut out = Vec::new();
        put_secluded_arguments(&mut out, &words);
        assert_eq!(read_secluded_arguments(&mut &out[..]).ok(), Some(words));
    }
    if let Ok(offer) = Checksum::read_offer(&mut { data }) {
        let mut out = Vec::new();
        Checksum::put_offer(&mut out, &offer);
        assert_eq!(Checksum::read_offer(&mut &out[..]).ok(), Some(offer));
    }
    let letters = Capabilities::parse(data);
    assert_eq!(Capabilities::parse(letters.to_text().as_bytes()), letters);
    let Ok(line) = read_line(&mut { data }, 5118) else { return };
    let ended = |text: &[u8]| text.strip_suffix(b"\n").expect("lines end").to_vec();
    if let Ok(greeting) = Greeting::parse(&line) {
        let again = ended(greeting.to_line().as_bytes());
        assert_eq!(Greeting::parse(&again).ok().as_ref(), Some(&greeting));
        let _ = Greeting::own(Protocol::NEWEST).negotiate(&greeting);
    }
    if let Ok(request) = Request::parse(&line) {
        assert_eq!(Request::parse(&ended(&request.to_line())).ok(), Some(request));
    }
    let reply = Reply::parse(&line);
    assert_eq!(Reply::parse(&ended(&reply.to_line())), reply);
});
