//! The system calls a transfer is made of; a session may make no others.
//!
//! A call that is not here does not exist for the session (`ENOSYS`): a C library that tries a newer call first falls
//! back to an older one, as on an older kernel. So the list needs what is done, not each way to do it.

use std::collections::{BTreeMap, BTreeSet};

use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition,
    SeccompFilter, SeccompRule, TargetArch, sock_filter,
};

/// Allowed whatever their arguments are. Which paths they reach is for Landlock and for the rights of the user.
const FREE: &[i64] = &[
    // Data.
    libc::SYS_read,
    libc::SYS_readv,
    libc::SYS_pread64,
    libc::SYS_preadv,
    libc::SYS_preadv2,
    libc::SYS_write,
    libc::SYS_writev,
    libc::SYS_pwrite64,
    libc::SYS_pwritev,
    libc::SYS_pwritev2,
    libc::SYS_sendfile,
    libc::SYS_splice,
    libc::SYS_copy_file_range,
    libc::SYS_lseek,
    libc::SYS_truncate,
    libc::SYS_ftruncate,
    libc::SYS_fallocate,
    libc::SYS_fadvise64,
    libc::SYS_readahead,
    libc::SYS_sync_file_range,
    libc::SYS_fsync,
    libc::SYS_fdatasync,
    libc::SYS_sync,
    libc::SYS_syncfs,
    // Descriptors.
    libc::SYS_close,
    libc::SYS_close_range,
    libc::SYS_dup,
    libc::SYS_dup3,
    libc::SYS_fcntl,
    libc::SYS_flock,
    libc::SYS_pipe2,
    libc::SYS_eventfd2,
    libc::SYS_epoll_create1,
    libc::SYS_epoll_ctl,
    libc::SYS_epoll_pwait,
    libc::SYS_epoll_pwait2,
    libc::SYS_ppoll,
    libc::SYS_pselect6,
    // Objects and names.
    libc::SYS_openat,
    libc::SYS_openat2,
    libc::SYS_fstat,
    libc::SYS_newfstatat,
    libc::SYS_statx,
    libc::SYS_statfs,
    libc::SYS_fstatfs,
    libc::SYS_faccessat,
    libc::SYS_faccessat2,
    libc::SYS_readlinkat,
    libc::SYS_getdents64,
    libc::SYS_getcwd,
    libc::SYS_chdir,
    libc::SYS_fchdir,
    libc::SYS_renameat,
    libc::SYS_renameat2,
    libc::SYS_linkat,
    libc::SYS_symlinkat,
    libc::SYS_unlinkat,
    libc::SYS_mkdirat,
    libc::SYS_mknodat,
    libc::SYS_fchmod,
    libc::SYS_fchmodat,
    libc::SYS_fchmodat2,
    libc::SYS_fchown,
    libc::SYS_fchownat,
    libc::SYS_utimensat,
    libc::SYS_umask,
    libc::SYS_getxattr,
    libc::SYS_lgetxattr,
    libc::SYS_fgetxattr,
    libc::SYS_listxattr,
    libc::SYS_llistxattr,
    libc::SYS_flistxattr,
    libc::SYS_setxattr,
    libc::SYS_lsetxattr,
    libc::SYS_fsetxattr,
    libc::SYS_removexattr,
    libc::SYS_lremovexattr,
    libc::SYS_fremovexattr,
    // Memory.
    libc::SYS_brk,
    libc::SYS_mmap,
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_mprotect,
    libc::SYS_madvise,
    libc::SYS_msync,
    libc::SYS_mincore,
    libc::SYS_mlock,
    libc::SYS_munlock,
    libc::SYS_membarrier,
    // Threads, signals to ourselves, and the end.
    libc::SYS_futex,
    libc::SYS_futex_waitv,
    libc::SYS_set_robust_list,
    libc::SYS_get_robust_list,
    libc::SYS_rseq,
    libc::SYS_set_tid_address,
    libc::SYS_gettid,
    libc::SYS_getpid,
    libc::SYS_getppid,
    libc::SYS_sched_yield,
    libc::SYS_sched_getaffinity,
    libc::SYS_getcpu,
    libc::SYS_sigaltstack,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_rt_sigpending,
    libc::SYS_rt_sigsuspend,
    libc::SYS_rt_sigtimedwait,
    libc::SYS_restart_syscall,
    libc::SYS_wait4,
    libc::SYS_waitid,
    libc::SYS_exit,
    libc::SYS_exit_group,
    // What is known of the machine and of ourselves.
    libc::SYS_clock_gettime,
    libc::SYS_clock_getres,
    libc::SYS_clock_nanosleep,
    libc::SYS_nanosleep,
    libc::SYS_gettimeofday,
    libc::SYS_getrandom,
    libc::SYS_getuid,
    libc::SYS_geteuid,
    libc::SYS_getgid,
    libc::SYS_getegid,
    libc::SYS_getresuid,
    libc::SYS_getresgid,
    libc::SYS_getgroups,
    libc::SYS_getrlimit,
    libc::SYS_getrusage,
    libc::SYS_sysinfo,
    libc::SYS_uname,
    // The connection, the log, and name services, which are asked through sockets of this machine.
    libc::SYS_connect,
    libc::SYS_sendto,
    libc::SYS_sendmsg,
    libc::SYS_sendmmsg,
    libc::SYS_recvfrom,
    libc::SYS_recvmsg,
    libc::SYS_recvmmsg,
    libc::SYS_shutdown,
    libc::SYS_getsockname,
    libc::SYS_getpeername,
    libc::SYS_getsockopt,
    libc::SYS_setsockopt,
];

