//! An API server that is measured, ours or upstream's, whatever processes it is made of.

use std::time::Duration;

use anyhow::Result;

use crate::Bench;
use crate::cluster::Cluster;
use crate::connection::Server;
use crate::upstream::Upstream;
use crate::usage::{Usage, cpu};

/// Whose.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Product {
    /// `minke server`: the API with its store, the controllers and the scheduler.
    Minke,
    /// kube-apiserver and etcd.
    Upstream,
}

/// A running one.
pub(crate) enum Peer {
    Minke(Box<Cluster>),
    Upstream(Box<Upstream>),
}

impl Product {
    /// Starts it over new data.
    pub(crate) async fn start(self, bench: &Bench) -> Result<Peer> {
        Ok(match self {
            Self::Minke => Peer::Minke(Box::new(Cluster::start(bench, "server", &[]).await?)),
            Self::Upstream => Peer::Upstream(Box::new(Upstream::start(bench).await?)),
        })
    }
}

impl Peer {
    /// Asks it to end, and starts it over its data.
    pub(crate) async fn restart(self, bench: &Bench) -> Result<Self> {
        Ok(match self {
            Self::Minke(cluster) => {
                let data = cluster.end().await?;
                Self::Minke(Box::new(Cluster::start_in(bench, data, "server", &[]).await?))
            }
            Self::Upstream(upstream) => Self::Upstream(Box::new(upstream.restart().await?)),
        })
    }

    pub(crate) fn server(&self) -> &Server {
        match self {
            Self::Minke(cluster) => &cluster.server,
            Self::Upstream(upstream) => &upstream.server,
        }
    }

    /// From its start until it was ready.
    pub(crate) fn ready_after(&self) -> Duration {
        match self {
            Self::Minke(cluster) => cluster.ready_after,
            Self::Upstream(upstream) => upstream.ready_after,
        }
    }

    /// CPU time that all its processes have had.
    pub(crate) fn cpu(&self) -> Result<Duration> {
        self.processes()?.into_iter().map(cpu).sum()
    }

    /// Resident memory of all its processes, in bytes.
    pub(crate) fn rss(&self) -> Result<i64> {
        self.processes()?.into_iter().map(|process| Ok(Usage::of(process)?.rss)).sum()
    }

    fn processes(&self) -> Result<Vec<u32>> {
        Ok(match self {
            Self::Minke(cluster) => vec![cluster.process.id()?],
            Self::Upstream(upstream) => vec![upstream.etcd.id()?, upstream.apiserver.id()?],
        })
    }
}
