//! What is left to a session once it is in its module: Landlock rules and a seccomp filter.
//!
//! Both hold for every thread that is started afterwards, and nothing can take them back.

use std::os::fd::BorrowedFd;

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, PathBeneath, PathFd,
    Ruleset, RulesetAttr, RulesetCreatedAttr,
};
use syncline_sys::accounts;

use crate::calls;

/// The newest set of rights the rules know; older kernels take the part they know.
const NEWEST: ABI = ABI::V6;

/// Read by the C library when names of users and groups are looked up.
const ACCOUNT_FILES: [&str; 4] =
    ["/etc/passwd", "/etc/group", "/etc/nsswitch.conf", "/etc/localtime"];

/// What a session may do.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Confinement {
    /// Change anything in the module.
    pub(crate) writes: bool,
    /// Follow symlinks out of the module (`insecure links`): then there is no confinement to paths.
    pub(crate) links: bool,
}

/// What the kernel offers, for one word about it at start.
pub(crate) fn missing_layers() -> Vec<&'static str> {
    let mut missing = Vec::new();
    let landlock = Ruleset::default()
        .set_compatibility(CompatLevel::HardRequirement)
        .handle_access(AccessFs::from_all(ABI::V1))
        .and_then(Ruleset::create);
    if landlock.is_err() {
        missing.push("Landlock");
    }
    if !std::path::Path::new("/proc/sys/kernel/seccomp/actions_avail").exists() {
        missing.push("seccomp");
    }
    missing
}

/// Does once what every session needs, at the start of the process. It makes the C library load what it needs to look names
/// up, while it still can: a number that nobody has is asked of every name service. In a chroot it would load programs
/// that clients may have put there.
pub(crate) fn warm_up() {
    // Only the loading matters.
    let _ = (accounts::user_by_id(u32::MAX - 1), accounts::group_by_id(u32::MAX - 1));
    // Asking the processor what it can do is slow on a virtual machine; sessions find the answer.
    #[cfg(target_arch = "x86_64")]
    let _ = std::arch::is_x86_feature_detected!("avx2");
    syncline_sys::heap::share();
}

impl Confinement {
    /// Confines this thread, and those it will start, to a directory; for good.
    pub(crate) fn enforce(self, module: BorrowedFd<'_>) -> Result<(), String> {
        self.enforce_without(module, BitFlags::empty())
    }

    /// The same for a tree in which no devices may be made.
    pub(crate) fn enforce_without_devices(self, tree: BorrowedFd<'_>) -> Result<(), String> {
        self.enforce_without(tree, AccessFs::MakeChar | AccessFs::MakeBlock)
    }

    fn enforce_without(
        self,
        module: BorrowedFd<'_>,
        denied: BitFlags<AccessFs>,
    ) -> Result<(), String> {
        rustix::thread::set_no_new_privs(true).map_err(|errno| errno.to_string())?;
        if !self.links {
            self.restrict_paths(module, denied)?;
        }
        calls::restrict()
    }

    fn restrict_paths(
        self,
        module: BorrowedFd<'_>,
        denied: BitFlags<AccessFs>,
    ) -> Result<(), String> {
        let reading = AccessFs::ReadFile | AccessFs::ReadDir;
        let all = AccessFs::from_all(NEWEST) & !AccessFs::Execute & !denied;
        let rights = if self.writes { all } else { reading };
        let restrict = || -> Result<(), landlock::RulesetError> {
            let mut rules = Ruleset::default()
                .set_compatibility(CompatLevel::BestEffort)
                .handle_access(AccessFs::from_all(NEWEST))?
                .handle_access(AccessNet::from_all(NEWEST))?
                .create()?
                .add_rule(PathBeneath::new(module, rights))?;
            for file in ACCOUNT_FILES {
                // One that is not there is not read.
                if let Ok(file) = PathFd::new(file) {
                    rules = rules.add_rule(PathBeneath::new(file, AccessFs::ReadFile))?;
                }
            }
            rules.restrict_self().map(drop)
        };
        restrict().map_err(|error| error.to_string())
    }
}

