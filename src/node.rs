//! `minke node`: the daemon of one node, joined to a cluster that may be far away.
//!
//! ```text
//!   DIR/node/cluster/      which cluster: server.txt (its address), ca.crt
//!            pki/          who the node is there: kubelet-client.crt, kubelet-client.key
//! ```

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use apiserver::serve::tls;
use base::backoff::{Backoff, Law};
use base::files::{self, Access};
use base::pki::{self, Identity, Subject, Usage};
use base::{shutdown, task};
use client::connect::{self, Credentials, Server};
use images::ContentStore;
use kube::Client;

use crate::arguments::{Node, NodeOptions};
use crate::node_daemon::{self, Cluster};
use crate::node_identity::{self, NodeIdentity};
use crate::signals::Signals;
use crate::{data_folder, join, supervisor};

/// Who signs certificates of nodes, and what for: upstream's names.
const CLIENT_SIGNER: &str = "kubernetes.io/kube-apiserver-client-kubelet";
const SERVING_SIGNER: &str = "kubernetes.io/kubelet-serving";
const CLIENT_USAGES: [&str; 2] = ["digital signature", "client auth"];
const SERVING_USAGES: [&str; 2] = ["digital signature", "server auth"];

/// The wait after a renewal that failed.
const RETRY: Law = Law::spread(Duration::from_secs(10), Duration::from_secs(3600));

/// Runs until the process is asked to end.
///
/// # Errors
/// When the node cannot join or start; the message says what to do.
pub async fn run(options: Node) -> Result<()> {
    let signals = Signals::listen()?;
    let folder = data_folder::choose(options.process.data_dir.clone())?;
    let places = Places::make(&folder)?;
    let name = node_daemon::name(&options.node)?;
    let membership = membership(&places, &name, &options).await?;
    let identity = NodeIdentity::new(&membership.identity, &membership.authority_pem)?;
    let client = connect::with_tls(&membership.url, identity.client_config())?;
    let ip = options.node.node_ip.map_or_else(|| own_address(&membership.url), Ok)?;
    let serving = Serving { name: name.clone(), ip, client: client.clone() };
    let (port, _serving) = match options.port {
        0 => (None, None),
        port => {
            let (config, renewal) = serving.start(&membership.authority_pem).await?;
            (Some((port, config)), Some(renewal))
        }
    };
    let renewal = renew(identity.clone(), membership.identity.clone(), places.clone(), name.clone(), client.clone());
    let _renewal = task::spawn("node certificate", renewal);
    let content = content(&folder, &options.node).await?;
    let (end_of_parts, parts) = shutdown::channel();
    let sweeping = task::spawn("artifacts", content.clone().run(parts));
    let cluster = Cluster { client, url: membership.url.clone(), identity, content, owns_content: true, port };
    let kubelet = node_daemon::prepare(&places.folder, name.clone(), ip, &options.node, cluster).await?;
    tracing::info!(node = name, server = membership.url, "the node starts");
    supervisor::ready();

    let (end_of_node, shutdown) = shutdown::channel();
    let node = kubelet.run(shutdown);
    tokio::pin!(node);
    let ended = tokio::select! {
        ended = &mut node => ended,
        () = signals.first() => {
            supervisor::stopping();
            end_of_node.pull();
            node.await
        }
    };
    end_of_parts.pull();
    sweeping.await.context("the artifact store ended early")?;
    Ok(ended?)
}

/// Where the node keeps what it knows of its cluster.
#[derive(Clone, Debug)]
struct Places {
    folder: PathBuf,
    server: PathBuf,
    authority: PathBuf,
    certificate: PathBuf,
    key: PathBuf,
}

impl Places {
    fn make(data: &Path) -> Result<Self> {
        let folder = data.join("node");
        let (cluster, pki) = (folder.join("cluster"), folder.join("pki"));
        for folder in [data, &folder, &cluster, &pki] {
            files::make_folder(folder, Access::Private)?;
        }
        Ok(Self {
            server: cluster.join("server.txt"),
            authority: cluster.join("ca.crt"),
            certificate: pki.join("kubelet-client.crt"),
            key: pki.join("kubelet-client.key"),
            folder,
        })
    }

    /// What was written down at the last start, if all of it is there.
    fn read(&self) -> Result<Option<Membership>> {
        let [server, authority, certificate, key] =
            [&self.server, &self.authority, &self.certificate, &self.key].map(|path| files::read(path));
        let (Some(server), Some(authority_pem), Some(certificate_pem), Some(key_pem)) =
            (server?, authority?, certificate?, key?)
        else {
            return Ok(None);
        };
        let identity = Identity { certificate_pem, key_pem };
        Ok(Some(Membership { url: server.trim().to_owned(), authority_pem, identity }))
    }

    fn write(&self, membership: &Membership) -> Result<()> {
        files::write(&self.server, format!("{}\n", membership.url).as_bytes(), Access::Private)?;
        files::write(&self.authority, membership.authority_pem.as_bytes(), Access::Public)?;
        self.write_identity(&membership.identity)
    }

    fn write_identity(&self, identity: &Identity) -> Result<()> {
        files::write(&self.key, identity.key_pem.as_bytes(), Access::Private)?;
        files::write(&self.certificate, identity.certificate_pem.as_bytes(), Access::Public)?;
        Ok(())
    }
}

/// Of which cluster the node is, and who it is there.
struct Membership {
    url: String,
    authority_pem: String,
    identity: Identity,
}

