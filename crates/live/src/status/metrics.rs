//! Prometheus' text (R134).

use std::fmt::{Display, Write as _};

use crate::state::{BOUNDS, Histogram, MirrorSnapshot, Snapshot, State, TargetSnapshot};

/// Everything as Prometheus reads it.
pub(super) fn metrics(snapshot: &Snapshot) -> String {
    let mut text = Text { snapshot, text: String::new() };
    text.head("build_info", "gauge", "The program that runs.");
    text.line("build_info", &[("version", &snapshot.version)], 1);
    text.head("uptime_seconds", "gauge", "How long it has been running.");
    text.line("uptime_seconds", &[], snapshot.uptime_seconds);

    text.of_targets(
        "lag_seconds",
        "gauge",
        "Age of the oldest change that has not arrived.",
        |t| t.lag.seconds,
    );
    text.of_targets("pending_paths", "gauge", "Paths that wait for a target.", |t| t.lag.paths);
    text.head("target_state", "gauge", "The state of a target is the one that is 1.");
    for (mirror, target) in text.targets() {
        for state in State::ALL {
            let labels =
                [("mirror", &*mirror.name), ("target", &target.name), ("state", state.name())];
            text.line("target_state", &labels, u8::from(state == target.state));
        }
    }
    text.split("batches_total", "Sessions by their end.", "result", |t| {
        vec![("ok", t.batches.ok), ("partial", t.batches.partial), ("failed", t.batches.failed)]
    });
    text.split("paths_total", "Paths by what was done to them.", "kind", |t| {
        vec![("changed", t.paths.changed), ("removed", t.paths.removed)]
    });
    text.of_targets("sent_bytes_total", "counter", "Bytes written to a target.", |t| t.bytes.sent);
    text.of_targets("received_bytes_total", "counter", "Bytes read from a target.", |t| {
        t.bytes.received
    });
    text.of_targets("literal_bytes_total", "counter", "Bytes of content sent as they are.", |t| {
        t.bytes.literal
    });
    text.split("renames_total", "Renames by the way they took.", "method", |t| {
        vec![
            ("hard-link", t.renames.hard_link),
            ("link-dest", t.renames.link_dest),
            ("fuzzy", t.renames.fuzzy),
            ("plain", t.renames.plain),
        ]
    });
    text.of_targets("retries_total", "counter", "Attempts after a failure.", |t| t.retries);
    text.of_targets("failed_paths", "gauge", "Paths that a target refuses.", |t| t.failed_paths);
    text.of_targets(
        "drift_paths_total",
        "counter",
        "Paths a comparison found different without a change that was seen.",
        |t| t.drift_paths,
    );
    text.of_targets("journal_bytes", "gauge", "The size of the journal.", |t| t.journal_bytes);
    text.histogram("session_seconds", "How long sessions took.", |t| &t.session);
    text.histogram("visible_seconds", "From a change to its acknowledgement.", |t| &t.visible);

    text.of_mirrors("overflows_total", "counter", "Times the kernel's queue ran over.", |m| {
        m.overflows
    });
    text.head("rescans_total", "counter", "What was looked through again.");
    for mirror in &snapshot.mirrors {
        let rescans = &mirror.rescans;
        for (scope, count) in
            [("directory", rescans.directory), ("subtree", rescans.subtree), ("full", rescans.full)]
        {
            text.line("rescans_total", &[("mirror", &mirror.name), ("scope", scope)], count);
        }
    }
    text.head("hook_runs_total", "counter", "Runs of hooks and events of streams by their end.");
    for mirror in &snapshot.mirrors {
        let hooks = &mirror.hooks;
        for (result, count) in [
            ("ok", hooks.ok),
            ("retried", hooks.retried),
            ("failed", hooks.failed),
            ("dropped", hooks.dropped),
        ] {
            text.line("hook_runs_total", &[("mirror", &mirror.name), ("result", result)], count);
        }
    }
    text.of_mirrors("watches", "gauge", "Directories watched.", |m| m.watches);
    text.of_mirrors("watch_limit", "gauge", "Directories the kernel lets this user watch.", |m| {
        m.watch_limit
    });
    text.of_mirrors(
        "unwatched",
        "gauge",
        "Directories without a watch, looked at by interval.",
        |m| m.polled,
    );
    text.text
}

struct Text<'a> {
    snapshot: &'a Snapshot,
    text: String,
}

impl<'a> Text<'a> {
    fn targets(&self) -> impl Iterator<Item = (&'a MirrorSnapshot, &'a TargetSnapshot)> + use<'a> {
        let mirrors = self.snapshot.mirrors.iter();
        mirrors.flat_map(|mirror| mirror.targets.iter().map(move |target| (mirror, target)))
    }

    fn head(&mut self, name: &str, kind: &str, help: &str) {
        let _ = writeln!(self.text, "# HELP synclive_{name} {help}\n# TYPE synclive_{name} {kind}");
    }

    fn line(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        let _ = write!(self.text, "synclive_{name}");
        for (index, (label, value)) in labels.iter().enumerate() {
            let before = if index == 0 { '{' } else { ',' };
            let value = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            let _ = write!(self.text, "{before}{label}=\"{value}\"");
        }
        let after = if labels.is_empty() { "" } else { "}" };
        let _ = writeln!(self.text, "{after} {value}");
    }

    fn of_mirrors<V: Display>(
        &mut self,
        name: &str,
        kind: &str,
        help: &str,
        value: impl Fn(&MirrorSnapshot) -> V,
    ) {
        self.head(name, kind, help);
        for mirror in &self.snapshot.mirrors {
            self.line(name, &[("mirror", &mirror.name)], value(mirror));
        }
    }

    fn of_targets<V: Display>(
        &mut self,
        name: &str,
        kind: &str,
        help: &str,
        value: impl Fn(&TargetSnapshot) -> V,
    ) {
        self.head(name, kind, help);
        for (mirror, target) in self.targets() {
            self.line(name, &[("mirror", &mirror.name), ("target", &target.name)], value(target));
        }
    }

    /// A counter with one more label.
    fn split(
        &mut self,
        name: &str,
        help: &str,
        label: &str,
        values: impl Fn(&TargetSnapshot) -> Vec<(&'static str, u64)>,
    ) {
        self.head(name, "counter", help);
        for (mirror, target) in self.targets() {
            for (what, count) in values(target) {
                let labels = [("mirror", &*mirror.name), ("target", &target.name), (label, what)];
                self.line(name, &labels, count);
            }
        }
    }

    fn histogram(
        &mut self,
        name: &str,
        help: &str,
        histogram: impl Fn(&TargetSnapshot) -> &Histogram,
    ) {
        self.head(name, "histogram", help);
        for (mirror, target) in self.targets() {
            let labels = [("mirror", &*mirror.name), ("target", &target.name)];
            let histogram = histogram(target);
            let bucket = format!("{name}_bucket");
            let bounds = BOUNDS.iter().map(f64::to_string).chain(["+Inf".to_owned()]);
            let counts = histogram.at_most.iter().chain([&histogram.count]);
            for (bound, count) in bounds.zip(counts) {
                let labels = [labels[0], labels[1], ("le", &*bound)];
                self.line(&bucket, &labels, count);
            }
            self.line(&format!("{name}_sum"), &labels, histogram.sum);
            self.line(&format!("{name}_count"), &labels, histogram.count);
        }
    }
}
