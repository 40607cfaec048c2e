//! The page: everything at one look, without a script, a form or anything from elsewhere (R144).

use std::fmt::{self, Display, Write as _};

use super::text::{bytes, number, polled, seconds};
use crate::state::{
    Concern, ErrorSnapshot, LagSample, MirrorSnapshot, Snapshot, State, TargetSnapshot,
};

const STYLE: &str = include_str!("page.css");

/// The height and width of a graph.
const HEIGHT: f64 = 48.0;
const WIDTH: f64 = 240.0;

/// Samples of an hour.
const SAMPLES: usize = 120;

/// The page.
pub(super) fn page(snapshot: &Snapshot) -> String {
    let targets = || snapshot.mirrors.iter().flat_map(|mirror| &mirror.targets);
    let all = targets().count();
    let live = targets().filter(|target| target.state == State::Live).count();
    let trouble = targets().filter(|target| target.state.concern() == Concern::Trouble).count();
    let summary = match (all, trouble) {
        (0, _) => "no target".to_owned(),
        (_, 0) if live == all => format!("all {all} live"),
        (_, 0) => format!("{live} of {all} live"),
        _ => format!("{live} of {all} live, {trouble} in trouble"),
    };
    let mut html = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <meta http-equiv=\"refresh\" content=\"5\">\n\
         <title>synclive: {summary}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n\
         <header class=\"top\"><h1>synclive</h1><p class=\"summary {class}\">{summary}</p>\
         <p class=\"quiet\">version {version}, running for {uptime}, as of {time}</p></header>\n<main>\n",
        class = class(snapshot.concern()),
        version = Escaped(&snapshot.version),
        uptime = seconds(snapshot.uptime_seconds),
        time = Escaped(&snapshot.time),
    );
    for mirror in &snapshot.mirrors {
        put_mirror(&mut html, mirror);
    }
    if snapshot.mirrors.is_empty() {
        html += "<p>There is no mirror.</p>\n";
    }
    html += "</main>\n<footer class=\"quiet\">Also here: <a href=\"/metrics\">metrics</a> for Prometheus, \
             <a href=\"/healthz\">health</a> for load balancers, <a href=\"/status.json\">JSON</a>.</footer>\n\
             </body>\n</html>\n";
    html
}

fn put_mirror(html: &mut String, mirror: &MirrorSnapshot) {
    let mut facts = vec![if mirror.watching {
        format!("{} directories watched{}", number(mirror.watches), polled(mirror))
    } else {
        "watches are being made".to_owned()
    }];
    let rescans = mirror.rescans.directory + mirror.rescans.subtree + mirror.rescans.full;
    for (count, what) in [
        (mirror.overflows, "overflows"),
        (rescans, "rescans"),
        (mirror.hooks.ok, "hooks run"),
        (mirror.hooks.failed, "hooks failed"),
        (mirror.hooks.dropped, "changes not told to hooks"),
    ] {
        if count > 0 {
            facts.push(format!("{what}: {}", number(count)));
        }
    }
    let _ = write!(html, "<section>\n<h2>{}</h2>\n<p class=\"quiet\">", Escaped(&mirror.name));
    if mirror.name != mirror.source {
        let _ = write!(html, "<code>{}</code> · ", Escaped(&mirror.source));
    }
    let _ = writeln!(html, "{}</p>\n<div class=\"targets\">", facts.join(" · "));
    for target in &mirror.targets {
        put_target(html, target);
    }
    *html += "</div>\n";
    put_errors(html, "Last failures of hooks", &mirror.hook_errors);
    *html += "</section>\n";
}