/// What was written down, or, at the first start, what joining gives.
async fn membership(places: &Places, name: &str, options: &Node) -> Result<Membership> {
    if let Some(mut known) = places.read()? {
        let facts = pki::read_certificate(&known.identity.certificate_pem)?;
        let user = node_identity::subject(name).common_name;
        if facts.common_name != user {
            bail!(
                "{} belongs to {}, not to {user}: start with its --name, or choose another --data-dir",
                places.folder.display(),
                facts.common_name
            );
        }
        if let Some(url) = &options.join {
            known.url = url.trim_end_matches('/').to_owned();
            places.write(&known)?;
        }
        return Ok(known);
    }
    let (Some(url), Some(token), Some(hash)) = (&options.join, &options.token, &options.ca_hash) else {
        bail!(
            "{} is of no cluster yet: the first start needs --join URL, --token ID.SECRET and --ca-hash sha256:HEX; \
             `minke token create --print-join-command` on the server prints the whole line",
            places.folder.display()
        );
    };
    let url = url.trim_end_matches('/').to_owned();
    let authority_pem = join::authority_by_hash(&url, hash).await?;
    let server = Server {
        url: url.clone(),
        authority_pem: authority_pem.clone(),
        credentials: Credentials::Token(token.clone()),
    };
    let client = connect::to_server(&server).await?;
    let identity =
        client_certificate(&client, name).await.with_context(|| format!("cannot join the cluster at {url}"))?;
    let membership = Membership { url, authority_pem, identity };
    places.write(&membership)?;
    Ok(membership)
}

/// A certificate as the node `name`, for a new key.
async fn client_certificate(client: &Client, name: &str) -> Result<Identity> {
    let (request, key_pem) = pki::request(&node_identity::subject(name))?;
    let certificate_pem = join::certificate(client, CLIENT_SIGNER, &CLIENT_USAGES, &request).await?;
    Ok(Identity { certificate_pem, key_pem })
}

/// Renews the node's certificate whenever it is due, with the certificate that it has.
async fn renew(identity: NodeIdentity, mut current: Identity, places: Places, name: String, client: Client) {
    let mut retry = Backoff::new(RETRY);
    loop {
        let renewed = async {
            node_identity::due(&current).await?;
            current = client_certificate(&client, &name).await?;
            places.write_identity(&current)?;
            identity.renew(&current)
        };
        match renewed.await {
            Ok(()) => {
                retry.reset();
                tracing::info!("the node's certificate was renewed");
            }
            Err(error) => {
                tracing::warn!(%error, "the node's certificate cannot be renewed; trying again");
                tokio::time::sleep(retry.next_wait()).await;
            }
        }
    }
}

/// The certificate of the kubelet's HTTP API. It is asked for at each start, and kept in memory alone.
struct Serving {
    name: String,
    ip: IpAddr,
    client: Client,
}

impl Serving {
    /// The TLS of the port, and the task that renews its certificate.
    async fn start(self, authority_pem: &str) -> Result<(std::sync::Arc<rustls::ServerConfig>, task::Task<()>)> {
        let current = self.certificate().await?;
        let shown = tls::Serving::new(&current)?;
        let config = tls::config(shown.clone(), authority_pem)?;
        Ok((config, task::spawn("serving certificate", self.renew(shown, current))))
    }

    async fn certificate(&self) -> Result<Identity> {
        let subject = Subject {
            names: vec![self.name.clone(), self.ip.to_string()],
            usage: Usage::Server,
            ..node_identity::subject(&self.name)
        };
        let (request, key_pem) = pki::request(&subject)?;
        let certificate_pem = join::certificate(&self.client, SERVING_SIGNER, &SERVING_USAGES, &request).await?;
        Ok(Identity { certificate_pem, key_pem })
    }

    async fn renew(self, shown: tls::Serving, mut current: Identity) {
        let mut retry = Backoff::new(RETRY);
        loop {
            let renewed = async {
                node_identity::due(&current).await?;
                current = self.certificate().await?;
                Ok::<_, anyhow::Error>(shown.renew(&current)?)
            };
            match renewed.await {
                Ok(()) => retry.reset(),
                Err(error) => {
                    tracing::warn!(%error, "the serving certificate cannot be renewed; trying again");
                    tokio::time::sleep(retry.next_wait()).await;
                }
            }
        }
    }
}

async fn content(folder: &Path, options: &NodeOptions) -> Result<ContentStore> {
    let artifacts = &options.artifacts;
    Ok(ContentStore::open(images::content::Options {
        path: folder.join("blobs"),
        bytes_max: artifacts.artifacts_max_size.0,
        artifact_bytes_max: artifacts.artifact_max_size.0,
        upload_life: artifacts.upload_ttl,
    })
    .await?)
}

/// The address that this machine has towards the server. No packet is sent to find it.
fn own_address(url: &str) -> Result<IpAddr> {
    let unknown = || format!("cannot tell this machine's address towards {url}: give it with --node-ip");
    let uri: http::Uri = url.parse().with_context(unknown)?;
    let host = uri.host().with_context(unknown)?.trim_start_matches('[').trim_end_matches(']').to_owned();
    let target = std::net::ToSocketAddrs::to_socket_addrs(&(host.as_str(), uri.port_u16().unwrap_or(443)));
    let target: SocketAddr = target.with_context(unknown)?.next().with_context(unknown)?;
    let any: IpAddr = if target.is_ipv4() { [0, 0, 0, 0].into() } else { std::net::Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((any, 0)).with_context(unknown)?;
    socket.connect(target).with_context(unknown)?;
    Ok(socket.local_addr().with_context(unknown)?.ip())
}
