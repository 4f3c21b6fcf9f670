//! The server that a command speaks to: `--kubeconfig`, else `KUBECONFIG`, else the cluster in the data directory
//! (`MINKE_DATA_DIR`, else the default one), else `~/.kube/config`.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, Error, Result, anyhow, bail};
use base::files::{self, Access};
use base::pki;
use clap::Args;
use client::connect::{CONNECT_DEADLINE, PROBES, SILENCE_MAX};
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
    /// The kubeconfigs that were read.
    files: Vec<PathBuf>,
}

/// Finds the server and prepares a client of it.
///
/// # Errors
/// When there is no kubeconfig, or it cannot be used.
pub async fn connect(options: &Options, home: Option<PathBuf>) -> Result<Connection> {
    let files = choose(options.kubeconfig.as_deref(), Places::of_process(home), Path::exists)?;
    let kubeconfig = read(&files)?;
    let choice = KubeConfigOptions { context: options.context.clone(), ..KubeConfigOptions::default() };
    let config = Config::from_custom_kubeconfig(kubeconfig, &choice).await.context("the kubeconfig cannot be used")?;
    let client = client::connect::by_config(config.clone())?;
    let namespace = options.namespace.clone().unwrap_or_else(|| config.default_namespace.clone());
    Ok(Connection { client, namespace, config, files })
}

/// Where kubeconfigs may be when none is named.
#[derive(Debug, Default)]
struct Places {
    /// What `KUBECONFIG` says.
    variable: Option<OsString>,
    /// That of the cluster in the data directory.
    home: Option<PathBuf>,
    /// kubectl's.
    kubectl: Option<PathBuf>,
}

impl Places {
    /// As this process's environment says; `home` is where a cluster is kept when it says nothing.
    fn of_process(home: Option<PathBuf>) -> Self {
        let folder = std::env::var_os("MINKE_DATA_DIR").filter(|folder| !folder.is_empty());
        Self {
            variable: std::env::var_os("KUBECONFIG"),
            home: folder.map(|folder| PathBuf::from(folder).join("kubeconfig")).or(home),
            kubectl: std::env::home_dir().map(|home| home.join(".kube/config")),
        }
    }
}

/// The files to read, as kubectl chooses them: one that is named must be there, of those in `KUBECONFIG` (with `:`
/// between) some may be missing.
fn choose(named: Option<&Path>, places: Places, is_there: impl Fn(&Path) -> bool) -> Result<Vec<PathBuf>> {
    if let Some(named) = named {
        return Ok(vec![named.to_owned()]);
    }
    let listed = places.variable.unwrap_or_default();
    if !listed.is_empty() {
        let found: Vec<PathBuf> = std::env::split_paths(&listed).filter(|path| is_there(path)).collect();
        if found.is_empty() {
            let listed = listed.display();
            bail!("KUBECONFIG names no file that is there ({listed}): correct it, or unset it for the default cluster");
        }
        return Ok(found);
    }
    match [places.home, places.kubectl].into_iter().flatten().find(|path| is_there(path)) {
        Some(path) => Ok(vec![path]),
        None => bail!(
            "no cluster is known: start one with `minke up`, or name the kubeconfig of one with --kubeconfig FILE or \
             the variable KUBECONFIG"
        ),
    }
}

