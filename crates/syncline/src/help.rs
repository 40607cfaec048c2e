//! `--help` and `--version` (docs/spec cli.md 21).

use syncline_engine::ExitCode;

use crate::output;

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// What this build can do, in stock's words; scripts look for them.
const CAPABILITIES: &[&str] = &[
    "64-bit files",
    "64-bit inums",
    "64-bit timestamps",
    "64-bit long ints",
    "socketpairs",
    "symlinks",
    "symtimes",
    "hardlinks",
    "hardlink-specials",
    "hardlink-symlinks",
    "IPv6",
    "no atimes",
    "no batchfiles",
    "inplace",
    "append",
    "no ACLs",
    "no xattrs",
    "optional secluded-args",
    "no iconv",
    "prealloc",
    "no stop-at",
    "no crtimes",
];

/// Prints to standard output and ends well.
pub(crate) fn print(text: &str) -> ExitCode {
    output::to_stdout(text.as_bytes());
    ExitCode::OK
}

/// The help of transfers.
pub(crate) fn text() -> String {
    syncline_options::help(&version(false), "syncline")
}

/// The help of daemon mode.
pub(crate) fn daemon_text() -> String {
    syncline_options::daemon_help(&version(false), "synclined")
}

/// The version, for people or as JSON.
pub(crate) fn version(json: bool) -> String {
    if json { version_json() } else { version_text() }
}

fn version_text() -> String {
    let mut text = format!(
        "rsync  version {VERSION}  protocol version 32\nSyncline, written from a specification of the protocol.\n\
         Web site: https://github.com/syncline/syncline\nCapabilities:\n"
    );
    let mut line = String::from("   ");
    for (place, capability) in CAPABILITIES.iter().enumerate() {
        let last = place + 1 == CAPABILITIES.len();
        let word = format!(" {capability}{}", if last { "" } else { "," });
        if line.len() + word.len() > 77 {
            text.push_str(&line);
            text.push('\n');
            line = String::from("   ");
        }
        line.push_str(&word);
    }
    text.push_str(&line);
    text.push_str(
        "\nOptimizations:\n    SIMD-roll, no asm-roll, no openssl-crypto, no asm-MD5\nChecksum list:\n    \
         xxh128 xxh3 xxh64 (xxhash) md5 md4 sha1 none\nCompress list:\n    zstd lz4 zlibx zlib none\n\
         Daemon auth list:\n    sha512 sha256 sha1 md5 md4\n\n\
         Syncline comes with no warranty and may be used under the MIT licence or the Apache licence 2.0.\n",
    );
    text
}

fn version_json() -> String {
    let flags: Vec<String> = CAPABILITIES
        .iter()
        .filter(|name| !name.starts_with("64-bit") && !name.ends_with("secluded-args"))
        .map(|name| {
            let (word, on) = match name.strip_prefix("no ") {
                Some(word) => (word, false),
                None => (*name, true),
            };
            format!("    \"{}\": {on}", word.replace(['-', ' '], "_"))
        })
        .collect();
    format!(
        "{{\n  \"program\": \"rsync\",\n  \"version\": \"{VERSION}\",\n  \"protocol\": \"32.0\",\n  \
         \"copyright\": \"The Syncline authors\",\n  \"url\": \"https://github.com/syncline/syncline\",\n  \
         \"capabilities\": {{\n    \"file_bits\": 64,\n    \"inum_bits\": 64,\n    \"timestamp_bits\": 64,\n    \
         \"long_int_bits\": 64,\n    \"secluded_args\": \"optional\",\n{}\n  }},\n  \
         \"optimizations\": {{\n    \"SIMD_roll\": true,\n    \"asm_roll\": false,\n    \"openssl_crypto\": false,\n    \
         \"asm_MD5\": false\n  }},\n  \
         \"checksum_list\": [\"xxh128\", \"xxh3\", \"xxh64\", \"md5\", \"md4\", \"sha1\", \"none\"],\n  \
         \"compress_list\": [\"zstd\", \"lz4\", \"zlibx\", \"zlib\", \"none\"],\n  \
         \"daemon_auth_list\": [\"sha512\", \"sha256\", \"sha1\", \"md5\", \"md4\"],\n  \
         \"license\": \"MIT OR Apache-2.0\",\n  \"caveat\": \"no warranty\"\n}}\n",
        flags.join(",\n")
    )
}
