//! `minke` in processes of its own.

use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use base::clock::Instant;
use base::files;
use images::credentials::Keyring;
use images::distribution::{self, BuiltIn};
use images::{Pusher, Reference};
use rustix::process::{Pid, Signal, kill_process};
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};
use tempfile::TempDir;
use tokio::process::{Child, Command};

use crate::Bench;
use crate::connection::{Connection, Server};

/// How long anything may take before a measurement is given up: far beyond every target, on a slow machine, too.
pub(crate) const DEADLINE: Duration = Duration::from_secs(180);

/// Between two looks at whether a server is ready: the resolution of start-up times.
pub(crate) const POLL: Duration = Duration::from_millis(2);

/// How long a process is left alone before its idle memory and CPU are read.
pub(crate) const SETTLE: Duration = Duration::from_secs(10);

/// A running program, `minke` or what it is compared with. It is killed when it is dropped.
pub(crate) struct Process {
    child: Child,
    log: PathBuf,
}

/// A control plane in a process, with or without a node in it, and its data.
pub(crate) struct Cluster {
    pub(crate) process: Process,
    pub(crate) server: Server,
    /// From the process's start until `/readyz` said ok.
    pub(crate) ready_after: Duration,
    data: Arc<TempDir>,
}

impl Cluster {
    /// `minke VERB ARGS` over new data, ready.
    pub(crate) async fn start(bench: &Bench, verb: &str, args: &[&str]) -> Result<Self> {
        let data = Arc::new(tempfile::tempdir_in(&bench.folder)?);
        Self::start_in(bench, data, verb, args).await
    }

    /// The same over the data of one that has ended.
    pub(crate) async fn start_in(bench: &Bench, data: Arc<TempDir>, verb: &str, args: &[&str]) -> Result<Self> {
        // A port that is free now: asking minke for any would leave us to wait for its kubeconfig.
        let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
        let (folder, listen) = (data.path().display().to_string(), address.to_string());
        let mut line = vec![verb, "--data-dir", &folder, "--listen", &listen];
        line.extend(args);
        let started = Instant::now();
        let mut process = Process::start(&bench.minke, &line, data.path().join("log"))?;
        let server = loop {
            if let Ok(server) = ready(data.path(), address).await {
                break server;
            }
            process.must_run()?;
            if started.elapsed() > DEADLINE {
                bail!("minke is not ready after {DEADLINE:?}:\n{}", process.last_words());
            }
            tokio::time::sleep(POLL).await;
        };
        Ok(Self { process, server, ready_after: started.elapsed(), data })
    }

    /// Kills it; its data can be started over.
    pub(crate) async fn kill(self) -> Result<Arc<TempDir>> {
        let Self { mut process, data, .. } = self;
        process.child.kill().await?;
        Ok(data)
    }

    /// Asks it to end and waits until it has; its data can be started over.
    pub(crate) async fn end(self) -> Result<Arc<TempDir>> {
        let Self { process, data, .. } = self;
        process.end().await?;
        Ok(data)
    }

    /// Bytes of the file that its store is in.
    pub(crate) fn store_bytes(&self) -> Result<u64> {
        Ok(std::fs::metadata(self.data.path().join("store.redb"))?.len())
    }

    /// The certificate of the cluster's authority.
    pub(crate) fn authority(&self) -> Result<String> {
        files::read(&self.data.path().join("pki/ca.crt"))?.context("the cluster has no authority")
    }

    /// Pushes a program as `registry.minke.local/default/NAME`.
    pub(crate) async fn push(&self, name: &str, program: &Path) -> Result<()> {
        let tls = Arc::clone(&self.server.tls);
        let built_in = BuiltIn { url: self.server.url(), tls, bearer: None };
        let pusher = Pusher::new(distribution::Options { built_in: Some(built_in), ..Default::default() });
        let reference = Reference::parse(&format!("registry.minke.local/default/{name}"))?;
        pusher.push(&reference, program, &Keyring::empty()).await?;
        Ok(())
    }

    /// Waits until the path answers with an object that is as `is` wants it.
    pub(crate) async fn until(&self, path: &str, is: impl Fn(&serde_json::Value) -> bool) -> Result<()> {
        let started = Instant::now();
        let mut connection = Connection::open(&self.server).await?;
        while !connection.get(path).await.is_ok_and(|object| is(&object)) {
            if started.elapsed() > DEADLINE {
                bail!("{path} is not as expected after {DEADLINE:?}:\n{}", self.process.last_words());
            }
            tokio::time::sleep(POLL).await;
        }
        Ok(())
    }
}

impl Process {
    /// Starts `PROGRAM ARGS`, which writes what it says to the file `log`.
    pub(crate) fn start(program: &Path, args: &[&str], log: PathBuf) -> Result<Self> {
        let sink = File::options().create(true).append(true).open(&log)?;
        let child = Command::new(program)
            .args(args)
            .env_remove("KUBECONFIG")
            .stdin(Stdio::null())
            .stdout(sink.try_clone()?)
            .stderr(sink)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("cannot start {}", program.display()))?;
        Ok(Self { child, log })
    }

    /// The process's id.
    pub(crate) fn id(&self) -> Result<u32> {
        self.child.id().context("the process has ended")
    }

    /// The end of what it said.
    pub(crate) fn last_words(&self) -> String {
        let log = files::read(&self.log).ok().flatten().unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines.iter().rev().take(10).rev().copied().collect::<Vec<_>>().join("\n")
    }

    /// Asks it to end and waits until it has.
    pub(crate) async fn end(mut self) -> Result<()> {
        kill_process(Pid::from_raw(self.id()?.try_into()?).context("no process")?, Signal::TERM)?;
        tokio::time::timeout(DEADLINE, self.child.wait()).await??;
        Ok(())
    }

    /// An error if it has ended.
    pub(crate) fn must_run(&mut self) -> Result<()> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => bail!("the process ended with {status}:\n{}", self.last_words()),
        }
    }
}

/// The server with its authority and its administrator in `folder`, if it is ready.
pub(crate) async fn ready(folder: &Path, address: SocketAddr) -> Result<Server> {
    let server = Server { address, tls: administrator(&folder.join("pki"))? };
    Connection::open(&server).await?.ask(http::Method::GET, "/readyz", None).await?;
    Ok(server)
}

/// TLS as the cluster's administrator.
fn administrator(pki: &Path) -> Result<Arc<ClientConfig>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(pki.join("ca.crt"))?)?;
    let chain = vec![CertificateDer::from_pem_file(pki.join("admin.crt"))?];
    let key = PrivateKeyDer::from_pem_file(pki.join("admin.key"))?;
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let config = config.with_safe_default_protocol_versions()?.with_root_certificates(roots);
    Ok(Arc::new(config.with_client_auth_cert(chain, key)?))
}