/// Takes every path and every call that is no transfer's from this process: it keeps what it has open.
pub(crate) fn seal() -> Result<(), String> {
    rustix::thread::set_no_new_privs(true).map_err(|errno| errno.to_string())?;
    let restrict = || -> Result<(), landlock::RulesetError> {
        Ruleset::default()
            .set_compatibility(CompatLevel::BestEffort)
            .handle_access(AccessFs::from_all(NEWEST))?
            .handle_access(AccessNet::from_all(NEWEST))?
            .create()?
            .restrict_self()
            .map(drop)
    };
    restrict().map_err(|error| error.to_string())?;
    calls::restrict()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::io::ErrorKind;
    use std::os::fd::AsFd;
    use std::path::{Path, PathBuf};

    /// What a thread that is confined to `module` can do; the rest of the tests are not confined with it.
    fn confined<T: Send + 'static>(
        confinement: Confinement,
        module: &Path,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> T {
        let module = File::open(module).unwrap();
        let thread = std::thread::spawn(move || {
            confinement.enforce(module.as_fd()).unwrap();
            work()
        });
        thread.join().unwrap()
    }

    fn scene() -> (tempfile::TempDir, PathBuf) {
        let scene = tempfile::tempdir().unwrap();
        let module = scene.path().join("module");
        std::fs::create_dir(&module).unwrap();
        std::fs::write(module.join("inside"), "in").unwrap();
        std::fs::write(scene.path().join("outside"), "out").unwrap();
        std::os::unix::fs::symlink("../outside", module.join("way_out")).unwrap();
        (scene, module)
    }

    #[test]
    fn a_session_opens_nothing_outside_of_its_module_even_as_root() {
        if missing_layers().contains(&"Landlock") {
            eprintln!(
                "SKIPPED a_session_opens_nothing_outside_of_its_module_even_as_root: no Landlock"
            );
            return;
        }
        let (scene, module) = scene();
        let (at, outside) = (module.clone(), scene.path().join("outside"));
        let new = scene.path().join("new");
        confined(Confinement { writes: true, links: false }, &module, move || {
            assert_eq!(std::fs::read(at.join("inside")).unwrap(), b"in");
            std::fs::write(at.join("written"), "w").unwrap();
            std::fs::rename(at.join("written"), at.join("renamed")).unwrap();
            for path in
                [&outside, &at.join("way_out"), &at.join("../outside"), &"/etc/shadow".into()]
            {
                let error = std::fs::read(path).unwrap_err();
                assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{}", path.display());
            }
            assert_eq!(File::create(&new).unwrap_err().kind(), ErrorKind::PermissionDenied);
            assert!(std::fs::rename(at.join("inside"), &new).is_err());
            // Names of users can still be looked up.
            assert!(accounts::user_by_id(0).unwrap().is_some());
        });
    }

    #[test]
    fn a_session_of_a_read_only_module_changes_nothing() {
        if missing_layers().contains(&"Landlock") {
            eprintln!("SKIPPED a_session_of_a_read_only_module_changes_nothing: no Landlock");
            return;
        }
        let (_scene, module) = scene();
        let at = module.clone();
        confined(Confinement { writes: false, links: false }, &module, move || {
            assert_eq!(std::fs::read(at.join("inside")).unwrap(), b"in");
            assert!(std::fs::write(at.join("inside"), "x").is_err());
            assert!(std::fs::write(at.join("new"), "x").is_err());
            assert!(std::fs::remove_file(at.join("inside")).is_err());
            assert!(std::fs::create_dir(at.join("directory")).is_err());
        });
    }

    #[test]
    fn a_session_starts_no_program_and_opens_no_connection() {
        if missing_layers().contains(&"seccomp") {
            eprintln!("SKIPPED a_session_starts_no_program_and_opens_no_connection: no seccomp");
            return;
        }
        let (_scene, module) = scene();
        confined(Confinement { writes: true, links: true }, &module, || {
            assert!(std::process::Command::new("/bin/true").spawn().is_err());
            assert!(
                std::net::TcpStream::connect(("127.0.0.1", 9))
                    .is_err_and(|error| error.raw_os_error() == Some(libc::ENOSYS))
            );
            assert!(rustix::process::chroot("/").is_err());
            // Threads are what a transfer is made of.
            assert_eq!(std::thread::spawn(|| 7).join().unwrap(), 7);
        });
    }
}