fn put_target(html: &mut String, target: &TargetSnapshot) {
    let class = class(target.state.concern());
    let _ = writeln!(
        html,
        "<article class=\"{class}\">\n<div class=\"head\"><h3>{}</h3><span class=\"state\" \
         title=\"for {}\">{}</span></div>",
        Escaped(&target.name),
        seconds(target.state_seconds),
        target.state.name(),
    );
    if target.name != target.url {
        let _ = writeln!(html, "<p class=\"quiet\"><code>{}</code></p>", Escaped(&target.url));
    }
    if !target.reason.is_empty() {
        let _ = write!(html, "<p class=\"reason\">{}", Escaped(&target.reason));
        if let Some(next) = target.next_attempt_seconds {
            let _ = write!(html, "; next attempt in {}", seconds(next));
        }
        *html += "</p>\n";
    }
    let last = target
        .last_batch_seconds
        .map_or_else(|| "none yet".to_owned(), |ago| format!("{} ago", seconds(ago)));
    let _ = writeln!(
        html,
        "<dl class=\"now\"><div><dt>lag</dt><dd>{}</dd></div><div><dt>waiting</dt><dd>{}</dd></div>\
         <div><dt>last batch</dt><dd>{last}</dd></div></dl>",
        seconds(target.lag.seconds),
        number(target.lag.paths),
    );
    put_graph(html, &target.lag_history);
    if let Some(progress) = &target.progress {
        let _ = writeln!(
            html,
            "<p class=\"progress\"><progress value=\"{}\" max=\"{}\"></progress> {} of {}: <code>{}</code></p>",
            progress.done,
            progress.total.max(1),
            bytes(progress.done),
            bytes(progress.total),
            Escaped(&progress.path),
        );
    }
    put_facts(html, target);
    put_errors(html, "Last errors", &target.errors);
    if !target.failed_samples.is_empty() {
        let _ = writeln!(
            html,
            "<details><summary>{} paths that the target refuses</summary><ul>",
            number(target.failed_paths)
        );
        for path in &target.failed_samples {
            let _ = writeln!(html, "<li><code>{}</code></li>", Escaped(path));
        }
        *html += "</ul></details>\n";
    }
    *html += "</article>\n";
}

fn put_facts(html: &mut String, target: &TargetSnapshot) {
    let sessions = target.batches.ok + target.batches.partial + target.batches.failed;
    let mut facts = vec![
        ("sessions", number(sessions)),
        ("changed", number(target.paths.changed)),
        ("removed", number(target.paths.removed)),
        ("sent", bytes(target.bytes.sent)),
    ];
    let renames = target.renames;
    let renames = renames.hard_link + renames.link_dest + renames.fuzzy + renames.plain;
    for (what, count) in [
        ("renamed", renames),
        ("in part", target.batches.partial),
        ("failed", target.batches.failed),
        ("retries", target.retries),
        ("drift", target.drift_paths),
    ] {
        if count > 0 {
            facts.push((what, number(count)));
        }
    }
    if let Some(half) = target.visible.quantile(0.5) {
        facts.push(("half arrive within", seconds(half)));
    }
    *html += "<dl class=\"facts\">";
    for (what, value) in facts {
        let _ = write!(html, "<div><dt>{what}</dt><dd>{value}</dd></div>");
    }
    *html += "</dl>\n";
}

fn put_errors(html: &mut String, title: &str, errors: &[ErrorSnapshot]) {
    if errors.is_empty() {
        return;
    }
    let _ = writeln!(html, "<h4>{title}</h4>\n<ul class=\"errors\">");
    for error in errors {
        let times = if error.times > 1 { format!(" ×{}", error.times) } else { String::new() };
        let _ = writeln!(
            html,
            "<li><span class=\"quiet\">{} ago{times}</span> {}</li>",
            seconds(error.seconds_ago),
            Escaped(&error.text)
        );
    }
    *html += "</ul>\n";
}

/// The last hour: now is at the right, and a second is the least that fills the height.
fn put_graph(html: &mut String, history: &[LagSample]) {
    let worst = history.iter().map(|sample| sample.seconds).fold(0.0, f64::max);
    let top = worst.max(1.0);
    let step = WIDTH / (SAMPLES - 1) as f64;
    let first = SAMPLES.saturating_sub(history.len());
    let (mut line, mut last) = (String::new(), 0.0);
    let begin = first as f64 * step;
    for (index, sample) in history.iter().enumerate() {
        last = (first + index) as f64 * step;
        let y = (HEIGHT - 1.0) - (HEIGHT - 4.0) * (sample.seconds / top);
        let _ = write!(line, "{}{last:.1} {y:.1}", if index == 0 { "" } else { " L" });
    }
    if history.len() == 1 {
        let _ = write!(line, " h-1");
    }
    let worst = seconds(worst);
    let _ = writeln!(
        html,
        "<figure><svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" preserveAspectRatio=\"none\" role=\"img\" \
         aria-label=\"lag over the last hour, at most {worst}\"><path class=\"area\" \
         d=\"M{begin:.1} {HEIGHT} L{line} L{last:.1} {HEIGHT} Z\"/><path class=\"line\" d=\"M{line}\"/></svg>\
         <figcaption><span>an hour ago</span><span>worst {worst}</span><span>now</span></figcaption></figure>"
    );
}

fn class(concern: Concern) -> &'static str {
    match concern {
        Concern::None => "good",
        Concern::Wait => "wait",
        Concern::Trouble => "trouble",
    }
}

/// Text that cannot become markup.
struct Escaped<'a>(&'a str);

impl Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for character in self.0.chars() {
            match character {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                control if control.is_control() => f.write_char('\u{fffd}')?,
                plain => f.write_char(plain)?,
            }
        }
        Ok(())
    }
}
