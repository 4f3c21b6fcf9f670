//! What names, label keys and values may look like, with upstream's messages.
//!
//! Each check answers with what is wrong, as sentences that follow a field error's `Invalid value: "x": `; an empty
//! list means that all is well.

use std::net::IpAddr;

/// Bytes in a DNS label, by RFC 1123.
pub const LABEL_BYTES_MAX: usize = 63;
/// Bytes in a DNS subdomain, by RFC 1123.
pub const SUBDOMAIN_BYTES_MAX: usize = 253;
/// Bytes in the name part of a qualified name, and in a label value.
pub const QUALIFIED_NAME_BYTES_MAX: usize = 63;
/// Bytes of a name made from `generateName`: upstream leaves the suffix room within a DNS label.
pub const GENERATED_NAME_BYTES_MAX: usize = 63;
/// Random characters behind a `generateName`.
pub const GENERATED_SUFFIX_BYTES: usize = 5;

/// The characters of generated suffixes: no vowels and no lookalikes, so that no words arise.
const SUFFIX_ALPHABET: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";

const LABEL_FORM: &str = "[a-z0-9]([-a-z0-9]*[a-z0-9])?";
const LABEL_MESSAGE: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character";
const LABEL_1035_FORM: &str = "[a-z]([-a-z0-9]*[a-z0-9])?";
const LABEL_1035_MESSAGE: &str = "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character";
const SUBDOMAIN_MESSAGE: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character";
const QUALIFIED_FORM: &str = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]";
const QUALIFIED_MESSAGE: &str =
    "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character";
const VALUE_MESSAGE: &str = "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character";
const KEY_MESSAGE: &str = "a valid config key must consist of alphanumeric characters, '-', '_' or '.'";
const VARIABLE_MESSAGE: &str =
    "a valid environment variable name must consist only of printable ASCII characters other than '='";
const HEADER_MESSAGE: &str = "a valid HTTP header must consist of alphanumeric characters or '-'";
const SEARCH_FORM: &str = "_?[a-z0-9]([-_a-z0-9]*[a-z0-9])?";
const SEARCH_MESSAGE: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, an underscore ('_'), '-' or '.', and must start and end with an alphanumeric character";
const EMPTY: &str = "must be non-empty";

/// What names the objects of a kind may have.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum NameRule {
    /// Labels joined by dots: most kinds.
    Subdomain,
    /// A DNS label: namespaces, and services since upstream's 1.36 no longer asks for a letter first.
    Label,
    /// Whatever fits into a path: events and requests for certificates.
    PathSegment,
    /// An address in its one form.
    Address,
}

impl NameRule {
    /// What is wrong with a name.
    #[must_use]
    pub fn check(self, name: &str) -> Vec<String> {
        match self {
            Self::Subdomain => subdomain(name),
            Self::Label => label(name),
            Self::PathSegment => path_segment(name),
            Self::Address => address(name),
        }
    }

    /// What is wrong with a `generateName`, which may end where a name may not.
    #[must_use]
    pub fn check_prefix(self, prefix: &str) -> Vec<String> {
        match self {
            Self::PathSegment => path_segment_prefix(prefix),
            Self::Address => address(prefix),
            _ if prefix.len() > 1 && prefix.ends_with('-') => {
                // What follows is alphanumeric, so a trailing dash is as good as a letter.
                self.check(&format!("{}a", prefix.strip_suffix('-').unwrap_or(prefix)))
            }
            _ => self.check(prefix),
        }
    }
}

/// What is wrong with a DNS-1035 label, which begins with a letter.
#[must_use]
pub fn label_1035(text: &str) -> Vec<String> {
    let mut wrong = too_long(text, LABEL_BYTES_MAX);
    if !is_label(text) || !text.starts_with(|first: char| first.is_ascii_lowercase()) {
        wrong.push(form(LABEL_1035_MESSAGE, LABEL_1035_FORM, &["my-name", "abc-123"]));
    }
    wrong
}

/// What is wrong with a DNS-1123 label.
#[must_use]
pub fn label(text: &str) -> Vec<String> {
    let mut wrong = too_long(text, LABEL_BYTES_MAX);
    if !is_label(text) {
        if is_subdomain(text) {
            wrong.push("must not contain dots".to_owned());
        } else {
            wrong.push(form(LABEL_MESSAGE, LABEL_FORM, &["my-name", "123-abc"]));
        }
    }
    wrong
}

/// What is wrong with an address.
fn address(text: &str) -> Vec<String> {
    let wrong = match text.parse::<IpAddr>() {
        Err(_) => Some("must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)".to_owned()),
        Ok(IpAddr::V6(address)) if address.to_ipv4_mapped().is_some() => {
            Some("must not be an IPv4-mapped IPv6 address".to_owned())
        }
        Ok(address) => {
            let canonical = address.to_string();
            (canonical != text).then(|| format!("must be in canonical form (\"{canonical}\")"))
        }
    };
    wrong.into_iter().collect()
}

