//! The same job by stock and by ours, in turns: medians, ratio, memory, processor time.

pub mod data;
pub mod job;
pub mod measure;
