//! The serving certificate's renewal: at two thirds of its life, while connections go on.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use base::pki::{Authority, Identity};
use base::shutdown::Shutdown;
use base::task;

use super::tls::{self, Serving};
use crate::bootstrap;

/// How often the certificate's age is looked at. A third of a certificate's life is months, so nothing is missed; and
/// when somebody sets the date, the next look knows it.
const LOOK_EVERY: Duration = Duration::from_hours(1);

/// Renews one certificate.
#[derive(Debug)]
pub struct Renewal {
    serving: Serving,
    shown: String,
    folder: PathBuf,
    authority: Arc<Authority>,
    names: Vec<String>,
}

impl Renewal {
    /// Begins to show `identity`, followed by the authority's certificate: a node that joins knows the cluster by its
    /// authority's hash, and has to see what it is the hash of. `folder` is where the certificate lies (`DIR/pki`),
    /// `names` under which the server is reached.
    ///
    /// # Errors
    /// When the certificate or its key cannot be used.
    pub fn begin(
        identity: &Identity,
        folder: PathBuf,
        authority: Arc<Authority>,
        names: Vec<String>,
    ) -> Result<(Serving, Self), tls::Error> {
        let serving = Serving::new(&chain(identity, &authority))?;
        let shown = identity.certificate_pem.clone();
        Ok((serving.clone(), Self { serving, shown, folder, authority, names }))
    }

    /// Renews the certificate whenever it is due, until `shutdown`. A failure is told, and tried again at the next look.
    pub async fn run(mut self, shutdown: Shutdown) {
        while shutdown.or(self.look()).await.is_some() {
            if shutdown.or(tokio::time::sleep(LOOK_EVERY)).await.is_none() {
                break;
            }
        }
    }

    /// Renews the certificate if it is due now.
    pub(crate) async fn look(&mut self) {
        let (folder, authority, names) = (self.folder.clone(), Arc::clone(&self.authority), self.names.clone());
        let found = task::blocking(move || bootstrap::serving(&folder, &authority, &names)).await;
        let shown = match found {
            Ok(Ok(identity)) if identity.certificate_pem == self.shown => return,
            Ok(Ok(identity)) => {
                let renewed = self.serving.renew(&chain(&identity, &self.authority));
                renewed.map(|()| identity.certificate_pem).map_err(|error| error.to_string())
            }
            Ok(Err(error)) => Err(error.to_string()),
            Err(ended) => Err(ended.to_string()),
        };
        match shown {
            Ok(shown) => {
                self.shown = shown;
                tracing::info!("the serving certificate was renewed");
            }
            Err(error) => tracing::warn!(error, "the serving certificate cannot be renewed; trying again"),
        }
    }
}

fn chain(identity: &Identity, authority: &Authority) -> Identity {
    let certificate_pem = format!("{}{}", identity.certificate_pem, authority.certificate_pem());
    Identity { certificate_pem, key_pem: identity.key_pem.clone() }
}
