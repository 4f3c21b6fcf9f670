//! What starts this process hears how it is: systemd's `sd_notify` protocol, where `NOTIFY_SOCKET` says so.

use sd_notify::NotifyState;

/// Says that everything serves.
pub(crate) fn ready() {
    tell(NotifyState::Ready);
}

/// Says that the process was asked to end.
pub(crate) fn stopping() {
    tell(NotifyState::Stopping);
}

fn tell(state: NotifyState<'_>) {
    // Without a supervisor there is nobody to tell, which is no error.
    if let Err(error) = sd_notify::notify(&[state]) {
        tracing::warn!(%error, "the supervisor cannot be told how we are");
    }
}
