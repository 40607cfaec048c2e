//! The C library's allocator.
#![allow(unsafe_code)]

/// Lets all threads share one heap. For a process whose threads do little at a time, and that is started or split often: each
/// further heap costs address space, calls and pages of its own. Other C libraries have one heap anyway.
pub fn share() {
    #[cfg(target_env = "gnu")]
    // SAFETY: the call changes one setting of the allocator and takes plain numbers.
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, 1);
    }
}
