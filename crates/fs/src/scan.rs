use std::num::NonZero;
use std::sync::Arc;
use std::thread::JoinHandle;

use crossbeam_channel::{Receiver, Sender, bounded, unbounded};

use crate::error::Result;
use crate::{Dir, Kind, Listing, Name, RelPath, RelPathBuf};

/// Threads that open and list directories ahead of the one that walks the tree.
///
/// The walker asks for each directory as soon as it learns of it, and takes the results in whatever order it wants
/// them. It decides how many to ask for ahead: each result not yet taken holds a descriptor and a listing.
#[derive(Debug)]
pub struct Scanner {
    orders: Option<Sender<Order>>,
    queue: Receiver<Order>,
    workers: Vec<JoinHandle<()>>,
}

/// Says whether a name is wanted in a listing; see [`Dir::list`].
pub type Want = Arc<dyn Fn(Name<'_>, Kind) -> bool + Send + Sync>;

struct Order {
    parent: Dir,
    path: RelPathBuf,
    want: Want,
    answer: Sender<Result<Scanned>>,
}

/// A directory, open, with what is in it.
#[derive(Debug)]
pub struct Scanned {
    /// For work on what is in it.
    pub directory: Dir,
    /// What is in it.
    pub listing: Listing,
}

/// A directory asked for.
#[derive(Debug)]
pub struct Scan(Receiver<Result<Scanned>>);

impl Scanner {
    /// Starts `threads` threads.
    pub fn new(threads: NonZero<usize>) -> std::io::Result<Self> {
        let (orders, queue) = unbounded::<Order>();
        let worker = |queue: Receiver<Order>| {
            move || {
                for order in queue {
                    let result = scan(&order.parent, order.path.as_path(), &*order.want);
                    // Nobody waits any more for what was asked by a walk that has ended.
                    let _ = order.answer.send(result);
                }
            }
        };
        let spawn = |number| {
            let name = format!("scan-{number}");
            std::thread::Builder::new().name(name).spawn(worker(queue.clone()))
        };
        let workers = (0..threads.get()).map(spawn).collect::<std::io::Result<_>>()?;
        Ok(Self { orders: Some(orders), queue, workers })
    }

    /// Asks for the directory `path`, whose last component is looked up in `parent`; a link there is refused.
    pub fn ask(&self, parent: &Dir, path: RelPath<'_>, want: Want) -> Scan {
        let (answer, scan) = bounded(1);
        let order = Order { parent: parent.clone(), path: path.to_owned(), want, answer };
        if let Some(orders) = &self.orders {
            // Cannot fail: the workers live as long as this value.
            let _ = orders.send(order);
        }
        Scan(scan)
    }
}

impl Drop for Scanner {
    fn drop(&mut self) {
        self.orders = None;
        // Nobody will take what is still to be done.
        while self.queue.try_recv().is_ok() {}
        for worker in self.workers.drain(..) {
            let _ = worker.join();
        }
    }
}

impl Scan {
    /// Waits for the result. None only if the thread that worked on it panicked.
    pub fn wait(self) -> Option<Result<Scanned>> {
        self.0.recv().ok()
    }
}

fn scan(parent: &Dir, path: RelPath<'_>, want: &dyn Fn(Name<'_>, Kind) -> bool) -> Result<Scanned> {
    let directory = parent.place(path).open_directory()?;
    let listing = directory.list(path, want)?;
    Ok(Scanned { directory, listing })
}