/// Older ways to do the same, on the one processor that has them.
#[cfg(target_arch = "x86_64")]
const OLDER: &[i64] = &[
    libc::SYS_access,
    libc::SYS_alarm,
    libc::SYS_arch_prctl,
    libc::SYS_chmod,
    libc::SYS_chown,
    libc::SYS_dup2,
    libc::SYS_epoll_wait,
    libc::SYS_futimesat,
    libc::SYS_getdents,
    libc::SYS_lchown,
    libc::SYS_link,
    libc::SYS_lstat,
    libc::SYS_mkdir,
    libc::SYS_mknod,
    libc::SYS_open,
    libc::SYS_pause,
    libc::SYS_pipe,
    libc::SYS_poll,
    libc::SYS_readlink,
    libc::SYS_rename,
    libc::SYS_rmdir,
    libc::SYS_select,
    libc::SYS_stat,
    libc::SYS_symlink,
    libc::SYS_time,
    libc::SYS_unlink,
    libc::SYS_utime,
    libc::SYS_utimes,
];
#[cfg(not(target_arch = "x86_64"))]
const OLDER: &[i64] = &[];

/// What may be asked of a device or file: clones, lengths, flags, and whether it is a terminal; nothing is typed into
/// one.
const REQUESTS: [u64; 10] = [
    0x4004_9409, // FICLONE
    0x4020_940d, // FICLONERANGE
    0x5401,      // TCGETS
    0x541b,      // FIONREAD
    0x5421,      // FIONBIO
    0x5450,      // FIONCLEX
    0x5451,      // FIOCLEX
    0x8008_1272, // BLKGETSIZE64
    0x8008_6601, // FS_IOC_GETFLAGS
    0x801c_581f, // FS_IOC_FSGETXATTR
];

/// Leaves this thread, and those it will start, with these calls; for good.
pub(crate) fn restrict() -> Result<(), String> {
    let Ok(arch) = TargetArch::try_from(std::env::consts::ARCH) else { return Ok(()) };
    let program = program(arch).map_err(|error| error.to_string())?;
    match seccompiler::apply_filter(&program) {
        Ok(()) => Ok(()),
        // A kernel without it; said once at start.
        Err(seccompiler::Error::Seccomp(error)) if error.raw_os_error() == Some(libc::EINVAL) => {
            Ok(())
        }
        Err(error) => Err(error.to_string()),
    }
}

