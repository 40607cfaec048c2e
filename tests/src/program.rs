//! Which program the suite runs.

use std::path::{Path, PathBuf};

/// The two programs a case can be run against.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Debian's program.
    Stock,
    /// This workspace's.
    Ours,
}

/// The program under test.
#[derive(Debug, Clone)]
pub struct Program {
    /// Whose it is.
    pub side: Side,
    /// Its absolute path.
    pub path: PathBuf,
}

impl Program {
    /// Reads `SYNCLINE_UNDER_TEST`, by default ours, and finds the binary that stands for `stock` in stock's packages.
    pub fn under_test(stock: &str, ours: &str) -> Result<Self, String> {
        match std::env::var("SYNCLINE_UNDER_TEST").as_deref() {
            Err(_) | Ok("ours") => Self::ours(ours),
            Ok("stock") => Self::stock(stock),
            Ok(other) => Err(format!("SYNCLINE_UNDER_TEST={other}: say stock or ours")),
        }
    }

    /// The program that Debian installs under this name.
    pub fn stock(name: &str) -> Result<Self, String> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        std::env::split_paths(&path)
            .map(|folder| folder.join(name))
            .find(|path| path.is_file())
            .map(|path| Self { side: Side::Stock, path })
            .ok_or_else(|| format!("{name} is not on PATH; cargo xtask test installs it"))
    }

    /// The binary of this name that cargo built beside the running test.
    pub fn ours(name: &str) -> Result<Self, String> {
        let test = std::env::current_exe().map_err(|error| error.to_string())?;
        let path = test
            .ancestors()
            .nth(2)
            .map(|folder| folder.join(name))
            .filter(|path| path.is_file())
            .ok_or_else(|| format!("{name} is not built; run cargo build --workspace first"))?;
        Ok(Self { side: Side::Ours, path })
    }

    /// The path as text, for arguments and expected output.
    pub fn text(&self) -> String {
        self.path.to_string_lossy().into_owned()
    }
}

/// Where the suite's data lies.
pub fn vectors(folder: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors").join(folder)
}
