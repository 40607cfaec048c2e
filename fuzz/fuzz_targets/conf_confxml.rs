//! Any bytes as confxml.xml: read or refused with a place inside the text, and text between elements changes no
//! value.
#![no_main]

use libfuzzer_sys::fuzz_target;
use syncline_conf::Error;
use syncline_conf::sersync::Confxml;

fuzz_target!(|text: &[u8]| {
    let lines = 1 + text.iter().filter(|&&byte| byte == b'\n').count() as u32;
    match Confxml::parse(text) {
        Ok(parsed) => {
            assert!(!parsed.confxml.source.remotes.is_empty());
            assert!(parsed.findings.iter().all(|finding| (1..=lines).contains(&finding.line)));
            let commented = [b"<!-- <head> -->\n", text].concat();
            let again =
                Confxml::parse(&commented).expect("a comment in front changes nothing").confxml;
            assert_eq!(again.params, parsed.confxml.params);
            assert_eq!(again.filter, parsed.confxml.filter);
        }
        Err(Error::Xml { line, .. } | Error::Confxml { line, .. }) => {
            assert!((1..=lines).contains(&line))
        }
        Err(error) => panic!("{error}"),
    }
});
