//! Any command line is parsed or refused; what is parsed can be packed, and a server understands the words.
#![no_main]

use libfuzzer_sys::fuzz_target;
use syncline_options::{
    Command, Context, Direction, Form, Packing, Refusals, UsageError, Word, parse, parse_server,
};

fuzz_target!(|data: &[u8]| {
    let words: Vec<Word> = data.split(|&b| b == 0).take(64).map(<[u8]>::to_vec).collect();
    let context = Context::at("2026-11-21T17:02:39+00:00[UTC]".parse().expect("a date"));
    let options = match parse(&words, &context) {
        Ok(Command::Transfer(options)) => options,
        Ok(_) => return,
        Err(error) => {
            assert!(!error.to_string().is_empty() || error.shows_help());
            assert!(error.exit_code() > 0);
            return;
        }
    };
    let Ok(job) = options.job() else { return };
    let (direction, remote, files) = match job.form {
        Form::Push { remote, destination, .. } => (Direction::Push, remote, vec![destination]),
        Form::Pull { remote, sources, .. } => (Direction::Pull, remote, sources),
        _ => return,
    };
    let packing = Packing { direction, version: 32 };
    let _ = options.shell_invocation(packing, &remote, &files);
    let _ = options.daemon_invocation(packing, b"module", &files);
    if !options.connection.remote_options.is_empty() {
        return;
    }
    let packed = options.pack(packing).expect("words without remote options");
    let mut sent: Vec<Word> = packed.words().cloned().collect();
    sent.extend([b".".to_vec(), b"d".to_vec()]);
    let request = parse_server(&sent, &context, &Refusals::none());
    // The client alone knows of files on its side, so it may combine what a server is not told to judge.
    assert!(
        !matches!(
            request.error,
            Some(UsageError::Word { .. } | UsageError::HackAttempt | UsageError::Usage)
        ),
        "{:?} from {:?}",
        request.error,
        packed
    );
});
