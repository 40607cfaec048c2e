//! sersync's regular expressions as rsync patterns, where they have one of the usual shapes (live.md 7.1).

/// The pattern, without `- ` or `+ `; `None` if the expression has another shape.
pub(super) fn pattern(expression: &str) -> Option<String> {
    if let Some(rest) = expression.strip_prefix('^') {
        let name = rest.strip_suffix("/*").or_else(|| rest.strip_suffix("/(.*)"))?;
        return literal(name).map(|name| format!("/{name}/"));
    }
    let rest = expression.strip_prefix("(.*)")?;
    if let Some(middle) = rest.strip_suffix("(.*)") {
        match middle.strip_prefix('/').and_then(|middle| middle.strip_suffix('/')) {
            Some(name) => literal(name).map(|name| format!("{name}/")),
            None => literal(middle).map(|name| format!("*{name}*")),
        }
    } else {
        let extension = literal(rest).filter(|extension| extension.starts_with('.'))?;
        Some(format!("*{extension}"))
    }
}

/// Whether the expression hides a directory that is there at the start, whose name then ends in a slash.
pub(super) fn hides_directories(expression: &str) -> bool {
    ["/*", "(.*)", ".*"].iter().any(|end| expression.ends_with(end))
}

/// A name that means itself in both languages.
fn literal(expression: &str) -> Option<String> {
    let mut name = String::new();
    let mut characters = expression.chars();
    while let Some(character) = characters.next() {
        let escaped = character == '\\';
        let character = if escaped { characters.next()? } else { character };
        match character {
            '.' | '-' if escaped => name.push(character),
            '-' | '_' | ' ' | ',' | '~' | '@' | '=' | '#' if !escaped => name.push(character),
            plain if !escaped && (plain.is_alphanumeric()) => name.push(plain),
            _ => return None,
        }
    }
    (!name.is_empty()).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usual_shapes_become_patterns() {
        for (expression, expected) in [
            (r"(.*)\.svn", Some("*.svn")),
            (r"(.*)\.tar\.gz", Some("*.tar.gz")),
            ("^info/*", Some("/info/")),
            ("^static/(.*)", Some("/static/")),
            ("(.*)cache(.*)", Some("*cache*")),
            ("(.*)/tmp/(.*)", Some("tmp/")),
            ("(.*)gz", None),
            ("(.*).gz", None),
            ("^info", None),
            ("^a|b/*", None),
            (r"(.*)\d(.*)", None),
            ("(.*)(.*)", None),
            ("", None),
        ] {
            assert_eq!(pattern(expression).as_deref(), expected, "{expression}");
        }
    }
}
