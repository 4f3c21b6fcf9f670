//! Where a webhook is reached, as `k8s.io/apiserver/pkg/util/webhook`.

use serde_json::Value;

use super::checks::port_number;
use super::field::{Error, ErrorList, Path, quote};
use crate::names;
use crate::value::{has, number, part, text};

/// How a URL looks that webhooks may have.
const FORM: &str = "; desired format: https://host[/path]";

/// A client is reached by its URL or as a service, and not by both.
pub(super) fn client(errors: &mut ErrorList, path: &Path, config: &Value) {
    match (has(config, "url"), has(config, "service")) {
        (true, false) => url(errors, &path.child("url"), text(config, "url")),
        (false, true) => service(errors, &path.child("service"), part(config, "service")),
        _ => errors.push(Error::required(path, "exactly one of url or service is required")),
    }
}

/// The service of a webhook: its name, place, port and path.
pub(super) fn service(errors: &mut ErrorList, path: &Path, service: &Value) {
    // Upstream takes the name for the namespace and the namespace for the name.
    for (field, named) in [("namespace", "name"), ("name", "namespace")] {
        if text(service, field).is_empty() {
            errors.push(Error::required(path.child(named), ""));
        }
    }
    let mut wrong = ErrorList::new();
    port_number(&mut wrong, &path.child("port"), number(service, "port").unwrap_or(0));
    for mut error in wrong {
        error.detail.insert_str(0, "port is not valid: ");
        errors.push(error);
    }
    if has(service, "path") {
        url_path(errors, &path.child("path"), text(service, "path"));
    }
}

/// A path whose steps are names.
fn url_path(errors: &mut ErrorList, at: &Path, path: &str) {
    let mut invalid = |detail: String| errors.push(Error::invalid(at, path, detail));
    match path {
        "" | "/" => return,
        "//" => return invalid("segment[0] may not be empty".to_owned()),
        _ => {}
    }
    let mut rest = path.chars();
    if rest.next() != Some('/') {
        invalid("must start with a '/'".to_owned());
    }
    let rest = rest.as_str();
    for (index, step) in rest.strip_suffix('/').unwrap_or(rest).split('/').enumerate() {
        if step.is_empty() {
            invalid(format!("segment[{index}] may not be empty"));
            continue;
        }
        names::subdomain(step).into_iter().for_each(|reason| invalid(format!("segment[{index}]: {reason}")));
    }
}

/// A URL of a host, by https, that says no more than a path.
fn url(errors: &mut ErrorList, path: &Path, url: &str) {
    let parts = match parse(url) {
        Ok(parts) => parts,
        Err(reason) => {
            let detail = format!("url must be a valid URL: parse {}: {reason}{FORM}", quote(url));
            return errors.push(Error::required(path, detail));
        }
    };
    if parts.scheme != "https" {
        let detail = format!("'https' is the only allowed URL scheme{FORM}");
        errors.push(Error::invalid(path, parts.scheme.as_str(), detail));
    }
    if parts.host.is_empty() {
        errors.push(Error::invalid(path, "", format!("host must be specified{FORM}")));
    }
    if let Some(user) = parts.user {
        errors.push(Error::invalid(path, user, "user information is not permitted in the URL"));
    }
    if !parts.fragment.is_empty() {
        errors.push(Error::invalid(path, parts.fragment, "fragments are not permitted in the URL"));
    }
    if !parts.query.is_empty() {
        errors.push(Error::invalid(path, parts.query, "query parameters are not permitted in the URL"));
    }
}

/// What a URL is made of.
struct Parts<'u> {
    scheme: String,
    user: Option<&'u str>,
    host: &'u str,
    query: &'u str,
    fragment: &'u str,
}

/// Takes a URL apart as Go's `net/url` does.
fn parse(url: &str) -> Result<Parts<'_>, String> {
    if url.bytes().any(|byte| byte < b' ' || byte == 0x7f) {
        return Err("net/url: invalid control character in URL".to_owned());
    }
    let (rest, fragment) = url.split_once('#').unwrap_or((url, ""));
    let is_scheme = |text: &str| {
        text.starts_with(|first: char| first.is_ascii_alphabetic())
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
    };
    if rest.starts_with(':') {
        return Err("missing protocol scheme".to_owned());
    }
    let (scheme, rest) = rest.split_once(':').filter(|(scheme, _)| is_scheme(scheme)).unwrap_or(("", rest));
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let authority = rest.strip_prefix("//").map_or("", |rest| rest.split('/').next().unwrap_or_default());
    let (user, host) = match authority.rsplit_once('@') {
        Some((user, host)) => (Some(user), host),
        None => (None, authority),
    };
    let after_address = host.rfind(']').map_or(host, |end| host.get(end..).unwrap_or_default());
    let port = after_address.rsplit_once(':').map(|(_, port)| port);
    if let Some(port) = port.filter(|port| !port.bytes().all(|byte| byte.is_ascii_digit())) {
        return Err(format!("invalid port {} after host", quote(&format!(":{port}"))));
    }
    Ok(Parts { scheme: scheme.to_ascii_lowercase(), user, host, query, fragment })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::testing;
    use super::*;

    #[track_caller]
    fn check(config: &Value, expected: &[&str]) {
        let mut errors = ErrorList::new();
        client(&mut errors, &Path::new("c"), config);
        testing::check(&errors, expected);
    }

    #[test]
    fn a_client_has_one_place() {
        check(&json!({}), &["c: Required value: exactly one of url or service is required"]);
        check(
            &json!({"url": "https://a", "service": {}}),
            &["c: Required value: exactly one of url or service is required"],
        );
        check(&json!({"url": "https://a.example:8443/hook"}), &[]);
        check(&json!({"service": {"name": "a", "namespace": "n", "port": 443, "path": "/hook/"}}), &[]);
    }

    #[test]
    fn urls_are_plain() {
        check(
            &json!({"url": "http://u@/#f"}),
            &[
                "c.url: Invalid value: \"http\": 'https' is the only allowed URL scheme; desired format: https://host[/path]",
                "c.url: Invalid value: \"\": host must be specified; desired format: https://host[/path]",
                "c.url: Invalid value: \"u\": user information is not permitted in the URL",
                "c.url: Invalid value: \"f\": fragments are not permitted in the URL",
            ],
        );
        check(
            &json!({"url": "https://a?b"}),
            &["c.url: Invalid value: \"b\": query parameters are not permitted in the URL"],
        );
        check(
            &json!({"url": "https://a:x"}),
            &[
                "c.url: Required value: url must be a valid URL: parse \"https://a:x\": invalid port \":x\" after host; desired format: https://host[/path]",
            ],
        );
    }

    #[test]
    fn services_are_named() {
        check(
            &json!({"service": {"name": "a", "port": 0, "path": "a//b"}}),
            &[
                "c.service.name: Required value",
                "c.service.port: Invalid value: 0: port is not valid: must be between 1 and 65535, inclusive",
                "c.service.path: Invalid value: \"a//b\": must start with a '/'",
                "c.service.path: Invalid value: \"a//b\": segment[0] may not be empty",
                "c.service.path: Invalid value: \"a//b\": segment[1] may not be empty",
            ],
        );
    }
}
