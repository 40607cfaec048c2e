//! Putting a complete file into place (docs/spec behaviour.md 11.6, 11.7, 12).

use syncline_fs::{BackupFor, Kind, Object, Place, Stat, Time};
use syncline_options::options::Partial;

use super::apply::{Incoming, Outcome, Target};
use super::attributes::Times;
use super::context::{Context, io_error};
use super::destination::checked;
use super::extras::Dress;
use super::partial::PartialPlace;
use crate::{Error, ExitCode, Result, Role};

/// Backs up what is there, sets attributes, renames.
pub(crate) fn place(
    context: &Context<'_>,
    incoming: &Incoming<'_>,
    place: &Place<'_>,
    existing: Option<&Stat>,
    basis_mode: Option<u32>,
    target: Target<'_>,
) -> Result<Outcome> {
    let entry = incoming.entry;
    let path = checked(incoming.path)?;
    if context.options().data.fsync {
        syncline_fs::sync(target.file(), path)
            .or_else(|error| context.failed(Role::Receiver, &error))?;
    }
    let mode = mode_of(context, incoming, existing, basis_mode)?;
    // Values that did not come are those of what is about to be replaced.
    let dress = context.dress(entry, mode.unwrap_or(entry.mode()), incoming.path);
    let exact = (mode, Times::Exact);
    // What comes from a basis directory is not delayed.
    let delays = context.options().data.delay_updates && incoming.counts.is_some();
    if !delays && !matches!(target, Target::InPlace(_)) && !incoming.redo {
        back_up(context, place, existing)?;
    }
    match target {
        Target::InPlace(file) => {
            let object = Object::opened(&file, place);
            set_attributes(context, incoming, object, exact, &dress)?;
            Ok(Outcome::Placed)
        }
        Target::Temporary(mut temporary) => {
            set_attributes(context, incoming, Object::from(&temporary), exact, &dress)?;
            let partial = PartialPlace::of(context, incoming.path)?;
            if let Some(partial) = partial.as_ref().filter(|_| delays) {
                let renamed =
                    partial.prepare().and_then(|()| temporary.rename_to(&partial.place()?));
                return match renamed {
                    Ok(()) => Ok(Outcome::Delayed),
                    Err(error) => failed(context, &error),
                };
            }
            let mut renamed = temporary.rename_to(place);
            if renamed.as_ref().is_err_and(syncline_fs::Error::is_cross_device) {
                renamed = match temporary.copy_beside(place, &context.temporaries) {
                    Ok(mut copy) => {
                        set_attributes(context, incoming, Object::from(&copy), exact, &dress)?;
                        copy.rename_to(place)
                    }
                    Err(error) => Err(error),
                };
            }
            if let Err(error) = renamed {
                return failed(context, &error);
            }
            context.note_change();
            if let Some(partial) = partial {
                // What was kept of an earlier attempt has served its purpose.
                if let Ok(place) = partial.place() {
                    let _ = place.unlink_if_present();
                }
                partial.tidy();
            }
            Ok(Outcome::Placed)
        }
        Target::Partial(file, partial) => {
            set_attributes(context, incoming, Object::opened(&file, place), exact, &dress)?;
            if delays {
                return Ok(Outcome::Delayed);
            }
            if let Err(error) = partial.place().and_then(|kept| kept.rename_to(place)) {
                return failed(context, &error);
            }
            context.note_change();
            partial.tidy();
            Ok(Outcome::Placed)
        }
    }
}

/// The permissions of new content; `existing` is what it replaces.
fn mode_of(
    context: &Context<'_>,
    incoming: &Incoming<'_>,
    existing: Option<&Stat>,
    basis_mode: Option<u32>,
) -> Result<Option<u32>> {
    let parent = checked(incoming.path)?.parent();
    let regular = existing.filter(|stat| stat.kind() == Kind::File);
    let known = regular.map(|stat| stat.mode).or(basis_mode);
    Ok(context.keep.mode(incoming.entry, known, || context.creation_mask(parent)))
}

