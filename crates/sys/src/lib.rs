//! Safe wrappers over the Linux calls that Syncline needs and `rustix` does not offer.
//!
//! Every `unsafe` block of the workspace outside the measured SIMD island of `syncline-delta` lives here, one module for each
//! family of calls, each block with the reason why it is sound.
//!
//! ```
//! let root = syncline_sys::accounts::user_by_id(0)?;
//! assert_eq!(root.map(|user| user.id), Some(0));
//! # Ok::<(), std::io::Error>(())
//! ```

pub mod accounts;
pub mod descriptor;
pub mod fanotify;
pub mod heap;
pub mod hosts;
pub mod lock;
pub mod nofollow;
pub mod notify;
pub mod posix;
pub mod process;
