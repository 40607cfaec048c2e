//! Names of hosts, as the C library's resolver sees them.
#![allow(unsafe_code)]

use std::ffi::{CStr, CString};
use std::mem::size_of;
use std::net::IpAddr;

unsafe extern "C" {
    fn innetgr(
        group: *const libc::c_char,
        host: *const libc::c_char,
        user: *const libc::c_char,
        domain: *const libc::c_char,
    ) -> libc::c_int;
}

/// The name of an address, or the resolver's words why there is none.
pub fn name_of(address: IpAddr) -> Result<Vec<u8>, String> {
    let mut name = [0 as libc::c_char; 1025];
    let mut ask = |address: *const libc::sockaddr, length: usize| {
        // SAFETY: `address` points at a complete address of `length` bytes, `name` is writable for its whole length,
        // and no buffer for a service is given; everything outlives the call.
        unsafe {
            libc::getnameinfo(
                address,
                libc::socklen_t::try_from(length).unwrap_or_default(),
                name.as_mut_ptr(),
                libc::socklen_t::try_from(name.len()).unwrap_or_default(),
                std::ptr::null_mut(),
                0,
                libc::NI_NAMEREQD,
            )
        }
    };
    let code = match address {
        IpAddr::V4(address) => {
            let socket = libc::sockaddr_in {
                sin_family: family(libc::AF_INET),
                sin_port: 0,
                sin_addr: libc::in_addr { s_addr: u32::from_ne_bytes(address.octets()) },
                sin_zero: [0; 8],
            };
            ask((&raw const socket).cast(), size_of::<libc::sockaddr_in>())
        }
        IpAddr::V6(address) => {
            let socket = libc::sockaddr_in6 {
                sin6_family: family(libc::AF_INET6),
                sin6_port: 0,
                sin6_flowinfo: 0,
                sin6_addr: libc::in6_addr { s6_addr: address.octets() },
                sin6_scope_id: 0,
            };
            ask((&raw const socket).cast(), size_of::<libc::sockaddr_in6>())
        }
    };
    if code == 0 {
        // SAFETY: the call succeeded, so `name` holds a NUL-terminated string.
        return Ok(unsafe { CStr::from_ptr(name.as_ptr()) }.to_bytes().to_vec());
    }
    // SAFETY: the result is a static NUL-terminated string for every code.
    let reason = unsafe { CStr::from_ptr(libc::gai_strerror(code)) };
    Err(reason.to_string_lossy().into_owned())
}

fn family(number: libc::c_int) -> libc::sa_family_t {
    libc::sa_family_t::try_from(number).unwrap_or_default()
}

/// Whether the host is a member of the netgroup.
pub fn in_netgroup(group: &[u8], host: &[u8]) -> bool {
    let (Ok(group), Ok(host)) = (CString::new(group), CString::new(host)) else { return false };
    // SAFETY: both strings are NUL-terminated and outlive the call; null stands for "any".
    unsafe { innetgr(group.as_ptr(), host.as_ptr(), std::ptr::null(), std::ptr::null()) == 1 }
}

/// The number of a network interface.
pub fn interface(name: &[u8]) -> Option<u32> {
    let name = CString::new(name).ok()?;
    // SAFETY: `name` is NUL-terminated and outlives the call.
    match unsafe { libc::if_nametoindex(name.as_ptr()) } {
        0 => None,
        number => Some(number),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    #[test]
    fn an_address_has_a_name_or_a_reason_for_having_none() {
        match name_of(Ipv4Addr::LOCALHOST.into()) {
            Ok(name) => assert!(!name.is_empty()),
            Err(reason) => assert!(!reason.is_empty()),
        }
        // TEST-NET-1 has no names.
        assert!(name_of(Ipv4Addr::new(192, 0, 2, 1).into()).is_err());
    }

    #[test]
    fn nobody_is_in_a_netgroup_that_does_not_exist() {
        assert!(!in_netgroup(b"no-such-netgroup", b"localhost"));
        assert_eq!(interface(b"no-such-interface"), None);
    }
}