/// What was written in place stays though it is not the source's: it gets all that it shall have but the time.
pub(crate) fn retain(
    context: &Context<'_>,
    incoming: &Incoming<'_>,
    object: Object<'_>,
    existing: Option<&Stat>,
) -> Result<()> {
    let mode = mode_of(context, incoming, existing, None)?;
    let dress = context.dress(incoming.entry, mode.unwrap_or(incoming.entry.mode()), incoming.path);
    set_attributes(context, incoming, object, (mode, Times::Kept), &dress).map(drop)
}

/// Moves a file that waited in the partial directory to its name.
pub(crate) fn place_delayed(context: &Context<'_>, path: &[u8]) -> Result<Outcome> {
    let Some(partial) = PartialPlace::of(context, path)? else { return Ok(Outcome::Failed) };
    let place = match context.root()?.place(checked(path)?) {
        Ok(place) => place,
        Err(error) => return failed(context, &error),
    };
    let existing = place.stat_if_present().ok().flatten();
    back_up(context, &place, existing.as_ref())?;
    if let Err(error) = partial.place().and_then(|kept| kept.rename_to(&place)) {
        return failed(context, &error);
    }
    context.note_change();
    partial.tidy();
    Ok(Outcome::Placed)
}

/// Keeps what is about to be replaced. A failure ends the run.
fn back_up(context: &Context<'_>, place: &Place<'_>, existing: Option<&Stat>) -> Result<()> {
    let Some((backups, stat)) = context.backups.as_ref().zip(existing) else { return Ok(()) };
    if stat.is_dir() {
        return Ok(());
    }
    backups.keep(context, place, stat, BackupFor::Replacing).map(drop).map_err(|error| {
        let shown = context.destination.show(place.path().as_bytes());
        let what = format!("backup of \"{}\" failed", String::from_utf8_lossy(&shown));
        Error::system(ExitCode::FILE_IO, Role::Receiver, what, io_error(&error))
    })
}

fn set_attributes(
    context: &Context<'_>,
    incoming: &Incoming<'_>,
    object: Object<'_>,
    how: (Option<u32>, Times),
    dress: &Dress,
) -> Result<bool> {
    let stat = match object.stat() {
        Ok(stat) => stat,
        Err(error) => return context.failed(Role::Receiver, &error).map(|()| false),
    };
    // A copy from a basis directory is the generator's: values that it does not know come with the source's answer.
    let role = if incoming.counts.is_some() { Role::Receiver } else { Role::Generator };
    context.set_dressed(role, incoming.entry, (object, &stat), how, dress)
}

/// What is done with content that is not, or not known to be, the source's: kept where parts are kept, else removed.
pub(crate) fn keep_part(
    context: &Context<'_>,
    incoming: &Incoming<'_>,
    place: &Place<'_>,
    target: Target<'_>,
    worth_it: bool,
) {
    let Target::Temporary(mut temporary) = target else { return };
    if !worth_it {
        return;
    }
    let mode = Some(incoming.entry.mode() & 0o7777).filter(|_| context.keep.perms());
    let set = |mtime: Option<Time>| {
        let object = Object::from(&temporary);
        if let Ok(stat) = object.stat() {
            let umask = context.keep.umask();
            let mode = mode.or(Some(incoming.entry.mode() & 0o777 & !umask));
            let wanted = context.keep.partial_attributes(incoming.entry, mode, mtime);
            // The content is what matters.
            let _ = wanted.apply(object, &stat, &mut |_| {});
        }
    };
    match &context.options().data.partial {
        Partial::Discard => {}
        Partial::Keep => {
            set(Some(Time::default()));
            if let (Some(backups), Ok(Some(stat))) = (&context.backups, place.stat_if_present()) {
                let _ = backups.keep(context, place, &stat, BackupFor::Replacing);
            }
            if temporary.rename_to(place).is_ok() {
                context.note_change();
            }
        }
        Partial::Dir(_) => {
            set(None);
            if let Ok(Some(partial)) = PartialPlace::of(context, incoming.path) {
                let ready = partial.prepare().and_then(|()| partial.place());
                // Where it cannot be kept it goes.
                let _ = ready.and_then(|kept| temporary.rename_to(&kept));
            }
        }
    }
}

fn failed(context: &Context<'_>, error: &syncline_fs::Error) -> Result<Outcome> {
    context.failed(Role::Receiver, error).map(|()| Outcome::Failed)
}
