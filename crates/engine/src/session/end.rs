//! How a failing side takes its leave (docs/spec session.md 12).

use syncline_wire::Message;

use super::Peer;
use super::queue::{Queue, Writer};
use super::server::ServerVoice;
use crate::{Error, ExitCode, Role};

/// What is needed to say that a run failed, after the role has given up the connection.
#[derive(Debug)]
pub(super) struct Ending {
    queue: Queue,
    says_codes: bool,
}

impl Ending {
    pub(super) fn new(peer: &Peer) -> Self {
        Self {
            queue: peer.output.queue().clone(),
            says_codes: peer.terms.protocol.has_error_exit(),
        }
    }

    /// As a server: nothing but the code; the lines have been told already.
    pub(super) fn tell(&self, error: &Error, voice: &ServerVoice, _role: Role) {
        self.tell_code(error);
        voice.drain();
    }

    /// Sends the code where the peer understands it and does not know it already.
    pub(super) fn tell_code(&self, error: &Error) {
        // A daemon that was misjudged may take the code for something else.
        if !self.says_codes || matches!(error, Error::Outdated) {
            return;
        }
        let code = error.exit_code();
        let silent = [
            ExitCode::SOCKET,
            ExitCode::STREAM,
            ExitCode::SIGUSR1,
            ExitCode::TIMEOUT,
            ExitCode::OK,
        ];
        if matches!(error, Error::PeerExit(_)) {
            self.queue.message(Message::ErrorExit(None));
        } else if !silent.contains(&code) {
            self.queue.message(Message::ErrorExit(Some(code.number().into())));
        }
        self.queue.drain();
    }
}

/// Waits until everything is written.
pub(super) fn close(writer: Writer) {
    writer.close();
}
