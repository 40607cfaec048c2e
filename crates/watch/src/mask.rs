//! The bits of a watch and of what it delivers (spec inotifywait.md 2.2, 12.5).

use std::ops::{BitAnd, BitOr, BitOrAssign, Not};

/// A set of event bits, with the values that inotify gives them. fanotify shares those values for everything it knows.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Mask(u32);

impl Mask {
    /// Data was read.
    pub const ACCESS: Self = Self(0x1);
    /// Data was written or the file was truncated.
    pub const MODIFY: Self = Self(0x2);
    /// Mode, owner, times, extended attributes or link count changed.
    pub const ATTRIB: Self = Self(0x4);
    /// A descriptor that could write was closed.
    pub const CLOSE_WRITE: Self = Self(0x8);
    /// A descriptor that could only read was closed.
    pub const CLOSE_NOWRITE: Self = Self(0x10);
    /// Either kind of close.
    pub const CLOSE: Self = Self(0x18);
    /// Something was opened.
    pub const OPEN: Self = Self(0x20);
    /// A name left this directory by a rename.
    pub const MOVED_FROM: Self = Self(0x40);
    /// A name arrived in this directory by a rename.
    pub const MOVED_TO: Self = Self(0x80);
    /// Either half of a rename.
    pub const MOVE: Self = Self(0xc0);
    /// A name was made.
    pub const CREATE: Self = Self(0x100);
    /// A name was removed.
    pub const DELETE: Self = Self(0x200);
    /// The watched object itself was removed.
    pub const DELETE_SELF: Self = Self(0x400);
    /// The watched object itself was renamed.
    pub const MOVE_SELF: Self = Self(0x800);
    /// All of the above.
    pub const ALL: Self = Self(0xfff);
    /// The file system was unmounted; always delivered.
    pub const UNMOUNT: Self = Self(0x2000);
    /// The kernel dropped events; always delivered.
    pub const OVERFLOW: Self = Self(0x4000);
    /// The kernel let go of the watch; always delivered.
    pub const IGNORED: Self = Self(0x8000);
    /// The kernel removes the watch after its first event.
    pub const ONESHOT: Self = Self(0x8000_0000);
    /// The event is about a directory.
    pub const IS_DIR: Self = Self(0x4000_0000);
    /// Watch only if it is a directory.
    pub const ONLY_DIR: Self = Self(0x0100_0000);
    /// Watch a symbolic link itself.
    pub const DONT_FOLLOW: Self = Self(0x0200_0000);
    /// No events for names that are already unlinked.
    pub const EXCLUDE_UNLINKED: Self = Self(0x0400_0000);
    /// Add to the bits of an existing watch.
    pub const ADD: Self = Self(0x2000_0000);

    /// The set with exactly these bits.
    pub const fn from_bits(bits: u32) -> Self {
        Self(bits)
    }

    /// The bits.
    pub const fn bits(self) -> u32 {
        self.0
    }

    /// Whether nothing is in the set.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether the two sets share a bit.
    pub const fn intersects(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// This set and the other one.
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// This set without the other one.
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }
}

impl BitOr for Mask {
    type Output = Self;
    fn bitor(self, other: Self) -> Self {
        self.with(other)
    }
}

impl BitOrAssign for Mask {
    fn bitor_assign(&mut self, other: Self) {
        self.0 |= other.0;
    }
}

impl BitAnd for Mask {
    type Output = Self;
    fn bitand(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }
}

impl Not for Mask {
    type Output = Self;
    fn not(self) -> Self {
        Self(!self.0)
    }
}

impl std::fmt::Debug for Mask {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Mask({:#x})", self.0)
    }
}
