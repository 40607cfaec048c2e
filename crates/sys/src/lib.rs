//! Safe wrappers over the Linux system calls that Syncline needs and `rustix` does not offer.
//!
//! Every `unsafe` block of the workspace outside the measured SIMD island of `syncline-delta` lives here, one module for each
//! family of calls, each block with the reason why it is sound.
