//! Indexes, items, sum heads, statistics, filter frames and batch heads: what can be read is
//! written and read again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use syncline_wire::{
    BatchHeader, DeleteStats, Index, IndexDecoder, IndexEncoder, Item, Protocol, Statistics,
    SumHead, put_filter_rule, read_filter_rule,
};

fn item(input: &mut &[u8], protocol: Protocol) -> Option<()> {
    let item = Item::decode(input, protocol).ok()?;
    let mut out = Vec::new();
    item.encode(&mut out, protocol);
    assert_eq!(Item::decode(&mut &out[..], protocol).ok(), Some(item));
    let head = SumHead::decode(input, protocol, 20).ok()?;
    out.clear();
    head.encode(&mut out);
    assert_eq!(SumHead::decode(&mut &out[..], protocol, 20).ok(), Some(head));
    assert!(head.total_length() <= u64::from(head.count) * u64::from(head.block_length));
    for _ in 0..head.count {
        let mut strong = Vec::new();
        let weak = head.decode_block(input, &mut strong).ok()?;
        out.clear();
        head.encode_block(&mut out, weak, &strong);
        assert_eq!(head.decode_block(&mut &out[..], &mut Vec::new()).ok(), Some(weak));
    }
    Some(())
}

fuzz_target!(|data: &[u8]| {
    let Some((version, mut input)) = data.split_first() else { return };
    let protocol = Protocol::ALL[usize::from(*version) % Protocol::ALL.len()];
    if let Ok(head) = BatchHeader::decode(&mut { input }) {
        let mut out = Vec::new();
        head.encode(&mut out);
        assert_eq!(BatchHeader::decode(&mut &out[..]).ok(), Some(head));
    }
    if let Ok(statistics) = Statistics::decode(&mut { input }, protocol) {
        let mut out = Vec::new();
        statistics.encode(&mut out, protocol);
        assert_eq!(Statistics::decode(&mut &out[..], protocol).ok(), Some(statistics));
    }
    if let Ok(Some(rule)) = read_filter_rule(&mut { input }) {
        let mut out = Vec::new();
        put_filter_rule(&mut out, &rule).expect("it was short enough");
        assert_eq!(read_filter_rule(&mut &out[..]).ok(), Some(Some(rule)));
    }
    let mut decoder = IndexDecoder::new(protocol);
    let mut encoder = IndexEncoder::new(protocol);
    let mut again = IndexDecoder::new(protocol);
    while let Ok(index) = decoder.decode(&mut input) {
        let mut out = Vec::new();
        encoder.encode(&mut out, index);
        assert_eq!(again.decode(&mut &out[..]).ok(), Some(index));
        let done = match index {
            Index::File(_) => item(&mut input, protocol).is_none(),
            Index::DeleteStats => DeleteStats::decode(&mut input).is_err(),
            _ => false,
        };
        if done {
            return;
        }
    }
});
