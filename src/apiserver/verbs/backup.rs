//! `GET /apis/run.minke.dev/v1/backup`: a consistent copy of the store, for whoever may do everything: it holds every
//! Secret.
//!
//! The copy is made in the server's own folder, since it may be larger than memory, and loses its name before the first
//! byte is sent; so it is gone when the answer ends, however it ends.

use std::path::Path;

use api::status::Status;
use axum::body::Body;
use base::task;
use http::Response;
use http::header::{CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_TYPE, HeaderValue};
use tokio::io::AsyncReadExt as _;
use tokio_util::io::ReaderStream;

use crate::authentication::User;
use crate::registry;
use crate::server::ApiServer;
use crate::shares::Shares;

/// Backups that are made or sent at once: each is as large as the store.
const BACKUPS_MAX: usize = 2;

/// How much is read at once, in bytes.
const READ_BYTES: usize = 256 << 10;

/// What backups share.
pub(crate) fn room() -> Shares {
    Shares::new(BACKUPS_MAX, BACKUPS_MAX)
}

/// Answers with the copy. That the caller may do everything was not asked yet.
pub(super) async fn serve(server: &ApiServer, user: &User) -> Result<Response<Body>, Status> {
    if !user.is_in(User::MASTERS) {
        return Err(Status::forbidden(
            "run.minke.dev",
            "backup",
            "",
            "a backup holds every Secret: only administrators get one",
        ));
    }
    let Some(folder) = server.options().backup_folder.clone() else {
        return Err(Status::service_unavailable("this server has no folder for backups"));
    };
    let share = server.limits().backups.take(&user.name, 1);
    let share = share.ok_or_else(|| Status::too_many_requests("other backups are being made, please try again", 30))?;
    let (file, length) = copy(server, &folder).await.map_err(|error| {
        // Paths of this machine are for its log only.
        tracing::error!(error, "a backup could not be made");
        Status::internal_plain("the backup could not be made")
    })?;
    tracing::info!(user = user.name, bytes = length, "a backup is sent");
    // What the file holds beyond its length now is not of the copy.
    let chunks = ReaderStream::with_capacity(file.take(length), READ_BYTES);
    let mut response = Response::new(registry::send(chunks, share));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    headers.insert(CONTENT_DISPOSITION, HeaderValue::from_static("attachment; filename=\"minke-backup.redb\""));
    Ok(response)
}

/// A copy without a name, and its length in bytes.
async fn copy(server: &ApiServer, folder: &Path) -> Result<(tokio::fs::File, u64), String> {
    let folder = folder.to_owned();
    let made = task::blocking(move || tempfile::Builder::new().prefix("backup-").tempdir_in(folder)).await;
    let place = made.map_err(|error| error.to_string())?.map_err(|error| error.to_string())?;
    let path = place.path().join("store.redb");
    server.objects().store().backup(&path).await.map_err(|error| error.to_string())?;
    let file = tokio::fs::File::open(&path).await.map_err(|error| error.to_string())?;
    let length = file.metadata().await.map_err(|error| error.to_string())?.len();
    let closed = task::blocking(move || place.close()).await;
    closed.map_err(|error| error.to_string())?.map_err(|error| error.to_string())?;
    Ok((file, length))
}
