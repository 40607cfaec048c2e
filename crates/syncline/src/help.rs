//! `--help` and `--version` (docs/spec cli.md 21).

use std::fmt::Write as _;

use syncline_engine::ExitCode;
use syncline_options::{Command, Context, STOCK_RELEASE, WEB_SITE};

use crate::output;

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// What a build can do, in stock's words and order: scripts look for them.
#[derive(Clone, Copy)]
enum Capability {
    /// Always.
    Always(&'static str),
    /// If a command line with these words is performed.
    With(&'static str, &'static str),
}

const CAPABILITIES: &[Capability] = {
    use Capability::{Always, With};
    &[
        Always("socketpairs"),
        Always("symlinks"),
        Always("symtimes"),
        Always("hardlinks"),
        Always("hardlink-specials"),
        Always("hardlink-symlinks"),
        Always("IPv6"),
        With("atimes", "--atimes"),
        With("batchfiles", "--write-batch=f"),
        Always("inplace"),
        Always("append"),
        With("ACLs", "--acls"),
        With("ACL-at", "--acls"),
        With("xattrs", "--xattrs"),
        With("iconv", "--iconv=utf8,latin1"),
        With("prealloc", "--preallocate"),
        With("stop-at", "--stop-after=1"),
        With("crtimes", "--crtimes"),
    ]
};

/// The capability that stands before this one and is neither there nor not.
const BEFORE_ICONV: &str = "optional secluded-args";

impl Capability {
    fn name(self) -> &'static str {
        match self {
            Self::Always(name) | Self::With(name, _) => name,
        }
    }

    fn is_there(self) -> bool {
        let Self::With(_, word) = self else { return true };
        let words = [word, "from", "to"].map(|word| word.as_bytes().to_vec());
        match syncline_options::parse(&words, &Context::at(jiff::Zoned::now())) {
            Ok(Command::Transfer(options)) => syncline_engine::unperformed(&options).is_none(),
            _ => false,
        }
    }
}

/// Prints to standard output and ends well.
pub(crate) fn print(text: &str) -> ExitCode {
    output::to_stdout(text.as_bytes());
    ExitCode::OK
}

/// The help of transfers.
pub(crate) fn text() -> String {
    syncline_options::help(&version(false), &called())
}

/// The help of daemon mode.
pub(crate) fn daemon_text() -> String {
    syncline_options::daemon_help(&version(false), &called())
}

/// The name that this program was called by.
fn called() -> String {
    let program = std::env::args_os().next().unwrap_or_default();
    let name = std::path::Path::new(&program).file_name().unwrap_or_default();
    name.to_string_lossy().into_owned()
}

/// The version, for people or as JSON.
pub(crate) fn version(json: bool) -> String {
    if json { version_json() } else { version_text() }
}

fn version_text() -> String {
    let mut text = syncline_options::version_head() + "Capabilities:\n";
    let bits = ["64-bit files", "64-bit inums", "64-bit timestamps", "64-bit long ints"];
    let mut words = bits.map(str::to_owned).to_vec();
    for capability in CAPABILITIES {
        if capability.name() == "iconv" {
            words.push(BEFORE_ICONV.to_owned());
        }
        let no = if capability.is_there() { "" } else { "no " };
        words.push(format!("{no}{}", capability.name()));
    }
    let mut line = String::from("   ");
    for (place, word) in words.iter().enumerate() {
        let comma = if place + 1 == words.len() { "" } else { "," };
        if line.len() + word.len() + comma.len() > 76 {
            let _ = writeln!(text, "{line}");
            line = String::from("   ");
        }
        let _ = write!(line, " {word}{comma}");
    }
    let _ = writeln!(text, "{line}");
    text.push_str(
        "Optimizations:\n    SIMD-roll, no asm-roll, no openssl-crypto, no asm-MD5\nChecksum list:\n    \
         xxh128 xxh3 xxh64 (xxhash) md5 md4 sha1 none\nCompress list:\n    zstd lz4 zlibx zlib none\n\
         Daemon auth list:\n    sha512 sha256 sha1 md5 md4\n\n\
         Syncline comes with no warranty and may be used under the MIT licence or the Apache licence 2.0.\n",
    );
    text
}

fn version_json() -> String {
    let mut flags = String::new();
    for capability in CAPABILITIES {
        let name = capability.name().replace('-', "_");
        if name == "iconv" {
            flags.push_str("    \"secluded_args\": \"optional\",\n");
        }
        let _ = writeln!(flags, "    \"{name}\": {},", capability.is_there());
    }
    let flags = flags.trim_end_matches(",\n");
    format!(
        "{{\n  \"program\": \"rsync\",\n  \"version\": \"{STOCK_RELEASE}\",\n  \"protocol\": \"32.0\",\n  \
         \"implementation\": \"Syncline\",\n  \"implementation_version\": \"{VERSION}\",\n  \
         \"copyright\": \"The Syncline authors\",\n  \"url\": \"{WEB_SITE}\",\n  \
         \"capabilities\": {{\n    \"file_bits\": 64,\n    \"inum_bits\": 64,\n    \"timestamp_bits\": 64,\n    \
         \"long_int_bits\": 64,\n{flags}\n  }},\n  \
         \"optimizations\": {{\n    \"SIMD_roll\": true,\n    \"asm_roll\": false,\n    \"openssl_crypto\": false,\n    \
         \"asm_MD5\": false\n  }},\n  \
         \"checksum_list\": [\"xxh128\", \"xxh3\", \"xxh64\", \"md5\", \"md4\", \"sha1\", \"none\"],\n  \
         \"compress_list\": [\"zstd\", \"lz4\", \"zlibx\", \"zlib\", \"none\"],\n  \
         \"daemon_auth_list\": [\"sha512\", \"sha256\", \"sha1\", \"md5\", \"md4\"],\n  \
         \"license\": \"MIT OR Apache-2.0\",\n  \"caveat\": \"no warranty\"\n}}\n"
    )
}