/// What is wrong with a DNS-1123 subdomain.
#[must_use]
pub fn subdomain(text: &str) -> Vec<String> {
    let mut wrong = too_long(text, SUBDOMAIN_BYTES_MAX);
    if !is_subdomain(text) {
        wrong.push(form(SUBDOMAIN_MESSAGE, &format!("{LABEL_FORM}(\\.{LABEL_FORM})*"), &["example.com"]));
    }
    wrong
}

/// What is wrong with a name that stands in a path.
#[must_use]
pub fn path_segment(text: &str) -> Vec<String> {
    if text == "." || text == ".." {
        return vec![format!("may not be '{text}'")];
    }
    path_segment_prefix(text)
}

fn path_segment_prefix(text: &str) -> Vec<String> {
    ["/", "%"].iter().filter(|bad| text.contains(**bad)).map(|bad| format!("may not contain '{bad}'")).collect()
}

/// What is wrong with a label or annotation key: `name` or `example.com/name`.
#[must_use]
pub fn qualified_name(text: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    let parts: Vec<&str> = text.split('/').collect();
    let name = match parts.as_slice() {
        [name] => name,
        [prefix, name] => {
            if prefix.is_empty() {
                wrong.push(format!("prefix part {EMPTY}"));
            } else {
                wrong.extend(subdomain(prefix).iter().map(|reason| format!("prefix part {reason}")));
            }
            name
        }
        _ => {
            let examples = ["MyName", "my.name", "123-abc"];
            let name = form(&format!("a valid label key {QUALIFIED_MESSAGE}"), QUALIFIED_FORM, &examples);
            return vec![format!("{name} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')")];
        }
    };
    if name.is_empty() {
        wrong.push(format!("name part {EMPTY}"));
    } else if name.len() > QUALIFIED_NAME_BYTES_MAX {
        wrong.push(format!("name part must be no more than {QUALIFIED_NAME_BYTES_MAX} characters"));
    }
    if !is_qualified(name) {
        wrong.push(format!("name part {}", form(QUALIFIED_MESSAGE, QUALIFIED_FORM, &["MyName", "my.name", "123-abc"])));
    }
    wrong
}

/// What is wrong with a label's value.
#[must_use]
pub fn label_value(text: &str) -> Vec<String> {
    let mut wrong = too_long(text, QUALIFIED_NAME_BYTES_MAX);
    if !(text.is_empty() || is_qualified(text)) {
        wrong.push(form(VALUE_MESSAGE, &format!("({QUALIFIED_FORM})?"), &["MyValue", "my_value", "12345"]));
    }
    wrong
}

/// What is wrong with a key of a ConfigMap or Secret.
#[must_use]
pub fn config_key(text: &str) -> Vec<String> {
    let mut wrong = too_long(text, SUBDOMAIN_BYTES_MAX);
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b)) {
        wrong.push(form(KEY_MESSAGE, "[-._a-zA-Z0-9]+", &["key.name", "KEY_NAME", "key-name"]));
    }
    match text {
        "." => wrong.push("must not be '.'".to_owned()),
        ".." => wrong.push("must not be '..'".to_owned()),
        other if other.starts_with("..") => wrong.push("must not start with '..'".to_owned()),
        _ => {}
    }
    wrong
}

/// What is wrong with the name of a variable, or what such names begin with.
#[must_use]
pub fn variable(text: &str) -> Vec<String> {
    if text.is_empty() {
        return vec![format!("environment variable name {EMPTY}")];
    }
    let is_good = |byte: u8| (byte.is_ascii_graphic() || byte == b' ') && byte != b'=';
    if text.bytes().all(is_good) { Vec::new() } else { vec![VARIABLE_MESSAGE.to_owned()] }
}

/// What is wrong with the name of an HTTP header.
#[must_use]
pub fn http_header(text: &str) -> Vec<String> {
    if !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') {
        return Vec::new();
    }
    vec![form(HEADER_MESSAGE, "[-A-Za-z0-9]+", &["X-Header-Name"])]
}

/// What is wrong with a domain in a search list: a subdomain whose labels may hold underscores.
#[must_use]
pub fn search_domain(text: &str) -> Vec<String> {
    let mut wrong = too_long(text, SUBDOMAIN_BYTES_MAX);
    let is_good = |part: &str| {
        let part = part.strip_prefix('_').unwrap_or(part);
        // Within a label an underscore is as good as a dash.
        is_label(&part.replace('_', "-"))
    };
    if !text.split('.').all(is_good) {
        wrong.push(form(SEARCH_MESSAGE, &format!("{SEARCH_FORM}(\\.{SEARCH_FORM})*"), &["example.com"]));
    }
    wrong
}

