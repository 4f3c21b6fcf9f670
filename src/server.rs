//! `minke server`: a control plane without a node.

use anyhow::Result;

use crate::arguments::Server;
use crate::control_plane::ControlPlane;
use crate::data_folder::DataFolder;
use crate::signals::Signals;
use crate::{supervisor, welcome};

/// Runs until the process is asked to end.
///
/// # Errors
/// When the control plane cannot start; the message says what to do.
pub async fn run(options: Server) -> Result<()> {
    let signals = Signals::listen()?;
    let folder = DataFolder::take(options.process.data_dir)?;
    let folder = folder.path();
    let plane = ControlPlane::start(folder, &options.control_plane, &options.artifacts).await?;
    let next = "minke token create --print-join-command";
    welcome::say(folder, &plane.url, plane.is_new, next);
    supervisor::ready();
    signals.first().await;
    supervisor::stopping();
    plane.end().await
}
