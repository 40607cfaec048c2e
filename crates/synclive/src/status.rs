//! `synclive status`: how running mirrors are (R144).

use std::net::SocketAddr;

use syncline_conf::live::Config;
use syncline_live::state::{Concern, Snapshot};
use syncline_live::status;
use syncline_options::LiveOptions;

use crate::plan::{path, read};
use crate::{complain, print, wrong};

/// Nobody answers.
const NOT_RUNNING: u8 = 3;

/// Where the sample configuration serves the state.
const USUAL: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 8730);

pub(crate) fn run(options: &LiveOptions) -> u8 {
    if let Some(word) = options.arguments.first() {
        return wrong(format_args!("status takes no {}", String::from_utf8_lossy(word)));
    }
    let snapshot = match place(options) {
        Ok(Place::At(address)) => {
            status::fetch(address).map_err(|error| format!("{address}: {error}"))
        }
        Ok(Place::File(file)) => file_snapshot(&file),
        Err(problem) => return wrong(problem),
    };
    match snapshot {
        Ok(snapshot) => {
            print(&status::text(&snapshot));
            match snapshot.concern() {
                Concern::None => 0,
                Concern::Wait => 1,
                Concern::Trouble => 2,
            }
        }
        Err(problem) => {
            complain(format_args!("not running, as it seems: {problem}"));
            NOT_RUNNING
        }
    }
}

enum Place {
    At(SocketAddr),
    File(std::path::PathBuf),
}

fn place(options: &LiveOptions) -> Result<Place, String> {
    if let Some(address) = &options.status_addr {
        let address = str::from_utf8(address).ok().and_then(|text| text.parse().ok());
        return address.map(Place::At).ok_or_else(|| "--status-addr takes ADDRESS:PORT".into());
    }
    if let Some(file) = &options.status_file {
        return Ok(Place::File(path(file).to_owned()));
    }
    let Some(file) = &options.config else { return Ok(Place::At(USUAL)) };
    let file = path(file);
    let config = Config::parse(file, &read(file)?).map_err(|error| error.to_string())?;
    match (config.status_addr, config.status_file) {
        (Some(address), _) => Ok(Place::At(address)),
        (None, Some(file)) => Ok(Place::File(file)),
        (None, None) => {
            Err(format!("{} names neither `status-addr` nor `status-file`", file.display()))
        }
    }
}

fn file_snapshot(file: &std::path::Path) -> Result<Snapshot, String> {
    status::read(&read(file)?).map_err(|error| format!("{}: {error}", file.display()))
}
