//! Attributes (cli.md 3.5).

use super::Effect::{Count, Custom, Switch, Text as Keep};
use super::{Category, Hint, OptionId, Row, Sent};
use crate::error::UsageError;
use crate::options::SuperUser;

const fn under(row: Row) -> Row {
    row.under(Category::Attributes)
}

pub(super) const ROWS: &[Row] = &[
    under(Row::flag(OptionId::Perms, &["perms"], "keep permissions"))
        .short(b'p')
        .off(&["no-perms", "no-p"])
        .sent(Sent::Both)
        .does(Switch(|d| &mut d.o.attributes.perms)),
    under(Row::flag(OptionId::Executability, &["executability"], "keep whether a file is executable"))
        .short(b'E')
        .sent(Sent::Push)
        .does(Switch(|d| &mut d.o.attributes.executability)),
    under(Row::text(OptionId::Chmod, &["chmod"], "CHANGES", "change permissions on the way"))
        .more("As chmod(1) takes them; D before an item limits it to directories, F to everything else.")
        .does(Custom(|d, o| {
            let text = o.text();
            d.o.attributes.chmod.append(text).ok_or_else(|| UsageError::Chmod(text.to_vec()))
        })),
    under(Row::flag(OptionId::Acls, &["acls"], "keep access control lists (implies --perms)"))
        .short(b'A')
        .off(&["no-acls", "no-A"])
        .sent(Sent::Both)
        .does(Custom(|d, o| {
            d.o.attributes.acls = !o.negative();
            d.o.attributes.perms |= !o.negative();
            Ok(())
        })),
    under(Row::flag(OptionId::Xattrs, &["xattrs"], "keep extended attributes"))
        .short(b'X')
        .off(&["no-xattrs", "no-X"])
        .sent(Sent::Both)
        .does(Count(|d| &mut d.o.attributes.xattrs)),
    under(Row::flag(OptionId::Times, &["times"], "keep modification times"))
        .short(b't')
        .off(&["no-times", "no-t"])
        .sent(Sent::Both)
        .does(Switch(|d| &mut d.o.attributes.times)),
    under(Row::flag(OptionId::Atimes, &["atimes"], "keep times of last use"))
        .short(b'U')
        .off(&["no-atimes", "no-U"])
        .sent(Sent::Both)
        .does(Custom(|d, o| {
            let attributes = &mut d.o.attributes;
            attributes.atimes = if o.negative() { 0 } else { attributes.atimes.saturating_add(1) };
            attributes.open_noatime |= attributes.atimes > 1;
            Ok(())
        })),
    under(Row::flag(OptionId::OpenNoatime, &["open-noatime"], "read files without changing their time of last use"))
        .off(&["no-open-noatime"])
        .sent(Sent::Both)
        .does(Switch(|d| &mut d.o.attributes.open_noatime)),
    under(Row::flag(OptionId::Crtimes, &["crtimes"], "keep creation times (where the system can set them)"))
        .short(b'N')
        .off(&["no-crtimes", "no-N"])
        .sent(Sent::Both)
        .does(Custom(|d, o| {
            if o.negative() {
                return Ok(());
            }
            Err(UsageError::Unsupported { option: o.row.shown(), server: d.server.is_some() })
        })),
    under(Row::flag(OptionId::OmitDirTimes, &["omit-dir-times"], "leave directories out of --times"))
        .short(b'O')
        .off(&["no-omit-dir-times", "no-O"])
        .sent(Sent::Push)
        .does(Switch(|d| &mut d.o.attributes.omit_dir_times)),
    under(Row::flag(OptionId::OmitLinkTimes, &["omit-link-times"], "leave symlinks out of --times"))
        .short(b'J')
        .off(&["no-omit-link-times", "no-J"])
        .sent(Sent::Push)
        .does(Switch(|d| &mut d.o.attributes.omit_link_times)),
    under(Row::flag(OptionId::Owner, &["owner"], "keep the owner (needs root at the destination)"))
        .short(b'o')
        .off(&["no-owner", "no-o"])
        .sent(Sent::Both)
        .does(Switch(|d| &mut d.o.attributes.owner)),
    under(Row::flag(OptionId::Group, &["group"], "keep the group"))
        .short(b'g')
        .off(&["no-group", "no-g"])
        .sent(Sent::Both)
        .does(Switch(|d| &mut d.o.attributes.group)),
    under(Row::flag(OptionId::DevicesAndSpecials, &[], "both --devices and --specials"))
        .short(b'D')
        .off(&["no-D"])
        .sent(Sent::Both)
        .does(Custom(|d, o| {
            d.o.attributes.devices = !o.negative();
            d.o.attributes.specials = !o.negative();
            Ok(())
        })),
    under(Row::flag(OptionId::Devices, &["devices"], "keep device files (needs root at the destination)"))
        .off(&["no-devices"])
        .sent(Sent::Both)
        .does(Switch(|d| &mut d.o.attributes.devices)),
    under(Row::flag(OptionId::Specials, &["specials"], "keep sockets and named pipes"))
        .off(&["no-specials"])
        .sent(Sent::Both)
        .does(Switch(|d| &mut d.o.attributes.specials)),
    under(Row::flag(OptionId::CopyDevices, &["copy-devices"], "read devices as if they were files"))
        .refused_by_name()
        .sent(Sent::Pull)
        .does(Switch(|d| &mut d.o.attributes.copy_devices)),
    under(Row::flag(OptionId::WriteDevices, &["write-devices"], "write to devices as if they were files (implies --inplace)"))
        .off(&["no-write-devices"])
        .refused_by_name()
        .sent(Sent::Push)
        .does(Switch(|d| &mut d.o.attributes.write_devices)),
    under(Row::flag(OptionId::DropDevices, &["drop-D"], "create no devices and special files, whatever is sent"))
        .off(&["no-drop-D"])
        .does(Switch(|d| &mut d.o.attributes.drop_devices)),
    under(Row::flag(OptionId::Super, &["super"], "try what only root may do"))
        .off(&["no-super"])
        .sent(Sent::Push)
        .does(Custom(|d, o| {
            d.o.attributes.super_user = if o.negative() { SuperUser::No } else { SuperUser::Yes };
            Ok(())
        })),
    under(Row::flag(OptionId::FakeSuper, &["fake-super"], "keep what only root may set in extended attributes"))
        .does(Custom(|d, _| {
            d.o.attributes.super_user = SuperUser::Fake;
            Ok(())
        })),
    under(Row::flag(OptionId::Links, &["links"], "copy symlinks as symlinks"))
        .short(b'l')
        .off(&["no-links", "no-l"])
        .sent(Sent::Both)
        .does(Switch(|d| &mut d.o.attributes.links)),
    under(Row::flag(OptionId::CopyLinks, &["copy-links"], "copy what symlinks point to"))
        .short(b'L')
        .sent(Sent::Pull)
        .does(Switch(|d| &mut d.o.attributes.copy_links)),
    under(Row::flag(OptionId::CopyUnsafeLinks, &["copy-unsafe-links"], "copy what symlinks to outside the tree point to"))
        .sent(Sent::Both)
        .does(Switch(|d| &mut d.o.attributes.copy_unsafe_links)),
    under(Row::flag(OptionId::SafeLinks, &["safe-links"], "leave out symlinks to outside the tree"))
        .sent(Sent::Both)
        .does(Switch(|d| &mut d.o.attributes.safe_links)),
    under(Row::flag(OptionId::CopyDirlinks, &["copy-dirlinks"], "copy a symlink to a directory as a directory"))
        .short(b'k')
        .sent(Sent::Pull)
        .does(Switch(|d| &mut d.o.attributes.copy_dirlinks)),
    under(Row::flag(OptionId::KeepDirlinks, &["keep-dirlinks"], "a symlink to a directory may stand for a directory at the destination"))
        .short(b'K')
        .sent(Sent::Push)
        .does(Switch(|d| &mut d.o.attributes.keep_dirlinks)),
    under(Row::flag(OptionId::MungeLinks, &["munge-links"], "make symlinks harmless, and whole again on the way back"))
        .off(&["no-munge-links"])
        .does(Custom(|d, o| {
            d.o.attributes.munge_links = Some(!o.negative());
            Ok(())
        })),
    under(Row::flag(OptionId::InsecureLinks, &["insecure-links"], "follow anybody's symlinks in files and directories named by options"))
        .off(&["no-insecure-links"])
        .does(Switch(|d| &mut d.o.attributes.insecure_links)),
    under(Row::text(OptionId::ConfineRoot, &["confine-root"], "DIR", "files and directories named by options must be inside DIR"))
        .hint(Hint::Directory)
        .does(Keep(|d| &mut d.o.attributes.confine_root)),
    under(Row::flag(OptionId::HardLinks, &["hard-links"], "keep hard links"))
        .short(b'H')
        .off(&["no-hard-links", "no-H"])
        .sent(Sent::Both)
        .does(Count(|d| &mut d.o.attributes.hard_links)),
    under(Row::flag(OptionId::NumericIds, &["numeric-ids"], "keep owners and groups by number, not by name"))
        .off(&["no-numeric-ids"])
        .sent(Sent::Both)
        .does(Switch(|d| &mut d.o.attributes.numeric_ids)),
    under(Row::text(OptionId::Usermap, &["usermap"], "MAP", "map owners: comma-separated FROM:TO"))
        .sent(Sent::Push)
        .does(Custom(|d, o| d.usermap(o.text()))),
    under(Row::text(OptionId::Groupmap, &["groupmap"], "MAP", "map groups: comma-separated FROM:TO"))
        .sent(Sent::Push)
        .does(Custom(|d, o| d.groupmap(o.text()))),
    under(Row::text(OptionId::Chown, &["chown"], "USER:GROUP", "give everything to this owner and group"))
        .sent(Sent::Push)
        .does(Custom(|d, o| d.chown(o.text()))),
    under(Row::text(OptionId::CopyAs, &["copy-as"], "USER[:GROUP]", "become this user before touching files"))
        .does(Keep(|d| &mut d.o.attributes.copy_as)),
];
