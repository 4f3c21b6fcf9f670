//! What a registry asks for when it says 401: the `WWW-Authenticate` header as a value.

/// The longest header that is read; longer ones are no challenge that we can answer.
const LENGTH_MAX: usize = 8 << 10;

/// How a registry wants to know who asks.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Challenge {
    /// User and password with each request.
    Basic,
    /// A token, to be fetched at `realm`.
    Bearer { realm: String, service: Option<String>, scope: Option<String> },
}

/// Reads the header; a token is preferred where both are offered. `None` when it asks for something else.
pub(super) fn parse(header: &str) -> Option<Challenge> {
    if header.len() > LENGTH_MAX {
        return None;
    }
    let mut basic = None;
    let mut rest = header.trim_start();
    while !rest.is_empty() {
        let end = rest.find([' ', ',']).unwrap_or(rest.len());
        let (scheme, after) = rest.split_at(end);
        let (parameters, after) = parameters(after);
        let value = |name: &str| {
            parameters.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.clone())
        };
        if scheme.eq_ignore_ascii_case("bearer")
            && let Some(realm) = value("realm")
        {
            return Some(Challenge::Bearer { realm, service: value("service"), scope: value("scope") });
        }
        if scheme.eq_ignore_ascii_case("basic") {
            basic = Some(Challenge::Basic);
        }
        rest = after;
    }
    basic
}

/// Reads `key="value", key=value` up to the next scheme, and gives what is left.
fn parameters(text: &str) -> (Vec<(String, String)>, &str) {
    let mut found = Vec::new();
    let mut rest = text.trim_start_matches([' ', ',']);
    // A word that is followed by `=` is a key; one that is not begins the next challenge.
    while let Some((key, after)) = rest.split_once('=').filter(|(key, _)| !key.trim().contains([' ', ','])) {
        let (value, after) = match after.trim_start().strip_prefix('"') {
            Some(quoted) => quoted_value(quoted),
            None => {
                let after = after.trim_start();
                let (value, after) = after.split_at(after.find(',').unwrap_or(after.len()));
                (value.trim().to_owned(), after)
            }
        };
        found.push((key.trim().to_owned(), value));
        rest = after.trim_start_matches([' ', ',']);
    }
    (found, rest)
}

/// The value up to its closing quote, a backslash protecting the next character.
fn quoted_value(text: &str) -> (String, &str) {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return (value, text.get(at + 1..).unwrap_or_default()),
            '\\' => value.extend(chars.next().map(|(_, protected)| protected)),
            _ => value.push(c),
        }
    }
    (value, "")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bearer(realm: &str, service: Option<&str>, scope: Option<&str>) -> Option<Challenge> {
        Some(Challenge::Bearer {
            realm: realm.to_owned(),
            service: service.map(str::to_owned),
            scope: scope.map(str::to_owned),
        })
    }

    #[test]
    fn challenges_of_real_registries_are_read() {
        let hub = r#"Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:a/b:pull,push""#;
        let expected =
            bearer("https://auth.docker.io/token", Some("registry.docker.io"), Some("repository:a/b:pull,push"));
        assert_eq!(parse(hub), expected);
        assert_eq!(parse(r#"Basic realm="minke""#), Some(Challenge::Basic));
        assert_eq!(parse("basic"), Some(Challenge::Basic));
        assert_eq!(parse(r#"bearer Realm = "r" , service = s"#), bearer("r", Some("s"), None));
        assert_eq!(parse(r#"Basic realm="a", Bearer realm="b""#), bearer("b", None, None));
        assert_eq!(parse(r#"Bearer realm="a\"b""#), bearer("a\"b", None, None));
    }

    #[test]
    fn what_is_no_challenge_is_not_answered() {
        for header in ["", "Negotiate", "Bearer", "Bearer scope=x", "=", ",,,", "\"", &"x=".repeat(9000)] {
            assert_eq!(parse(header), None, "{header:.40}");
        }
    }
}
