//! Benches, always side by side: criterion benches of the parts in `benches/`, whole programs in [`programs`].
//!
//! `cargo xtask bench` runs both and prints their tables.

pub mod live;
pub mod programs;
