//! `name converter`: a command that knows the users and groups of a module (docs/spec daemon.md 9.8).
//!
//! Like `pre-xfer exec` it runs as the daemon's user outside of the module's chroot, and is told the request, by a
//! process that was split off before. It answers one line for each question until the session ends.

use std::io::{self, BufRead, BufReader, PipeReader, PipeWriter, Read, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use syncline_engine::Interrupt;
use syncline_fs::AccountSource;
use syncline_sys::process::{Half, split};

use crate::hooks::{Request, encode, told_shell};
use crate::variables::SessionVariables;

/// Names and ids as the administrator's command has them.
#[derive(Debug)]
pub(crate) struct NameConverter {
    told: Mutex<Option<PipeWriter>>,
    pipes: Mutex<Pipes>,
    loss: Loss,
}

/// A converter's going away, which ends the run; clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Loss {
    happened: Arc<AtomicBool>,
    /// Stops the run.
    pub(crate) interrupt: Interrupt,
}

impl Loss {
    pub(crate) fn has_happened(&self) -> bool {
        self.happened.load(Ordering::Relaxed)
    }
}

#[derive(Debug)]
struct Pipes {
    questions: PipeWriter,
    answers: BufReader<PipeReader>,
}

/// Longest question, and longest answer.
const LINE_MAX: usize = 1023;

impl NameConverter {
    /// Splits off the process that will run it, which does `leave` first: to let go of the connection.
    pub(crate) fn prepare(
        command: &[u8],
        variables: &SessionVariables,
        leave: impl FnOnce(),
    ) -> io::Result<Self> {
        let (request, told) = io::pipe()?;
        let (questions_reader, questions) = io::pipe()?;
        let (answers, answers_writer) = io::pipe()?;
        if split()? == Half::Child {
            leave();
            drop((told, questions, answers));
            let status = told_shell(command, variables, request).and_then(|process| {
                let Some(mut process) = process else { return Ok(0) };
                let status = process.stdin(questions_reader).stdout(answers_writer).status()?;
                Ok(status.code().unwrap_or(1))
            });
            std::process::exit(status.unwrap_or(1))
        }
        let pipes = Pipes { questions, answers: BufReader::new(answers) };
        let (told, pipes) = (Mutex::new(Some(told)), Mutex::new(pipes));
        Ok(Self { told, pipes, loss: Loss::default() })
    }

    /// Tells it the request, with which it begins.
    pub(crate) fn begin(&self, request: &Request) -> io::Result<()> {
        match self.told.lock().unwrap_or_else(PoisonError::into_inner).take() {
            Some(mut told) => told.write_all(&encode(request)),
            None => Ok(()),
        }
    }

    /// Its going away.
    pub(crate) fn loss(&self) -> Loss {
        self.loss.clone()
    }

    /// The answer to one question; none if it knows none.
    fn ask(&self, kind: &str, what: &[u8]) -> Option<Vec<u8>> {
        let question = [kind.as_bytes(), b" ", what, b"\n"].concat();
        // What could be two questions is none.
        if what.iter().any(u8::is_ascii_control) || question.len() > LINE_MAX {
            return None;
        }
        let mut pipes = self.pipes.lock().unwrap_or_else(PoisonError::into_inner);
        let Ok(answer) = pipes.ask(&question) else {
            self.loss.happened.store(true, Ordering::Relaxed);
            self.loss.interrupt.raise();
            return None;
        };
        Some(answer).filter(|answer| !answer.is_empty())
    }

    fn ask_id(&self, kind: &str, name: &[u8]) -> Option<u32> {
        let answer = self.ask(kind, name)?;
        let digits = answer.iter().all(u8::is_ascii_digit);
        std::str::from_utf8(&answer).ok().filter(|_| digits)?.parse().ok()
    }
}

impl Pipes {
    fn ask(&mut self, question: &[u8]) -> io::Result<Vec<u8>> {
        self.questions.write_all(question)?;
        let mut answer = Vec::new();
        let limit = LINE_MAX as u64 + 1;
        self.answers.by_ref().take(limit).read_until(b'\n', &mut answer)?;
        match answer.pop() {
            Some(b'\n') => Ok(answer),
            _ => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }
}

impl AccountSource for NameConverter {
    fn user_name(&self, id: u32) -> Option<Vec<u8>> {
        self.ask("uid", id.to_string().as_bytes())
    }

    fn user_id(&self, name: &[u8]) -> Option<u32> {
        self.ask_id("usr", name)
    }

    fn group_name(&self, id: u32) -> Option<Vec<u8>> {
        self.ask("gid", id.to_string().as_bytes())
    }

    fn group_id(&self, name: &[u8]) -> Option<u32> {
        self.ask_id("grp", name)
    }
}
