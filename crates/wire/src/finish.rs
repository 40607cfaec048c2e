//! Numbers at the end of a run (docs/spec session.md 11.2, 11.3).

use crate::{Protocol, Result, WireRead, WireWrite};

/// Largest count of deletions of one kind.
const DELETED_MAX: i32 = 1 << 28;

/// What a server that sends tells the client after the last files (session.md 11.3).
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Statistics {
    /// Raw bytes the server has read since the set-up.
    pub read: u64,
    /// Raw bytes the server has written since the set-up.
    pub written: u64,
    /// Sum of the sizes of all files.
    pub total_size: u64,
    /// Milliseconds it took to build the list; sent from protocol 29.
    pub build_time: u64,
    /// Milliseconds it took to send the list; sent from protocol 29.
    pub transfer_time: u64,
}

impl Statistics {
    /// Appends the numbers.
    pub fn encode(&self, out: &mut Vec<u8>, protocol: Protocol) {
        let all = [self.read, self.written, self.total_size, self.build_time, self.transfer_time];
        for number in all.iter().take(Self::count(protocol)) {
            out.put_varlong30(*number as i64, 3, protocol);
        }
    }

    /// Reads the numbers. They inform and decide nothing; negative ones count as 0.
    pub fn decode(input: &mut impl WireRead, protocol: Protocol) -> Result<Self> {
        let mut all = [0; 5];
        for number in all.iter_mut().take(Self::count(protocol)) {
            *number = u64::try_from(input.read_varlong30(protocol, 3)?).unwrap_or(0);
        }
        let [read, written, total_size, build_time, transfer_time] = all;
        Ok(Self { read, written, total_size, build_time, transfer_time })
    }

    fn count(protocol: Protocol) -> usize {
        if protocol.has_list_times() { 5 } else { 3 }
    }
}

/// What follows [`crate::Index::DeleteStats`]: how many were deleted (session.md 11.2).
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct DeleteStats {
    /// Regular files.
    pub files: u32,
    /// Directories.
    pub directories: u32,
    /// Symlinks.
    pub symlinks: u32,
    /// Devices.
    pub devices: u32,
    /// Sockets and FIFOs.
    pub specials: u32,
}

impl DeleteStats {
    /// Appends the numbers.
    pub fn encode(&self, out: &mut Vec<u8>) {
        for number in [self.files, self.directories, self.symlinks, self.devices, self.specials] {
            out.put_varint(number.min(DELETED_MAX as u32) as i32);
        }
    }

    /// Reads the numbers.
    pub fn decode(input: &mut impl WireRead) -> Result<Self> {
        let mut read = |what| input.read_varint_in(what, 0, DELETED_MAX);
        Ok(Self {
            files: read("deleted_files")?,
            directories: read("deleted_dirs")?,
            symlinks: read("deleted_symlinks")?,
            devices: read("deleted_devices")?,
            specials: read("deleted_specials")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn captured_statistics_are_read() {
        let new = [0, 0x2b, 0, 0, 0x57, 0, 0, 9, 0, 0, 1, 0, 0, 0, 0];
        let statistics =
            Statistics { read: 43, written: 87, total_size: 9, build_time: 1, transfer_time: 0 };
        assert_eq!(Statistics::decode(&mut &new[..], Protocol::NEWEST).unwrap(), statistics);
        let old = [0x20, 0, 0, 0, 0x5d, 0, 0, 0, 9, 0, 0, 0];
        let read = Statistics::decode(&mut &old[..], Protocol::new(28).unwrap()).unwrap();
        assert_eq!((read.read, read.written, read.total_size), (32, 93, 9));
    }

    #[test]
    fn captured_delete_statistics_are_read_and_bounded() {
        let stats = DeleteStats::decode(&mut &[1, 2, 0, 0, 0][..]).unwrap();
        assert_eq!(stats, DeleteStats { files: 1, directories: 2, ..DeleteStats::default() });
        let error = DeleteStats::decode(&mut &[1, 0xf0, 1, 0, 0, 0x10][..]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "wire value deleted_dirs out of range: 268435457 not in [0,268435456]"
        );
    }

    proptest! {
        #[test]
        fn every_statistic_survives_the_wire(numbers in any::<[u32; 5]>(), shift in 0..20_u32) {
            let [read, written, total_size, build_time, transfer_time] =
                numbers.map(|number| u64::from(number) << shift);
            for protocol in Protocol::ALL {
                let mut sent = Statistics { read, written, total_size, build_time, transfer_time };
                let mut out = Vec::new();
                sent.encode(&mut out, protocol);
                if !protocol.has_list_times() {
                    (sent.build_time, sent.transfer_time) = (0, 0);
                }
                let mut input = &out[..];
                prop_assert_eq!(Statistics::decode(&mut input, protocol).unwrap(), sent);
                prop_assert!(input.is_empty());
            }
            let [files, directories, symlinks, devices, specials] =
                numbers.map(|number| number >> 4);
            let stats = DeleteStats { files, directories, symlinks, devices, specials };
            let mut out = Vec::new();
            stats.encode(&mut out);
            prop_assert_eq!(DeleteStats::decode(&mut &out[..]).unwrap(), stats);
        }
    }
}
