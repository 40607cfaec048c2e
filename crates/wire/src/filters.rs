//! The frames of the filter list (docs/spec session.md 8). What a rule says is not known here.

use crate::{Error, Result, WireRead, WireWrite};

/// Longest rule.
pub const FILTER_RULE_MAX: usize = 5119;

/// Appends one rule's text; it is not empty and at most [`FILTER_RULE_MAX`] long.
pub fn put_filter_rule(out: &mut Vec<u8>, rule: &[u8]) -> Result<()> {
    if rule.len() > FILTER_RULE_MAX {
        return Err(Error::FilterRuleTooLong(rule.len() as u32));
    }
    if !rule.is_empty() {
        out.put_u32(rule.len() as u32);
        out.put(rule);
    }
    Ok(())
}

/// Ends the list.
pub fn put_filter_end(out: &mut Vec<u8>) {
    out.put_u32(0);
}

/// Reads one rule's text; `None` at the end of the list.
pub fn read_filter_rule(input: &mut impl WireRead) -> Result<Option<Vec<u8>>> {
    match input.read_u32()? {
        0 => Ok(None),
        length if length as usize <= FILTER_RULE_MAX => input.read_vec(length as usize).map(Some),
        length => Err(Error::FilterRuleTooLong(length)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documented_lists_are_written_and_read() {
        let mut out = Vec::new();
        put_filter_rule(&mut out, b"- *.o").unwrap();
        put_filter_rule(&mut out, b"+ a/").unwrap();
        put_filter_end(&mut out);
        assert_eq!(out, b"\x05\0\0\0- *.o\x04\0\0\0+ a/\0\0\0\0");
        let mut input = &out[..];
        assert_eq!(read_filter_rule(&mut input).unwrap().unwrap(), b"- *.o");
        assert_eq!(read_filter_rule(&mut input).unwrap().unwrap(), b"+ a/");
        assert_eq!(read_filter_rule(&mut input).unwrap(), None);
    }

    #[test]
    fn lengths_are_compared_unsigned() {
        assert!(matches!(
            read_filter_rule(&mut &[0xff; 4][..]),
            Err(Error::FilterRuleTooLong(u32::MAX))
        ));
        assert!(put_filter_rule(&mut Vec::new(), &[b'x'; FILTER_RULE_MAX + 1]).is_err());
    }
}
