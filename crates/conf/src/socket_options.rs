//! The value of `socket options` and of `--sockopts` (daemon.md 3.1).

use std::fmt;

use crate::text::show;

/// One option of a listening socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SocketOption {
    /// Which one.
    pub name: SocketOptionName,
    /// Its value. One that takes none, or that was given none, has 1.
    pub value: i32,
}

/// The options that can be named.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SocketOptionName {
    /// `SO_KEEPALIVE`
    KeepAlive,
    /// `SO_REUSEADDR`
    ReuseAddress,
    /// `SO_BROADCAST`
    Broadcast,
    /// `TCP_NODELAY`
    NoDelay,
    /// `SO_SNDBUF`
    SendBuffer,
    /// `SO_RCVBUF`
    ReceiveBuffer,
    /// `SO_SNDLOWAT`
    SendLowWater,
    /// `SO_RCVLOWAT`
    ReceiveLowWater,
    /// `SO_SNDTIMEO`
    SendTimeout,
    /// `SO_RCVTIMEO`
    ReceiveTimeout,
    /// `IPTOS_LOWDELAY`
    LowDelay,
    /// `IPTOS_THROUGHPUT`
    Throughput,
}

const NAMES: [(&str, SocketOptionName); 12] = [
    ("SO_KEEPALIVE", SocketOptionName::KeepAlive),
    ("SO_REUSEADDR", SocketOptionName::ReuseAddress),
    ("SO_BROADCAST", SocketOptionName::Broadcast),
    ("TCP_NODELAY", SocketOptionName::NoDelay),
    ("SO_SNDBUF", SocketOptionName::SendBuffer),
    ("SO_RCVBUF", SocketOptionName::ReceiveBuffer),
    ("SO_SNDLOWAT", SocketOptionName::SendLowWater),
    ("SO_RCVLOWAT", SocketOptionName::ReceiveLowWater),
    ("SO_SNDTIMEO", SocketOptionName::SendTimeout),
    ("SO_RCVTIMEO", SocketOptionName::ReceiveTimeout),
    ("IPTOS_LOWDELAY", SocketOptionName::LowDelay),
    ("IPTOS_THROUGHPUT", SocketOptionName::Throughput),
];

impl SocketOptionName {
    fn takes_value(self) -> bool {
        !matches!(self, Self::LowDelay | Self::Throughput)
    }
}

impl fmt::Display for SocketOptionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = NAMES.iter().find(|(_, name)| name == self).map_or("", |(text, _)| text);
        f.write_str(name)
    }
}

/// What is odd about a list of socket options; the text is stock's log line. None of it is fatal.
#[derive(Debug, Clone, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum SocketOptionFinding {
    /// The name is unknown and the item is skipped.
    #[error("Unknown socket option {0}")]
    Unknown(String),
    /// The option takes no value and is set all the same.
    #[error("syntax error -- {0} does not take a value")]
    TakesNoValue(SocketOptionName),
}

/// Reads a list of socket options separated by blanks and commas, each `NAME` or `NAME=NUMBER`.
///
/// ```
/// let (options, findings) = syncline_conf::socket_options::parse(b"TCP_NODELAY,SO_SNDBUF=65536 SO_FAST");
/// assert_eq!(options.len(), 2);
/// assert_eq!(findings[0].to_string(), "Unknown socket option SO_FAST");
/// ```
pub fn parse(list: &[u8]) -> (Vec<SocketOption>, Vec<SocketOptionFinding>) {
    let (mut options, mut findings) = (Vec::new(), Vec::new());
    for item in
        list.split(|byte| matches!(byte, b' ' | b'\t' | b',')).filter(|item| !item.is_empty())
    {
        let equals = item.iter().position(|&byte| byte == b'=');
        let (name, number) = equals.map_or((item, None), |at| (&item[..at], Some(&item[at + 1..])));
        let Some(&(_, known)) = NAMES.iter().find(|(text, _)| text.as_bytes() == name) else {
            findings.push(SocketOptionFinding::Unknown(show(name)));
            continue;
        };
        if number.is_some() && !known.takes_value() {
            findings.push(SocketOptionFinding::TakesNoValue(known));
        }
        let value = number
            .filter(|_| known.takes_value())
            .map_or(1, |digits| crate::rsyncd::leading_integer(digits).0);
        options.push(SocketOption { name: known, value });
    }
    (options, findings)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_option_without_value_is_set_even_if_it_is_given_one() {
        let (options, findings) = parse(b"IPTOS_LOWDELAY=3");
        assert_eq!(options, [SocketOption { name: SocketOptionName::LowDelay, value: 1 }]);
        assert_eq!(findings[0].to_string(), "syntax error -- IPTOS_LOWDELAY does not take a value");
    }

    #[test]
    fn numbers_are_read_leniently() {
        let (options, _) = parse(b"SO_KEEPALIVE=0\tSO_RCVBUF=12k");
        assert_eq!(options.iter().map(|option| option.value).collect::<Vec<_>>(), [0, 12]);
    }
}