/// Upstream's sentence about a form: what it must be, examples, and the regular expression.
#[must_use]
pub fn form(message: &str, expression: &str, examples: &[&str]) -> String {
    if examples.is_empty() {
        return format!("{message} (regex used for validation is '{expression}')");
    }
    let examples: Vec<String> = examples.iter().map(|example| format!("'{example}', ")).collect();
    format!("{message} (e.g. {}regex used for validation is '{expression}')", examples.join(" or "))
}

/// The random part of a generated name, from random bytes.
#[must_use]
pub fn generated_suffix(random: [u8; GENERATED_SUFFIX_BYTES]) -> String {
    let letter = |byte: &u8| SUFFIX_ALPHABET.get(usize::from(*byte) % SUFFIX_ALPHABET.len());
    random.iter().filter_map(letter).map(|letter| char::from(*letter)).collect()
}

/// A name from a `generateName`: the prefix, cut so that the suffix fits within a label, and the suffix.
#[must_use]
pub fn generated_name(prefix: &str, suffix: &str) -> String {
    let room = GENERATED_NAME_BYTES_MAX.saturating_sub(suffix.len());
    let cut = prefix.floor_char_boundary(room);
    format!("{}{suffix}", prefix.get(..cut).unwrap_or(prefix))
}

fn too_long(text: &str, max: usize) -> Vec<String> {
    if text.len() > max { vec![format!("must be no more than {max} characters")] } else { Vec::new() }
}

fn is_label(text: &str) -> bool {
    !text.is_empty()
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        && !text.starts_with('-')
        && !text.ends_with('-')
}

fn is_subdomain(text: &str) -> bool {
    text.split('.').all(is_label)
}

fn is_qualified(text: &str) -> bool {
    let is_edge = |c: char| c.is_ascii_alphanumeric();
    text.starts_with(is_edge)
        && text.ends_with(is_edge)
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(wrong: &[String], expected: &str) {
        assert_eq!(wrong.join(" | "), expected);
    }

    #[test]
    fn names_are_refused_in_the_words_that_a_recorded_upstream_used() {
        check(
            &label("Rec_1"),
            "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')",
        );
        check(
            &subdomain("Bad_Name"),
            "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')",
        );
        check(&subdomain(&"a".repeat(254)), "must be no more than 253 characters");
        check(
            &qualified_name("-bad"),
            "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')",
        );
        check(
            &qualified_name("a/b/c"),
            "a valid label key must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]') with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')",
        );
        check(
            &label_value("b c"),
            "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')",
        );
        check(
            &config_key("bad key!"),
            "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')",
        );
    }

    #[test]
    fn good_names_pass() {
        for name in ["a", "a-1", "kube-root-ca.crt"] {
            check(&NameRule::Subdomain.check(name), "");
        }
        check(&qualified_name("node-role.kubernetes.io/control-plane"), "");
        check(&label_value(""), "");
        assert_eq!(path_segment(".."), ["may not be '..'"]);
        assert_eq!(label("a.b"), ["must not contain dots"]);
    }

    #[test]
    fn names_beside_objects_have_forms_of_their_own() {
        assert_eq!(variable("A-b.c d"), Vec::<String>::new());
        assert_eq!(variable("").len() + variable("a=").len() + variable("ä").len(), 3);
        assert_eq!(http_header("X-Name"), Vec::<String>::new());
        assert_eq!(http_header("a b").len() + http_header("").len(), 2);
        assert_eq!(search_domain("_tcp.a_b.example"), Vec::<String>::new());
        assert_eq!(search_domain("a_.example").len() + search_domain("__a").len() + search_domain("").len(), 3);
    }

    #[test]
    fn addresses_have_one_form() {
        check(&NameRule::Address.check("10.0.0.1"), "");
        check(&NameRule::Address.check("fd00:0::1"), "must be in canonical form (\"fd00::1\")");
        check(&NameRule::Address.check("::ffff:1.2.3.4"), "must not be an IPv4-mapped IPv6 address");
        check(&NameRule::Address.check("a"), "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)");
    }

    #[test]
    fn a_prefix_may_end_in_a_dash() {
        check(&NameRule::Subdomain.check_prefix("web-"), "");
        assert_eq!(NameRule::Subdomain.check_prefix("-").len(), 1);
        assert_eq!(NameRule::Subdomain.check("web-").len(), 1);
    }

    #[test]
    fn generated_names_fit_into_a_label() {
        assert_eq!(generated_name("web-", &generated_suffix([0, 1, 2, 3, 26])), "web-bcdf9");
        assert_eq!(generated_name(&"x".repeat(100), "bcdfg").len(), GENERATED_NAME_BYTES_MAX);
        assert_eq!(generated_name("ä", "bcdfg"), "äbcdfg");
    }
}
