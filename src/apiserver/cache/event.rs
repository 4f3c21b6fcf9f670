//! One change of one object, and how watchers see it.

use std::sync::{Arc, Mutex, PoisonError};

use base::clock::Instant;
use bytes::Bytes;

use super::Object;

/// One change of one object.
#[derive(Debug)]
pub(crate) struct Event {
    /// The object after the change; for a deletion, its last state under the deletion's revision.
    pub object: Arc<Object>,
    /// The object before the change; `None` says that it was created.
    pub previous: Option<Arc<Object>>,
    /// Whether the change removed it.
    pub is_deletion: bool,
    /// When it came.
    pub(super) at: Instant,
    /// The watch frame of the change as it is seen without selectors.
    frame: Mutex<Frame>,
}

/// A frame that is made once for all who are to hear of its event.
#[derive(Debug, Default)]
enum Frame {
    #[default]
    Unmade,
    Made(Bytes),
    /// It is not kept any more.
    Let,
}

impl Event {
    pub(super) fn new(object: Object, previous: Option<Arc<Object>>, is_deletion: bool) -> Self {
        Self { object: Arc::new(object), previous, is_deletion, at: Instant::now(), frame: Mutex::default() }
    }

    /// What the window keeps alive because of this event: the state that it replaced.
    pub(super) fn weight(&self) -> usize {
        self.previous.as_ref().map_or(0, |previous| previous.size_bytes()) + size_of::<Self>()
    }

    /// What only snapshots keep alive that are older than this event.
    pub(super) fn superseded(&self) -> u64 {
        self.previous.as_ref().map_or(0, |previous| previous.size_bytes() as u64)
    }

    /// The change as a watcher without selectors sees it: one JSON line, encoded once for all of them.
    pub(crate) fn frame(&self) -> Bytes {
        let mut kept = self.frame.lock().unwrap_or_else(PoisonError::into_inner);
        if let Frame::Made(made) = &*kept {
            return made.clone();
        }
        let kind = match (&self.previous, self.is_deletion) {
            (_, true) => "DELETED",
            (None, false) => "ADDED",
            (Some(_), false) => "MODIFIED",
        };
        let made = frame(kind, &self.object);
        if matches!(*kept, Frame::Unmade) {
            *kept = Frame::Made(made.clone());
        }
        made
    }

    /// Keeps no frame any more.
    pub(super) fn let_frame(&self) {
        *self.frame.lock().unwrap_or_else(PoisonError::into_inner) = Frame::Let;
    }
}

/// A watch frame in JSON: `{"type":…,"object":…}` and a line feed.
pub(crate) fn frame(kind: &str, object: &Object) -> Bytes {
    let mut out = Vec::with_capacity(object.size_bytes() + 96);
    out.extend_from_slice(b"{\"type\":\"");
    out.extend_from_slice(kind.as_bytes());
    out.extend_from_slice(b"\",\"object\":");
    object.write_single(&mut out);
    out.extend_from_slice(b"}\n");
    out.into()
}
