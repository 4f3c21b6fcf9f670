//! How an image wants to be run, from the config of an ordinary image.
//!
//! A Wasm artifact's own config (`application/vnd.wasm.config.v0+json`) says nothing of this, so all fields are empty
//! there.

use serde::{Deserialize, Serialize};

/// Facts that a container's spec overrides. Each list is as the image has it; `None` and empty mean the same.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all(serialize = "camelCase"), default)]
pub struct ImageConfig {
    /// The command; its first word is the program, which for us is always the image's Wasm.
    #[serde(alias = "Entrypoint", deserialize_with = "null_as_empty")]
    pub entrypoint: Vec<String>,
    /// Arguments, or the command where there is no entrypoint.
    #[serde(alias = "Cmd", deserialize_with = "null_as_empty")]
    pub cmd: Vec<String>,
    /// `KEY=VALUE` each.
    #[serde(alias = "Env", deserialize_with = "null_as_empty")]
    pub env: Vec<String>,
    /// Where it starts; empty for the root.
    #[serde(alias = "WorkingDir", alias = "workingDir", deserialize_with = "null_as_empty")]
    pub working_dir: String,
}

/// Reads the config of an ordinary image; one that cannot be read says nothing, as an image without one.
#[must_use]
pub(crate) fn parse(content: &[u8]) -> ImageConfig {
    #[derive(Deserialize)]
    struct Document {
        #[serde(default, deserialize_with = "null_as_empty")]
        config: ImageConfig,
    }
    serde_json::from_slice(content).map(|document: Document| document.config).unwrap_or_default()
}

impl ImageConfig {
    /// The program's name as the image has it.
    #[must_use]
    pub fn program(&self) -> Option<&str> {
        self.entrypoint.first().or(self.cmd.first()).map(String::as_str)
    }
}

fn null_as_empty<'de, D: serde::Deserializer<'de>, T: Deserialize<'de> + Default>(from: D) -> Result<T, D::Error> {
    Option::deserialize(from).map(Option::unwrap_or_default)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_config_of_an_ordinary_image_is_read_and_any_other_says_nothing() {
        let config = parse(
            br#"{"os": "wasi", "config": {"Entrypoint": ["/app.wasm"], "Cmd": null, "Env": ["A=1"], "WorkingDir": "/w"}}"#,
        );
        assert_eq!(config.program(), Some("/app.wasm"));
        assert_eq!(
            (config.cmd.len(), config.env.as_slice(), config.working_dir.as_str()),
            (0, &["A=1".to_owned()][..], "/w")
        );
        for other in ["{}", r#"{"config": null}"#, "not json", r#"{"config": {"Entrypoint": 3}}"#] {
            assert_eq!(parse(other.as_bytes()), ImageConfig::default(), "{other}");
        }
    }

    #[test]
    fn a_config_survives_being_written_down() {
        let config = ImageConfig { cmd: vec!["x".to_owned()], working_dir: "/".to_owned(), ..ImageConfig::default() };
        let text = serde_json::to_string(&config).unwrap();
        assert_eq!(serde_json::from_str::<ImageConfig>(&text).unwrap(), config, "{text}");
    }
}