/// Several files are one, in which the first to name a thing wins.
fn read(files: &[PathBuf]) -> Result<Kubeconfig> {
    files.iter().try_fold(Kubeconfig::default(), |merged, path| {
        let at = || format!("kubeconfig {}", path.display());
        merged.merge(Kubeconfig::read_from(path).with_context(at)?).with_context(at)
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

    /// The certificate of the cluster's authority, in PEM; `None` where the system knows the authority.
    #[must_use]
    pub fn authority_pem(&self) -> Option<String> {
        Some(pki::to_pem(self.config.root_cert.as_ref()?.first()?))
    }

    /// The hash by which nodes know the cluster.
    ///
    /// # Errors
    /// When the kubeconfig names no authority.
    pub fn authority_hash(&self) -> Result<String> {
        let authority = self.config.root_cert.as_ref().and_then(|roots| roots.first());
        Ok(pki::public_key_hash_der(authority.context("the kubeconfig has no certificate-authority-data")?)?)
    }

    /// A file with the cluster's authority, for programs that take one: that of the cluster's data directory where its
    /// kubeconfig was read, else one that is written into the user's cache. `None` where the system knows the authority.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn authority_file(&self) -> Result<Option<PathBuf>> {
        let Some(authority) = self.config.root_cert.as_ref().and_then(|roots| roots.first()) else { return Ok(None) };
        let is_it = |path: &PathBuf| {
            let pem = files::read(path).ok().flatten();
            pem.and_then(|pem| pki::public_key_hash(&pem).ok()) == pki::public_key_hash_der(authority).ok()
        };
        let beside = self.files.iter().filter_map(|file| Some(file.parent()?.join("pki/ca.crt")));
        if let Some(found) = beside.into_iter().find(is_it) {
            return Ok(Some(std::path::absolute(found)?));
        }
        let folder = cache_folder().context("there is no home directory for the cluster's authority")?;
        files::make_folder(&folder, Access::Private)?;
        let hash = pki::public_key_hash_der(authority)?.replace(':', "-");
        let path = folder.join(format!("ca-{hash}.crt"));
        files::write(&path, pki::to_pem(authority).as_bytes(), Access::Public)?;
        Ok(Some(path))
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

    /// The error of a server that does not answer, or is not the one that was looked for.
    pub(crate) fn unreachable(&self, error: Error) -> Error {
        let url = self.url();
        if error.chain().any(is_about_certificates) {
            return error.context(format!(
                "the server at {url} does not show a certificate of the cluster that the kubeconfig names: is it the \
                 kubeconfig of another cluster, or of one that was made anew?"
            ));
        }
        error.context(format!("cannot reach the API server at {url}: is it running? `minke up` starts one"))
    }

    /// A client for what is too large to be held in memory.
    pub(crate) fn http(&self) -> Result<reqwest::Client> {
        let builder = reqwest::Client::builder()
            .no_proxy()
            .connect_timeout(CONNECT_DEADLINE)
            .tcp_keepalive(SILENCE_MAX)
            .tcp_keepalive_interval(SILENCE_MAX)
            .tcp_keepalive_retries(PROBES)
            .tls_backend_preconfigured(self.config.rustls_client_config()?);
        Ok(builder.build()?)
    }

    /// Sends a request of that client, with the token of the kubeconfig if it has one.
    pub(crate) async fn send(&self, request: RequestBuilder) -> Result<Response> {
        let request = match &self.config.auth_info.token {
            Some(token) => request.bearer_auth(token.expose_secret()),
            None => request,
        };
        request.send().await.map_err(|error| match error.is_body() {
            true => Error::new(error).context("the request could not be sent whole"),
            false => self.unreachable(error.into()),
        })
    }
}

/// Where what can be had again is kept: `minke` in `XDG_CACHE_HOME`, else in `~/.cache`.
fn cache_folder() -> Option<PathBuf> {
    let named = std::env::var_os("XDG_CACHE_HOME").filter(|folder| !folder.is_empty()).map(PathBuf::from);
    named.or_else(|| Some(std::env::home_dir()?.join(".cache"))).map(|cache| cache.join("minke"))
}

/// An answer that is no refusal; a refusal's message is the error.
pub(crate) async fn accepted(answer: Response) -> Result<Response> {
    let status = answer.status();
    if status.is_success() {
        return Ok(answer);
    }
    let refusal: Value = serde_json::from_slice(&body(answer).await?).unwrap_or_default();
    match refusal.get("message").and_then(Value::as_str) {
        Some(message) => bail!("{message}"),
        None => bail!("the server answered {status}"),
    }
}

/// The whole of an answer.
pub(crate) async fn body(mut answer: Response) -> Result<Vec<u8>> {
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await.context("the answer broke off")? {
        if body.len() + chunk.len() > ANSWER_BYTES_MAX {
            bail!("the server's answer is longer than {ANSWER_BYTES_MAX} bytes");
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// Whether an error is TLS's. It may be wrapped by the error of the stream beneath.
fn is_about_certificates(cause: &(dyn std::error::Error + 'static)) -> bool {
    let wrapped = cause.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
    let tls = cause.downcast_ref::<rustls::Error>().or_else(|| wrapped?.downcast_ref::<rustls::Error>());
    matches!(tls, Some(rustls::Error::InvalidCertificate(_)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A world in which all files are there but those with `gone` in their names.
    fn check(named: Option<&str>, variable: Option<&str>, home: Option<&str>, expected: Result<&str, &str>) {
        let places = Places {
            variable: variable.map(Into::into),
            home: home.map(Into::into),
            kubectl: Some("/me/.kube/config".into()),
        };
        let is_there = |path: &Path| !path.to_string_lossy().contains("gone");
        let chosen = choose(named.map(Path::new), places, is_there);
        match (chosen, expected) {
            (Ok(files), Ok(expected)) => assert_eq!(std::env::join_paths(files).unwrap(), expected),
            (Err(error), Err(expected)) => assert!(error.to_string().contains(expected), "{error}"),
            (chosen, expected) => panic!("{chosen:?} instead of {expected:?}"),
        }
    }

    #[test]
    fn a_kubeconfig_is_chosen_as_kubectl_does() {
        check(Some("/named"), Some("/a:/b"), Some("/data"), Ok("/named"));
        check(Some("/gone"), Some("/a"), None, Ok("/gone"));
        check(None, Some("/a:/gone:/b"), Some("/data"), Ok("/a:/b"));
        check(None, Some("/gone:/gone2"), Some("/data"), Err("names no file that is there (/gone:/gone2)"));
        check(None, Some(""), Some("/data"), Ok("/data"));
        check(None, None, Some("/data"), Ok("/data"));
        check(None, None, Some("/gone"), Ok("/me/.kube/config"));
        check(None, None, None, Ok("/me/.kube/config"));
    }

    #[test]
    fn where_no_cluster_is_known_it_is_said_how_to_get_one() {
        let error = choose(None, Places::default(), |_| true).unwrap_err().to_string();
        assert!(error.contains("minke up") && error.contains("--kubeconfig"), "{error}");
    }

    #[tokio::test]
    async fn a_kubeconfig_that_is_named_must_be_there() {
        let options = Options { kubeconfig: Some("/nowhere/kubeconfig".into()), ..Options::default() };
        let error = format!("{:#}", connect(&options, None).await.err().unwrap());
        assert!(error.starts_with("kubeconfig /nowhere/kubeconfig: "), "{error}");
    }
}
