//! Sessions with daemons, and connections kept ready for them (R60 to R63).

use syncline_conf::live::Address;
use syncline_engine::session::daemon::{Admission, DaemonRequest};
use syncline_engine::session::socket::{DAEMON_PORT, Detour, connect};
use syncline_engine::session::{ClientPlan, Connection};
use syncline_engine::{Error, ExitCode, Interrupt, Monitor, Role};
use syncline_options::Options;
use syncline_wire::Protocol;

use super::{Route, password};

/// A connection made ahead.
#[derive(Debug)]
pub(crate) struct Spare(Connection);

impl Route {
    pub(super) fn by_daemon(
        &self,
        options: &Options,
        mut plan: ClientPlan<'_>,
        spare: Option<Spare>,
        monitor: &Monitor,
    ) -> Result<ExitCode, Error> {
        let Address::Daemon { user, module, path, .. } = &self.address else {
            return Err(Error::fatal(ExitCode::USAGE, "this target is no daemon's"));
        };
        let mut connection = match spare {
            Some(spare) => spare.0,
            None => self.dial(options, &plan.job.interrupt)?,
        };
        let user = user.clone().unwrap_or_else(user_of_environment).into_bytes();
        let paths = [format!("{module}/{path}").into_bytes()];
        let request = DaemonRequest {
            options,
            module: module.as_bytes(),
            user: &user,
            paths: &paths,
            pull: false,
            early_input: None,
        };
        let mut password = || match &self.password_file {
            Some(file) => password::read(file),
            None => Err(Error::fatal(
                ExitCode::START,
                "the daemon asks for a password: set `password-file`",
            )),
        };
        let admitted =
            request.enter(&mut connection, Protocol::NEWEST, &mut |_| {}, &mut password)?;
        let Admission::Admitted(protocol) = admitted else {
            return Err(Error::fatal(ExitCode::START, "the daemon listed its modules"));
        };
        plan.settled = Some(protocol);
        plan.run(connection, monitor).0
    }

    fn dial(&self, options: &Options, interrupt: &Interrupt) -> Result<Connection, Error> {
        let Address::Daemon { host, port, .. } = &self.address else {
            return Err(Error::fatal(ExitCode::USAGE, "this target is no daemon's"));
        };
        let detour = Detour { proxy: None, program: None, shell: None };
        let port = port.unwrap_or(DAEMON_PORT);
        let stream = connect(options, host, port, &detour, Role::Sender, &mut |_| {})?;
        Connection::new(stream.reader, stream.writer, options, interrupt)
    }
}

fn user_of_environment() -> String {
    let variable = |name| std::env::var(name).ok().filter(|value: &String| !value.is_empty());
    variable("USER").or_else(|| variable("LOGNAME")).unwrap_or_else(|| "nobody".to_owned())
}
