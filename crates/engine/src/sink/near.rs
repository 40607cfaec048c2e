//! The content of a file of this machine, piece by piece, whole or as what differs from a basis.
//!
//! No byte is taken from the basis: what equals a block of it is at hand anyway, and so cannot come out wrong. Blocks
//! count, and a file that is updated in place is not written where it has them already.

use syncline_delta::{Operation, Search, SearchIndex};
use syncline_fs::SourceFile;

/// How much is read at once.
const READ: usize = 256 * 1024;

/// Why a copy did not come to its end.
#[derive(Debug)]
pub(super) enum Step {
    /// The run is being ended.
    Stopped,
    /// Reading or writing failed.
    Failed(syncline_fs::Error),
}

/// Hands out everything from `position` on.
pub(super) fn whole(
    source: &SourceFile,
    mut position: u64,
    mut each: impl FnMut(Operation<'_>, &[u8]) -> Result<(), Step>,
) -> Result<(), Step> {
    let mut buffer = vec![0; READ.min(usize::try_from(source.length()).unwrap_or(READ))];
    while position < source.length() {
        let wanted = (source.length() - position).min(READ as u64) as usize;
        let chunk = &mut buffer[..wanted];
        source.read_exact_at(chunk, position).map_err(Step::Failed)?;
        each(Operation::Literal(chunk), chunk)?;
        position += wanted as u64;
    }
    Ok(())
}

/// Hands out each block of the basis that is found, and the bytes between.
pub(super) fn differences(
    source: &SourceFile,
    basis: &SearchIndex,
    in_place: bool,
    mut each: impl FnMut(Operation<'_>, &[u8]) -> Result<(), Step>,
) -> Result<(), Step> {
    let length = source.length();
    let mut search = Search::new(basis);
    if in_place {
        search = search.in_place();
    }
    let room = READ.max(4 * search.window());
    let mut buffer = Vec::new();
    let (mut start, mut position) = (0, 0);
    loop {
        // What is left of the last round moves to the front, and more is read behind it.
        buffer.drain(..start);
        let kept = buffer.len();
        let more = (length - position).min((room - kept) as u64) as usize;
        buffer.resize(kept + more, 0);
        source.read_exact_at(&mut buffer[kept..], position).map_err(Step::Failed)?;
        position += more as u64;
        let at_end = position >= length;
        let mut done = 0;
        start = search.scan(&buffer, at_end, |operation| {
            let bytes = &buffer[done..done + operation.length() as usize];
            done += bytes.len();
            each(operation, bytes)
        })?;
        if at_end {
            return Ok(());
        }
    }
}