fn program(arch: TargetArch) -> Result<BpfProgram, BackendError> {
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = BTreeMap::new();
    let is = |argument, value| {
        SeccompCondition::new(argument, SeccompCmpArgLen::Qword, SeccompCmpOp::Eq, value)
    };
    let word = |argument, value: i32| {
        let value = u64::from(value.cast_unsigned());
        SeccompCondition::new(argument, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, value)
    };
    let one = |condition| SeccompRule::new(vec![condition]);
    // Threads yes, processes no. The flags of `clone3` lie in memory, where a filter cannot look.
    let flag = u64::from(libc::CLONE_THREAD.cast_unsigned());
    let thread =
        SeccompCondition::new(0, SeccompCmpArgLen::Qword, SeccompCmpOp::MaskedEq(flag), flag)?;
    rules.insert(libc::SYS_clone, vec![one(thread)?]);
    // Sockets of this machine yes, of the network no.
    rules.insert(libc::SYS_socket, vec![one(word(0, libc::AF_UNIX)?)?]);
    rules.insert(libc::SYS_socketpair, vec![one(word(0, libc::AF_UNIX)?)?]);
    let requests = REQUESTS.into_iter().map(|request| one(is(1, request)?));
    rules.insert(libc::SYS_ioctl, requests.collect::<Result<_, _>>()?);
    rules.insert(libc::SYS_prctl, vec![one(word(0, libc::PR_SET_NAME)?)?]);
    // The end of a process that finds itself broken; and no limits of others, nor new ones of ours.
    rules.insert(libc::SYS_tgkill, vec![one(is(0, u64::from(std::process::id()))?)?]);
    rules.insert(libc::SYS_prlimit64, vec![one(is(2, 0)?)?]);
    let absent = SeccompAction::Errno(libc::ENOSYS.cast_unsigned());
    let rest: BpfProgram =
        SeccompFilter::new(rules, absent, SeccompAction::Allow, arch)?.try_into()?;
    Ok([free(arch), rest].concat())
}

/// Lets the free calls through and falls through for all others, and on another processor's interface. As ranges, which is a
/// third of what a comparison for each takes: the kernel translates the program anew for each session.
fn free(arch: TargetArch) -> BpfProgram {
    // Where the kernel puts the call and the interface, and what it knows interfaces by.
    const CALL: u32 = 0;
    const INTERFACE: u32 = 4;
    const ALLOW: u32 = 0x7fff_0000;
    let interface = match arch {
        TargetArch::x86_64 => 0xc000_003e,
        TargetArch::aarch64 => 0xc000_00b7,
        TargetArch::riscv64 => 0xc000_00f3,
    };
    let step = |code, jt, jf, k| sock_filter { code, jt, jf, k };
    let load = |from| step(0x20, 0, 0, from);
    let mut tests = vec![load(CALL)];
    for (first, last) in ranges() {
        // Above the range: the next one. Below it: none, as they ascend; but the next ones find that too.
        tests.extend([step(0x25, 2, 0, last), step(0x35, 0, 1, first), step(0x06, 0, 0, ALLOW)]);
    }
    let length = tests.len() as u32;
    [vec![load(INTERFACE), step(0x15, 1, 0, interface), step(0x05, 0, 0, length)], tests].concat()
}

/// The free calls' numbers, neighbours together.
fn ranges() -> Vec<(u32, u32)> {
    let numbers = FREE.iter().chain(OLDER).filter_map(|&call| u32::try_from(call).ok());
    let mut ranges: Vec<(u32, u32)> = Vec::new();
    for number in numbers.collect::<BTreeSet<u32>>() {
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 == number => *last = number,
            _ => ranges.push((number, number)),
        }
    }
    ranges
}
