//! A run without a sink: the source's entries are told one by one (docs/spec cli.md 12).

use crate::link::{Offer, Offers, Received, Requests};
use crate::{Error, Event, Monitor, Result, Role, Terms};

/// Lists everything the source offers.
pub(crate) fn list(
    terms: &Terms,
    offers: &mut dyn Offers,
    requests: &mut dyn Requests,
    monitor: &Monitor,
) -> Result<()> {
    let (mut lists, mut replies) = (0, 0);
    let mut rounds = 0;
    loop {
        match offers.next()? {
            Offer::List(received) => {
                let empty = received.list.is_empty();
                monitor.tally().add_io_errors(received.list.io_errors());
                if lists > 0 {
                    requests.done()?;
                }
                lists += 1;
                tell(terms, offers, received, monitor)?;
                // A server with nothing to send has ended with its empty list.
                if lists == 1 && empty {
                    return Ok(());
                }
            }
            Offer::ListsEnd => {
                requests.done()?;
                rounds = 1;
            }
            Offer::Done => {
                replies += 1;
                if terms.incremental() && replies < lists {
                    offers.lists().release_oldest();
                } else if rounds > 0 {
                    requests.done()?;
                    rounds += 1;
                }
            }
            Offer::End => {
                requests.flush()?;
                return Ok(());
            }
            Offer::Item { index, .. } => {
                let error = syncline_wire::Error::ClearedIndex(index);
                return Err(Error::wire(Role::Receiver, error));
            }
            Offer::NoSend(_) | Offer::IoErrors(_) => {}
        }
    }
}

fn tell(
    terms: &Terms,
    offers: &mut dyn Offers,
    received: Received,
    monitor: &Monitor,
) -> Result<()> {
    let Received { mut list, directory, .. } = received;
    list.sort(terms.protocol);
    list.drop_duplicates(terms.protocol);
    let number = directory.as_ref().map(|(number, _)| *number);
    if let Some(entry) = number.and_then(|number| offers.lists().directory(number)) {
        monitor.tell(&Event::Entry(entry));
    }
    for entry in list.iter_sorted().filter(|entry| entry.is_active()) {
        // Directories are told when their own list comes.
        let waits = terms.incremental() && entry.is_directory() && !entry.is_root();
        if !waits {
            monitor.tell(&Event::Entry(entry));
        }
    }
    offers.lists().add(list, number).map_err(|error| Error::wire(Role::Destination, error))
}
