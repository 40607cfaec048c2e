#![doc = include_str!("../README.md")]

mod client;
mod error;
mod pem;
mod relay;
mod server;
mod verify;

pub use client::{Client, Trust, Tunnel, Verification};
pub use error::{Error, Trouble};
pub use relay::Relay;
pub use server::Server;
