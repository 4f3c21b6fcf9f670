//! The values of flags, in the notations that Kubernetes' own flags have.

use std::time::Duration;

use api::quantity::Quantity;
use jiff::SignedDuration;
use k8s_openapi::api::core::v1::Taint;
use network::range::Range;

/// A number of bytes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Bytes(pub u64);

/// `40s`, `5m`, `1h30m`.
///
/// # Errors
/// When it is no time, or a negative one.
pub fn duration(text: &str) -> Result<Duration, String> {
    let parsed = text.parse::<SignedDuration>().map_err(|error| format!("not a time such as 40s or 1h30m: {error}"))?;
    Duration::try_from(parsed).map_err(|_| "a time must not be negative".to_owned())
}

/// `256Mi`, `10Gi`, `1000000`.
///
/// # Errors
/// When it is no quantity, or none of whole bytes.
pub fn bytes(text: &str) -> Result<Bytes, String> {
    let quantity = Quantity::parse(text).map_err(|error| format!("not a size such as 256Mi: {error}"))?;
    u64::try_from(quantity.to_units()).map(Bytes).map_err(|_| "a size must not be negative".to_owned())
}

/// `100.64.0.0/11`.
///
/// # Errors
/// When it is no range of addresses.
pub fn cidr(text: &str) -> Result<Range, String> {
    text.parse().map_err(|error: network::range::Error| error.to_string())
}

/// `30000-32767`.
///
/// # Errors
/// When it is no range of ports.
pub fn port_range(text: &str) -> Result<(u16, u16), String> {
    let ends = text.split_once('-').and_then(|(from, to)| Some((from.parse().ok()?, to.parse().ok()?)));
    match ends {
        Some((from, to)) if from > 0 && from <= to => Ok((from, to)),
        _ => Err("not a range of ports such as 30000-32767".to_owned()),
    }
}

/// `disk=fast`.
///
/// # Errors
/// When it has no `=`, or either side is not what Kubernetes allows.
pub fn label(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("not KEY=VALUE")?;
    let wrong = api::names::qualified_name(key).into_iter().chain(api::names::label_value(value));
    match wrong.collect::<Vec<_>>() {
        wrong if wrong.is_empty() => Ok((key.to_owned(), value.to_owned())),
        wrong => Err(wrong.join("; ")),
    }
}

/// `dedicated=gpu:NoSchedule`, `dedicated:NoExecute`.
///
/// # Errors
/// When it has no effect, or one that Kubernetes does not know.
pub fn taint(text: &str) -> Result<Taint, String> {
    let (pair, effect) = text.rsplit_once(':').ok_or("not KEY=VALUE:EFFECT")?;
    if !["NoSchedule", "PreferNoSchedule", "NoExecute"].contains(&effect) {
        return Err(format!("the effect {effect:?} is none of NoSchedule, PreferNoSchedule, NoExecute"));
    }
    let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
    let (key, value) = label(&format!("{key}={value}"))?;
    Ok(Taint { key, value: Some(value), effect: effect.to_owned(), time_added: None })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_sizes_are_written_as_kubernetes_writes_them() {
        assert_eq!(duration("1m30s"), Ok(Duration::from_secs(90)));
        assert!(duration("-1s").is_err() && duration("soon").is_err());
        assert_eq!(bytes("256Mi"), Ok(Bytes(256 << 20)));
        assert!(bytes("-1").is_err() && bytes("much").is_err());
    }

    #[test]
    fn ranges_labels_and_taints_are_checked() {
        assert_eq!(port_range("30000-32767"), Ok((30000, 32767)));
        assert!(port_range("2-1").is_err() && port_range("0-9").is_err());
        assert_eq!(label("disk=fast"), Ok(("disk".to_owned(), "fast".to_owned())));
        assert!(label("a b=c").is_err());
        let taint = taint("dedicated=gpu:NoSchedule").unwrap();
        assert_eq!((taint.key.as_str(), taint.effect.as_str()), ("dedicated", "NoSchedule"));
        assert!(super::taint("dedicated:Never").is_err());
    }
}
