//! The answer to `dryRun=All`: what an upload is, what it needs, and what stands in its way.

use images::Digest;
use images::inspect::{Import, Inspection, offered};
use serde_json::{Value, json};

/// The verdict as a document. `denied` is what the namespace says against the Pod.
pub(super) fn verdict(inspection: &Inspection, digest: &Digest, denied: Option<&str>) -> Value {
    let missing = offered::verdict(inspection);
    let texts = |imports: &[Import]| imports.iter().map(ToString::to_string).collect::<Vec<_>>();
    json!({
        "apiVersion": "run.minke.dev/v1",
        "kind": "Verdict",
        "type": inspection.kind.to_string(),
        "digest": digest,
        "sizeBytes": inspection.size_bytes,
        "imports": texts(&inspection.imports),
        "missing": texts(&missing),
        "exports": inspection.exports,
        "denied": denied.into_iter().collect::<Vec<_>>(),
        "runnable": inspection.kind.is_runnable() && missing.is_empty() && denied.is_none(),
    })
}

#[cfg(test)]
mod tests {
    use images::inspect::Kind;

    use super::*;

    #[test]
    fn it_runs_if_it_is_a_program_and_nothing_is_missing_or_denied() {
        let check = |kind, import: &str, denied, expected: bool| {
            let (module, name) = import.split_once("::").unwrap();
            let import = Import::Core { module: module.to_owned(), name: name.to_owned() };
            let inspection = Inspection { kind, imports: vec![import], exports: vec!["_start".into()], size_bytes: 9 };
            let verdict = verdict(&inspection, &Digest::of(b""), denied);
            assert_eq!(verdict["runnable"], expected, "{verdict}");
            verdict
        };
        let given = "wasi_snapshot_preview1::fd_write";
        check(Kind::CommandModule, given, None, true);
        check(Kind::LibraryModule, given, None, false);
        check(Kind::CommandModule, given, Some("no"), false);
        let verdict = check(Kind::CommandModule, "env::magic", None, false);
        assert_eq!((&verdict["missing"], &verdict["type"]), (&json!(["env::magic"]), &json!("command module")));
    }
}
