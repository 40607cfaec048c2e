//! The PROXY protocol header before a daemon's greeting (docs/spec session.md 4.2).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::{Error, Result, WireRead};

const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";
const LINE_MAX: usize = 107;
const BODY_MAX: usize = 216;

/// Who the proxy says is calling.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ProxyAddress {
    /// The connection's own peer: health checks and unknown families.
    Unchanged,
    /// This address.
    Client(IpAddr),
}

/// Reads the header of either version; any error means to close silently.
pub fn read_proxy_header(input: &mut impl WireRead) -> Result<ProxyAddress> {
    let first: [u8; 12] = input.read_bytes()?;
    if first == SIGNATURE {
        read_binary(input)
    } else if first.starts_with(b"PROXY") {
        read_text(input, &first)
    } else {
        Err(Error::ProxyHeader)
    }
}

fn read_binary(input: &mut impl WireRead) -> Result<ProxyAddress> {
    let [command, family, high, low] = input.read_bytes()?;
    let length = usize::from(u16::from_be_bytes([high, low]));
    if command >> 4 != 2 || length > BODY_MAX {
        return Err(Error::ProxyHeader);
    }
    // What a proxy adds behind the addresses is skipped, where stock hangs up.
    let body = input.read_vec(length)?;
    match (command & 0x0f, family) {
        (1, 0x11) => match *body.as_slice() {
            [a, b, c, d, ..] if fits(length, 12) => {
                Ok(ProxyAddress::Client(Ipv4Addr::new(a, b, c, d).into()))
            }
            _ => Err(Error::ProxyHeader),
        },
        (1, 0x21) => match body.first_chunk::<16>() {
            Some(&octets) if fits(length, 36) => {
                Ok(ProxyAddress::Client(Ipv6Addr::from(octets).into()))
            }
            _ => Err(Error::ProxyHeader),
        },
        (0 | 1, _) => Ok(ProxyAddress::Unchanged),
        _ => Err(Error::ProxyHeader),
    }
}

/// Addresses of this length, alone or with at least one extension, whose head has three bytes.
fn fits(length: usize, addresses: usize) -> bool {
    length == addresses || length >= addresses + 3
}

fn read_text(input: &mut impl WireRead, first: &[u8]) -> Result<ProxyAddress> {
    let mut line = first.to_vec();
    // A short line may end inside the bytes read already, which is no legal header.
    if line.contains(&b'\n') {
        return Err(Error::ProxyHeader);
    }
    let room = LINE_MAX - 1 - line.len();
    line.extend(input.read_delimited(b'\n', room, "PROXY line").map_err(|_| Error::ProxyHeader)?);
    let line = line.strip_suffix(b"\r").ok_or(Error::ProxyHeader)?;
    let text = std::str::from_utf8(line).map_err(|_| Error::ProxyHeader)?;
    if text.starts_with("PROXY UNKNOWN") {
        return Ok(ProxyAddress::Unchanged);
    }
    let words: Vec<&str> = text.split(' ').collect();
    let &["PROXY", family, source, target, source_port, target_port] = words.as_slice() else {
        return Err(Error::ProxyHeader);
    };
    // As stock: any number but 0, and addresses of either family whatever the word before them says.
    let port = |word: &str| matches!(word.parse::<u32>(), Ok(1..));
    let parse = |word: &str| word.parse::<IpAddr>().map_err(|_| Error::ProxyHeader);
    let (source, _) = (parse(source)?, parse(target)?);
    let known = matches!(family, "TCP4" | "TCP6");
    if !known || !port(source_port) || !port(target_port) {
        return Err(Error::ProxyHeader);
    }
    Ok(ProxyAddress::Client(source))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> Option<ProxyAddress> {
        read_proxy_header(&mut &bytes[..]).ok()
    }

    #[test]
    fn text_headers_are_read_or_refused() {
        let address = ProxyAddress::Client(Ipv4Addr::new(10, 0, 0, 7).into());
        assert_eq!(read(b"PROXY TCP4 10.0.0.7 10.0.0.1 4000 873\r\n@"), Some(address));
        assert_eq!(read(b"PROXY UNKNOWN anything\r\n"), Some(ProxyAddress::Unchanged));
        assert_eq!(read(b"PROXY TCP4 10.0.0.7 10.0.0.1 4000 873\n"), None);
        assert_eq!(read(b"PROXY TCP4 10.0.0.7 10.0.0.1 4000 0\r\n"), None);
        assert_eq!(read(b"PROXY TCP4 host 10.0.0.1 4000 873\r\n"), None);
        assert_eq!(read(b"PROXY TCP6 10.0.0.7 ::1 4000 70000\r\n"), Some(address));
        assert_eq!(read(b"PROXY UDP4 10.0.0.7 10.0.0.1 4000 873\r\n"), None);
        assert_eq!(read(&[b"PROXY UNKNOWN ", &[b'x'; 100][..], b"\r\n"].concat()), None);
        assert_eq!(read(b"@RSYNCD: 31.0 md5\n"), None);
    }

    #[test]
    fn binary_headers_are_read_or_refused() {
        let header = |tail: &[u8]| [&SIGNATURE[..], tail].concat();
        let v4 = [0x21, 0x11, 0, 12, 10, 0, 0, 7, 10, 0, 0, 1, 15, 160, 3, 105];
        let address = ProxyAddress::Client(Ipv4Addr::new(10, 0, 0, 7).into());
        assert_eq!(read(&header(&v4)), Some(address));
        assert_eq!(read(&header(&[0x20, 0, 0, 0])), Some(ProxyAddress::Unchanged));
        assert_eq!(read(&header(&[0x21, 0x31, 0, 0])), Some(ProxyAddress::Unchanged));
        let v6 = [&[0x21, 0x21, 0, 36][..], &Ipv6Addr::LOCALHOST.octets(), &[0; 20]].concat();
        assert_eq!(read(&header(&v6)), Some(ProxyAddress::Client(Ipv6Addr::LOCALHOST.into())));
        assert_eq!(read(&header(&[0x22, 0x11, 0, 0])), None);
        assert_eq!(read(&header(&[0x11, 0x11, 0, 0])), None);
        assert_eq!(read(&header(&[0x20, 0x11, 0, 217])), None);
        assert_eq!(read(&header(&[0x21, 0x11, 0, 13])), None);
        assert_eq!(read(&header(&[0x21, 0x11, 0, 11, 10, 0, 0, 7, 10, 0, 0, 1, 0, 1, 0])), None);
        let extended = [&v4[..3], &[15], &v4[4..], &[4, 0, 0]].concat();
        assert_eq!(read(&header(&extended)), Some(address));
    }
}
