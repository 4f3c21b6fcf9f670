//! The server that a command speaks to: `--kubeconfig`, else `KUBECONFIG`, else the cluster in the default data
//! directory, else `~/.kube/config`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, Error, Result, anyhow, bail};
use base::pki;
use clap::Args;
use images::distribution::{self, BuiltIn, Token};
use kube::client::ConfigExt as _;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use reqwest::{RequestBuilder, Response};
use secrecy::ExposeSecret as _;
use serde_json::Value;

/// The largest answer that is held in memory, in bytes: a Pod or a Status.
const ANSWER_BYTES_MAX: usize = 4 << 20;

/// Which server, and where in it.
#[derive(Args, Clone, Debug, Default)]
#[group(id = "server")]
pub struct Options {
    /// The file that says where the cluster is and who you are there.
    #[arg(long, value_name = "FILE", global = true)]
    pub kubeconfig: Option<PathBuf>,
    /// The context of the kubeconfig to use instead of its current one.
    #[arg(long, value_name = "NAME", global = true)]
    pub context: Option<String>,
    /// The namespace; the default is the context's, else `default`.
    #[arg(long, short, value_name = "NAME", global = true)]
    pub namespace: Option<String>,
}

/// A way to a server. Whether it is there, the first request shows.
pub struct Connection {
    /// Asks the API server.
    pub client: Client,
    /// The namespace to work in.
    pub namespace: String,
    config: Config,
}

/// Finds the server and prepares a client of it.
///
/// # Errors
/// When there is no kubeconfig, or it cannot be used.
pub async fn connect(options: &Options, home: Option<PathBuf>) -> Result<Connection> {
    let kubeconfig = kubeconfig(options, home)?;
    let choice = KubeConfigOptions { context: options.context.clone(), ..KubeConfigOptions::default() };
    let config = Config::from_custom_kubeconfig(kubeconfig, &choice).await.context("the kubeconfig cannot be used")?;
    let client = Client::try_from(config.clone())?;
    let namespace = options.namespace.clone().unwrap_or_else(|| config.default_namespace.clone());
    Ok(Connection { client, namespace, config })
}

fn kubeconfig(options: &Options, home: Option<PathBuf>) -> Result<Kubeconfig> {
    let read = |path: &Path| Kubeconfig::read_from(path).with_context(|| format!("kubeconfig {}", path.display()));
    if let Some(path) = &options.kubeconfig {
        return read(path);
    }
    // Several files with `:` between are merged, as kubectl merges them.
    if let Some(merged) = Kubeconfig::from_env().context("KUBECONFIG")? {
        return Ok(merged);
    }
    if let Some(path) = home.filter(|path| path.exists()) {
        return read(&path);
    }
    Kubeconfig::read().map_err(|_| {
        anyhow!(
            "no cluster is known: start one with `minke up`, or name the kubeconfig of one with --kubeconfig FILE or \
             the variable KUBECONFIG"
        )
    })
}

impl Connection {
    /// The server's address: `https://HOST:PORT`.
    #[must_use]
    pub fn url(&self) -> String {
        self.config.cluster_url.to_string().trim_end_matches('/').to_owned()
    }

    /// `HOST:PORT`.
    #[must_use]
    pub fn host(&self) -> String {
        self.config.cluster_url.authority().map(ToString::to_string).unwrap_or_default()
    }

    /// The hash by which nodes know the cluster.
    ///
    /// # Errors
    /// When the kubeconfig names no authority.
    pub fn authority_hash(&self) -> Result<String> {
        let authority = self.config.root_cert.as_ref().and_then(|roots| roots.first());
        Ok(pki::public_key_hash_der(authority.context("the kubeconfig has no certificate-authority-data")?)?)
    }

    /// How the cluster's own registry is reached.
    ///
    /// # Errors
    /// When the credentials of the kubeconfig cannot be used.
    pub fn registry(&self) -> Result<distribution::Options> {
        let tls = Arc::new(self.config.rustls_client_config()?);
        let bearer = self.config.auth_info.token.as_ref().map(|token| Token(token.expose_secret().to_owned()));
        let built_in = Some(BuiltIn { url: self.url(), tls, bearer });
        Ok(distribution::Options { built_in, ..distribution::Options::default() })
    }

    /// An error of a request, with what to do where the server did not answer at all.
    #[must_use]
    pub fn explain(&self, error: kube::Error) -> Error {
        match error {
            kube::Error::Api(status) => anyhow!("{}", status.message),
            kube::Error::HyperError(_) | kube::Error::Service(_) => self.unreachable(error.into()),
            other => other.into(),
        }
    }

    /// The error of a server that does not answer.
    pub(crate) fn unreachable(&self, error: Error) -> Error {
        error.context(format!("cannot reach the API server at {}: is it running? `minke up` starts one", self.url()))
    }

    /// A client for what is too large to be held in memory.
    pub(crate) fn http(&self) -> Result<reqwest::Client> {
        let builder =
            reqwest::Client::builder().no_proxy().tls_backend_preconfigured(self.config.rustls_client_config()?);
        Ok(builder.build()?)
    }

    /// Sends a request of that client, with the token of the kubeconfig if it has one.
    pub(crate) async fn send(&self, request: RequestBuilder) -> Result<Response> {
        let request = match &self.config.auth_info.token {
            Some(token) => request.bearer_auth(token.expose_secret()),
            None => request,
        };
        request.send().await.map_err(|error| self.unreachable(error.into()))
    }
}

/// An answer that is no refusal; a refusal's message is the error.
pub(crate) async fn accepted(answer: Response) -> Result<Response> {
    let status = answer.status();
    if status.is_success() {
        return Ok(answer);
    }
    let refusal: Value = serde_json::from_slice(&read(answer).await?).unwrap_or_default();
    match refusal.get("message").and_then(Value::as_str) {
        Some(message) => bail!("{message}"),
        None => bail!("the server answered {status}"),
    }
}

/// The whole of an answer.
pub(crate) async fn read(mut answer: Response) -> Result<Vec<u8>> {
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await.context("the answer broke off")? {
        if body.len() + chunk.len() > ANSWER_BYTES_MAX {
            bail!("the server's answer is longer than {ANSWER_BYTES_MAX} bytes");
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_kubeconfig_that_is_named_must_be_there() {
        let options = Options { kubeconfig: Some("/nowhere/kubeconfig".into()), ..Options::default() };
        let error = format!("{:#}", connect(&options, None).await.err().unwrap());
        assert!(error.starts_with("kubeconfig /nowhere/kubeconfig: "), "{error}");
    }
}
