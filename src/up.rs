//! `minke up`: a whole cluster in one process.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;

use anyhow::{Context as _, Result};
use apiserver::bootstrap::{self, Keys};
use apiserver::serve::{self, Entry, tls};
use apiserver::{ApiServer, services};
use base::shutdown::{self, Trigger};
use base::task;
use store::Store;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use crate::arguments::Up;
use crate::{VERSION, data_folder};

/// Runs until the process is asked to end.
///
/// # Errors
/// When the cluster cannot start; the message says what to do.
pub async fn run(options: Up) -> Result<()> {
    let folder = data_folder::choose(options.data_dir)?;
    // The port first: a second `up` on the same data directory is told so before anything is written.
    let listener = listen(options.listen).await?;
    let address = listener.local_addr()?;
    let keys = bootstrap::prepare(&bootstrap::Options {
        folder: folder.clone(),
        names: names(address, options.tls_sans),
        url: url(address),
    })?;
    let store = Store::open(store::Options::file(folder.join("store.redb"))).await?;
    let (trigger, shutdown) = shutdown::channel();
    let server_options = apiserver::Options { services: services::Ranges::default(), version: VERSION.to_owned() };
    let server = ApiServer::start(store.clone(), server_options, shutdown.clone()).await?;
    let entry = Entry {
        tls: tls::config(tls::Serving::new(&keys.serving)?, keys.authority.certificate_pem())?,
        tokens: Default::default(),
    };
    let serving = task::spawn("api server", serve::run(server, listener, entry, shutdown));
    welcome(&folder, address, &keys);

    end_requested(trigger).await?;
    serving.await.context("the API server ended early")?;
    store.close().await?;
    Ok(())
}

async fn listen(address: SocketAddr) -> Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| {
        format!("cannot listen on {address}: is another `minke up` running? Choose another with --listen ADDR:PORT")
    })
}

/// Every name under which the server is reached.
fn names(address: SocketAddr, further: Vec<String>) -> Vec<String> {
    let mut names: Vec<String> = [
        "localhost",
        "kubernetes",
        "kubernetes.default",
        "kubernetes.default.svc",
        "kubernetes.default.svc.cluster.local",
        "127.0.0.1",
        "::1",
        "100.96.0.1",
    ]
    .map(str::to_owned)
    .to_vec();
    names.push(address.ip().to_string());
    names.extend(further);
    names.sort();
    names.dedup();
    names
}

/// How clients on this machine reach a listener.
fn url(address: SocketAddr) -> String {
    let host = match address.ip() {
        ip if !ip.is_unspecified() => ip,
        IpAddr::V4(_) => IpAddr::from([127, 0, 0, 1]),
        IpAddr::V6(_) => IpAddr::from(std::net::Ipv6Addr::LOCALHOST),
    };
    format!("https://{}", SocketAddr::new(host, address.port()))
}

/// Says what there is and what to type next.
#[expect(clippy::print_stdout, reason = "what the person who started it reads")]
fn welcome(folder: &Path, address: SocketAddr, keys: &Keys) {
    let what = if keys.is_new { "made a new cluster in" } else { "goes on with the cluster in" };
    println!("minke {VERSION} {what} {}", folder.display());
    println!("The API server listens on {}", url(address));
    println!("Now type, in another terminal:  export KUBECONFIG={}", folder.join("kubeconfig").display());
    println!("and then:                       kubectl get namespaces");
}

/// Waits for SIGTERM or SIGINT, then asks everything to end.
async fn end_requested(trigger: Trigger) -> Result<()> {
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for SIGINT")?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    tracing::info!("ending: requests under way are finished, a second signal ends at once");
    trigger.pull();
    task::spawn("second signal", async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        std::process::exit(130);
    })
    .detach();
    Ok(())
}
