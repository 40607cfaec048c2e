//! Any bytes as synclive.toml: read or refused at a line of the text, and what is printed is read as the same.
#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use syncline_conf::Error;
use syncline_conf::live::Config;

fuzz_target!(|text: &[u8]| {
    let file = Path::new("s.toml");
    let lines = 1 + text.iter().filter(|&&byte| byte == b'\n').count() as u32;
    match Config::parse(file, text) {
        Ok(config) => {
            let printed = config.print().expect("what was read is text");
            assert_eq!(Config::parse(file, printed.as_bytes()).expect(&printed), config);
        }
        Err(Error::Live { location, .. }) => assert!((1..=lines).contains(&location.line())),
        Err(error) => panic!("{error}"),
    }
});
