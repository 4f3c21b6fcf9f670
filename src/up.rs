//! `minke up`: a whole cluster in one process.
//!
//! The node meets the API server as any node does, as its own user and within its rights; only that its requests are
//! function calls. What the server asks of the node goes over the connection that the node dials, as everywhere.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use apiserver::authentication::User;
use base::task;

use crate::arguments::Up;
use crate::control_plane::{self, ControlPlane};
use crate::data_folder::DataFolder;
use crate::node_daemon::{self, Cluster};
use crate::node_identity::{self, NodeIdentity};
use crate::signals::Signals;
use crate::{host, welcome};

/// How long the node's certificate lives. It is made anew at each start, never written down, and renewed at two thirds.
const CERTIFICATE_LIFE: Duration = Duration::from_hours(365 * 24);

/// Runs until the process is asked to end.
///
/// # Errors
/// When the cluster cannot start; the message says what to do.
pub async fn run(options: Up) -> Result<()> {
    let signals = Signals::listen()?;
    let folder = DataFolder::take(options.process.data_dir)?;
    let folder = folder.path();
    let name = node_daemon::name(&options.node)?;
    let plane = ControlPlane::start(folder, &options.control_plane, &options.node.artifacts).await?;
    let node_folder = folder.join("node");
    let subject = node_identity::subject(&name);
    let issued = plane.authority.issue(&subject, CERTIFICATE_LIFE)?;
    let identity = NodeIdentity::new(&issued, plane.authority.certificate_pem())?;
    let renewal = {
        let (identity, subject, authority) = (identity.clone(), subject.clone(), Arc::clone(&plane.authority));
        move || {
            let renewed = authority.issue(&subject, CERTIFICATE_LIFE).map_err(anyhow::Error::from);
            let renewed = renewed.and_then(|issued| identity.renew(&issued).map(|()| issued));
            std::future::ready(renewed)
        }
    };
    let _renewal = task::spawn("node certificate", node_identity::keep_fresh("node", Some(issued), renewal));
    let user = User::authenticated(&subject.common_name, subject.organization.into_iter().collect());
    let cluster = Cluster {
        client: control_plane::in_process(&plane.server, user),
        url: plane.url.clone(),
        identity,
        content: plane.content.clone(),
        owns_content: false,
        port: None,
    };
    let ip = options.node.node_ip.unwrap_or_else(|| node_ip(options.control_plane.listen));
    let kubelet = node_daemon::prepare(&node_folder, name, ip, &options.node, cluster).await?;
    plane.server.measure(Box::new(kubelet.metrics()));
    welcome::say(folder, &plane.url, plane.is_new, "kubectl get nodes");
    // The pods end first, while the API server still hears how.
    let ended = node_daemon::run(kubelet, signals).await;
    plane.end().await?;
    ended
}

/// The node's address: the one at which others reach the API server, or loopback on a machine that reaches nobody.
fn node_ip(listen: SocketAddr) -> IpAddr {
    host::reachable(listen).map_or(Ipv4Addr::LOCALHOST.into(), |address| address.ip())
}
