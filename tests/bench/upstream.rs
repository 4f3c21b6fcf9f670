//! kube-apiserver and etcd in processes of their own, where both are on `PATH`: alone, without controllers, on
//! loopback, with what either does by default (etcd waits for the disk before it answers).

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use base::clock::Instant;
use base::files::{self, Access};
use base::pki::{self, Authority, Subject, Usage};
use tempfile::TempDir;

use crate::Bench;
use crate::cluster::{self, DEADLINE, POLL, Process};
use crate::connection::{Connection, Server};

/// How long its certificates last: far longer than any measurement.
const LIFE: Duration = Duration::from_secs(24 * 3600);

/// Both processes and their data.
pub(crate) struct Upstream {
    pub(crate) etcd: Process,
    pub(crate) apiserver: Process,
    pub(crate) server: Server,
    /// From the start of both until `/readyz` said ok.
    pub(crate) ready_after: Duration,
    data: Arc<TempDir>,
}

/// Whether it can be started here.
pub(crate) fn is_there() -> bool {
    program("etcd").is_some() && program("kube-apiserver").is_some()
}

impl Upstream {
    /// Starts both over new data.
    pub(crate) async fn start(bench: &Bench) -> Result<Self> {
        let data = Arc::new(tempfile::tempdir_in(&bench.folder)?);
        keys(data.path())?;
        Self::start_in(data).await
    }

    /// Asks both to end, and starts them over their data.
    pub(crate) async fn restart(self) -> Result<Self> {
        let Self { etcd, apiserver, data, .. } = self;
        apiserver.end().await?;
        etcd.end().await?;
        Self::start_in(data).await
    }

    async fn start_in(data: Arc<TempDir>) -> Result<Self> {
        let (address, client, peer) = (free()?, free()?, free()?);
        let started = Instant::now();
        let mut etcd = start("etcd", etcd_arguments(data.path(), client, peer), data.path())?;
        let mut apiserver = start("kube-apiserver", arguments(data.path(), address, client), data.path())?;
        let server = loop {
            if let Ok(server) = cluster::ready(data.path(), address).await {
                break server;
            }
            etcd.must_run()?;
            apiserver.must_run()?;
            if started.elapsed() > DEADLINE {
                bail!("kube-apiserver is not ready after {DEADLINE:?}:\n{}", apiserver.last_words());
            }
            tokio::time::sleep(POLL).await;
        };
        let ready_after = started.elapsed();
        // It is ready before it has made the namespaces that are always there.
        let mut connection = Connection::open(&server).await?;
        while connection.get("/api/v1/namespaces/default").await.is_err() {
            ensure!(started.elapsed() < DEADLINE, "kube-apiserver makes no namespace:\n{}", apiserver.last_words());
            tokio::time::sleep(POLL).await;
        }
        Ok(Self { etcd, apiserver, server, ready_after, data })
    }
}

fn start(name: &str, args: Vec<String>, folder: &Path) -> Result<Process> {
    let program = program(name).with_context(|| format!("{name} is not on PATH"))?;
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    Process::start(&program, &args, folder.join(format!("{name}.log")))
}

fn etcd_arguments(folder: &Path, client: SocketAddr, peer: SocketAddr) -> Vec<String> {
    let (client, peer) = (format!("http://{client}"), format!("http://{peer}"));
    vec![
        "--name=bench".to_owned(),
        format!("--data-dir={}", folder.join("etcd").display()),
        format!("--listen-client-urls={client}"),
        format!("--advertise-client-urls={client}"),
        format!("--listen-peer-urls={peer}"),
        format!("--initial-advertise-peer-urls={peer}"),
        format!("--initial-cluster=bench={peer}"),
        "--log-level=error".to_owned(),
    ]
}

fn arguments(folder: &Path, address: SocketAddr, etcd: SocketAddr) -> Vec<String> {
    let key = |name: &str| folder.join("pki").join(name).display().to_string();
    vec![
        format!("--etcd-servers=http://{etcd}"),
        format!("--bind-address={}", address.ip()),
        format!("--advertise-address={}", address.ip()),
        format!("--secure-port={}", address.port()),
        format!("--client-ca-file={}", key("ca.crt")),
        format!("--tls-cert-file={}", key("apiserver.crt")),
        format!("--tls-private-key-file={}", key("apiserver.key")),
        format!("--service-account-key-file={}", key("sa.pub")),
        format!("--service-account-signing-key-file={}", key("sa.key")),
        "--service-account-issuer=https://kubernetes.default.svc.cluster.local".to_owned(),
        "--service-cluster-ip-range=100.96.0.0/16".to_owned(),
        "--authorization-mode=Node,RBAC".to_owned(),
        // Nobody makes the accounts that it would ask for, and a Service of a loopback address is refused.
        "--disable-admission-plugins=ServiceAccount".to_owned(),
        "--endpoint-reconciler-type=none".to_owned(),
    ]
}

/// Makes what both sides of its TLS need, where a cluster of ours has the same.
fn keys(folder: &Path) -> Result<()> {
    let pki = folder.join("pki");
    files::make_folder(&pki, Access::Private)?;
    let write = |name: &str, text: &str| files::write(&pki.join(name), text.as_bytes(), Access::Private);
    let authority = Authority::create("bench", LIFE)?;
    write("ca.crt", authority.certificate_pem())?;
    let server = Subject {
        common_name: "kube-apiserver".to_owned(),
        organization: None,
        names: vec![Ipv4Addr::LOCALHOST.to_string()],
        usage: Usage::Server,
    };
    let administrator = Subject {
        common_name: "bench".to_owned(),
        organization: Some("system:masters".to_owned()),
        names: Vec::new(),
        usage: Usage::Client,
    };
    for (name, subject) in [("apiserver", server), ("admin", administrator)] {
        let identity = authority.issue(&subject, LIFE)?;
        write(&format!("{name}.crt"), &identity.certificate_pem)?;
        write(&format!("{name}.key"), &identity.key_pem)?;
    }
    let (public, private) = pki::service_account_keys()?;
    write("sa.pub", &public)?;
    write("sa.key", &private)?;
    Ok(())
}

/// An address whose port is free now.
fn free() -> Result<SocketAddr> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}

fn program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(name)).find(|program| program.is_file())
}
