//! What a person reads who started a cluster.

use std::path::Path;

use crate::VERSION;

/// Says in four lines what there is, where, and what to type next.
#[expect(clippy::print_stdout, reason = "what the person who started it reads")]
pub(crate) fn say(folder: &Path, url: &str, is_new: bool, next: &str) {
    let what = if is_new { "made a new cluster in" } else { "goes on with the cluster in" };
    println!("minke {VERSION} {what} {}", folder.display());
    println!("The API server listens on {url}");
    println!("Now type, in another terminal:  export KUBECONFIG={}", folder.join("kubeconfig").display());
    println!("and then:                       {next}");
}
