//! `minke node`: the daemon of one node, joined to a cluster that may be far away.
//!
//! ```text
//!   DIR/node/cluster/      which cluster: server.txt (its address), ca.crt
//!            pki/          who the node is there: kubelet-client.crt, kubelet-client.key
//! ```

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, Result, bail};
use apiserver::serve::tls;
use base::files::{self, Access};
use base::pki::{self, Identity, Subject, Usage};
use base::{shutdown, task};
use client::connect::{self, Credentials, Server};
use images::ContentStore;
use kube::Client;

use crate::arguments::Node;
use crate::data_folder::DataFolder;
use crate::node_daemon::{self, Cluster};
use crate::node_identity::{self, NodeIdentity};
use crate::signals::Signals;
use crate::{host, join};

/// Who signs certificates of nodes, and what for: upstream's names.
const CLIENT_SIGNER: &str = "kubernetes.io/kube-apiserver-client-kubelet";
const SERVING_SIGNER: &str = "kubernetes.io/kubelet-serving";
const CLIENT_USAGES: [&str; 2] = ["digital signature", "client auth"];
const SERVING_USAGES: [&str; 2] = ["digital signature", "server auth"];

/// Runs until the process is asked to end.
///
/// # Errors
/// When the node cannot join or start; the message says what to do.
pub async fn run(options: Node) -> Result<()> {
    let signals = Signals::listen()?;
    let folder = DataFolder::take(options.process.data_dir.clone())?;
    let folder = folder.path();
    let places = Places::make(folder)?;
    let name = node_daemon::name(&options.node)?;
    let membership = membership(&places, &name, &options).await?;
    let identity = NodeIdentity::new(&membership.identity, &membership.authority_pem)?;
    let client = connect::with_tls(&membership.url, identity.client_config())?;
    let ip = options.node.node_ip.map_or_else(|| own_address(&membership.url), Ok)?;
    let serving = Serving { name: name.clone(), ip, client: client.clone() };
    let (port, _serving) = match options.port {
        0 => (None, None),
        port => {
            let (config, renewal) = serving.start(&membership.authority_pem)?;
            (Some((port, config)), Some(renewal))
        }
    };
    let renewal = {
        let member = (identity.clone(), places.clone(), name.clone(), client.clone());
        move || renewed(member.clone())
    };
    let renewal = node_identity::keep_fresh("node", Some(membership.identity.clone()), renewal);
    let _renewal = task::spawn("node certificate", renewal);
    let content = ContentStore::open(options.node.artifacts.content(folder)).await?;
    let (end_of_parts, parts) = shutdown::channel();
    let sweeping = task::spawn("artifacts", content.clone().run(parts));
    let cluster = Cluster { client, url: membership.url.clone(), identity, content, owns_content: true, port };
    let kubelet = node_daemon::prepare(&places.folder, name.clone(), ip, &options.node, cluster).await?;
    tracing::info!(node = name, server = membership.url, "the node starts");
    let ended = node_daemon::run(kubelet, signals).await;
    end_of_parts.pull();
    sweeping.await.context("the artifact store ended early")?;
    ended
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
    join::identity(client, CLIENT_SIGNER, &CLIENT_USAGES, &node_identity::subject(name)).await
}

/// Another certificate, asked for with the one that the node has, kept and shown.
async fn renewed(member: (NodeIdentity, Places, String, Client)) -> Result<Identity> {
    let (identity, places, name, client) = member;
    let renewed = client_certificate(&client, &name).await?;
    places.write_identity(&renewed)?;
    identity.renew(&renewed)?;
    Ok(renewed)
}

/// The certificate of the kubelet's HTTP API. It is asked for at each start, and kept in memory alone: while the server
/// is away nobody asks at the port, and the node runs its pods without one.
#[derive(Clone)]
struct Serving {
    name: String,
    ip: IpAddr,
    client: Client,
}

impl Serving {
    /// The TLS of the port, and the task that renews its certificate.
    fn start(self, authority_pem: &str) -> Result<(Arc<rustls::ServerConfig>, task::Task<()>)> {
        let shown = tls::Serving::default();
        let config = tls::config(shown.clone(), authority_pem)?;
        let renew = move || {
            let (serving, shown) = (self.clone(), shown.clone());
            async move {
                let renewed = serving.certificate().await?;
                shown.renew(&renewed)?;
                Ok(renewed)
            }
        };
        Ok((config, task::spawn("serving certificate", node_identity::keep_fresh("serving", None, renew))))
    }

    async fn certificate(&self) -> Result<Identity> {
        let subject = Subject {
            names: vec![self.name.clone(), self.ip.to_string()],
            usage: Usage::Server,
            ..node_identity::subject(&self.name)
        };
        join::identity(&self.client, SERVING_SIGNER, &SERVING_USAGES, &subject).await
    }
}

/// The address that this machine has towards the server.
fn own_address(url: &str) -> Result<IpAddr> {
    let unknown = || format!("cannot tell this machine's address towards {url}: give it with --node-ip");
    let target = std::net::ToSocketAddrs::to_socket_addrs(&join::host_and_port(url).with_context(unknown)?);
    let target = target.with_context(unknown)?.next().with_context(unknown)?;
    host::towards(target).with_context(unknown)
}
