//! A transport with its threads, before and during the set-up.

use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::sync::Arc;

use syncline_options::Options;
use syncline_options::values::flags::Debug;
use syncline_wire::Side;
use syncline_wire::daemon::{put_secluded_arguments, read_secluded_arguments};

use super::queue::{Clock, Input, Output, Writer};
use super::setup::{Expected, Framing, Plan};
use super::{Peer, throttle::Throttled};
use crate::{Error, ExitCode, Interrupt, Monitor, Result, Role};

/// Both directions of a transport, each with its thread.
#[derive(Debug)]
pub struct Connection {
    pub(crate) input: Input,
    pub(crate) output: Output,
    pub(crate) writer: Writer,
    pub(crate) clock: Arc<Clock>,
    /// The terms that were sent ahead, to be confirmed by the peer.
    pub(super) expected: Option<Expected>,
}

impl Connection {
    /// Starts the threads of a transport.
    pub fn new(
        reader: impl Read + Send + 'static,
        writer: impl Write + Send + 'static,
        options: &Options,
        interrupt: &Interrupt,
    ) -> Result<Self> {
        Self::start(writer, options, interrupt, |clock| Input::spawn(reader, clock, interrupt))
    }

    /// The same for a server that sends files over something that can be waited for: it hears little, and reads that by itself.
    /// `ahead` was read already.
    pub fn of_sender(
        reader: impl Read + AsFd + Send + 'static,
        ahead: Vec<u8>,
        writer: impl Write + Send + 'static,
        options: &Options,
        interrupt: &Interrupt,
    ) -> Result<Self> {
        Self::start(writer, options, interrupt, |clock| {
            Input::here(Box::new(reader), ahead, clock, interrupt)
        })
    }

    fn start(
        writer: impl Write + Send + 'static,
        options: &Options,
        interrupt: &Interrupt,
        input: impl FnOnce(Arc<Clock>) -> io::Result<Input>,
    ) -> Result<Self> {
        let clock = Clock::new(options.connection.timeout);
        let start = || -> io::Result<Self> {
            let writer = Throttled::new(writer, options.connection.bwlimit);
            let (output, writer) = Output::spawn(writer, Arc::clone(&clock), interrupt)?;
            let mut input = input(Arc::clone(&clock))?;
            input.flush_before_wait(&output);
            Ok(Self { input, output, writer, clock, expected: None })
        };
        start().map_err(|error| Error::system(ExitCode::IPC, Role::Client, "thread", error))
    }

    /// Sets after how many seconds without a byte the peer is given up; 0 is never. A peer that wants less during the run
    /// gets it.
    pub fn limit(&self, seconds: u32) {
        self.clock.set_limit(seconds);
    }

    /// The words of a client with secluded arguments, the program's name left out (docs/spec session.md 3.4).
    pub fn secluded_arguments(&mut self) -> Result<Vec<Vec<u8>>> {
        read_secluded_arguments(&mut self.input).map_err(|error| Error::wire(Role::Server, error))
    }

    /// Settles the terms and starts framing.
    pub(crate) fn agree(mut self, plan: &Plan<'_>, monitor: &Monitor) -> Result<(Peer, Writer)> {
        let (terms, expected) = match self.expected.take() {
            // What goes to the peer next depends on nothing but the seed.
            Some(expected) if plan.sends => (Ok(expected.terms.clone()), Some(expected)),
            Some(expected) => (expected.confirm(&mut self.input), None),
            None => (plan.agree(&mut self.input, &self.output), None),
        };
        let terms = match terms {
            Ok(terms) => terms,
            Err(error) => {
                // What was said so far must reach the peer: it may find the same fault by itself.
                self.writer.close();
                return Err(error);
            }
        };
        let text = || {
            let side = if plan.side == Side::Client { "Client" } else { "Server" };
            let (remote, negotiated) = (terms.peer_version, terms.protocol);
            format!("({side}) Protocol versions: remote={remote}, negotiated={negotiated}")
                .into_bytes()
        };
        monitor.trace(Debug::Proto, 1, text);
        let pull = (plan.side == Side::Client) != plan.sends;
        let framing = Framing::of(&terms, plan.options, pull);
        let protocol = terms.protocol;
        let Self { input, output, writer, clock, .. } = self;
        let charset = plan.charset.cloned();
        let mut peer =
            Peer::new(input, output, terms, plan.role(), monitor.clone(), charset, clock);
        match expected {
            Some(expected) => peer.expect(expected, framing.input),
            None if framing.input => peer.input.start(),
            None => {}
        }
        if framing.output {
            let framed = peer.output.set_framed(Some(protocol));
            framed.map_err(|error| peer.unwritten(error))?;
        }
        Ok((peer, writer))
    }

    /// As a client: the words that do not stand on the server's command line.
    pub fn send_secluded(&self, words: &[Vec<u8>]) {
        put_secluded_arguments(&mut self.output.buffer(), words);
    }
}
