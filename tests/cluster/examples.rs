//! Every example does what it says.

use std::path::Path;

use crate::harness::{Cluster, DEADLINE};

#[tokio::test(flavor = "multi_thread")]
async fn every_example_runs_and_prints_what_it_says() {
    let cluster = Cluster::up().await;
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let mut count = 0;
    for folder in std::fs::read_dir(examples).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()) {
        let name = folder.file_name().unwrap().to_str().unwrap();
        let read = |file: &str| std::fs::read_to_string(folder.join(file)).unwrap();
        let program = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(&program, wat::parse_str(read(&format!("{name}.wat"))).unwrap()).unwrap();
        cluster.push_file(name, program.path()).await;
        cluster.create(&read("pod.yaml")).await;

        let (expected, begun) = (read("expected.log"), base::clock::Instant::now());
        cluster
            .pod(name)
            .until(|pod| ["Running", "Succeeded"].contains(&pod["status"]["phase"].as_str().unwrap()))
            .await;
        while !cluster.pod(name).log().await.starts_with(&expected) {
            assert!(begun.elapsed() < DEADLINE, "{name} printed {:?}", cluster.pod(name).log().await);
            tokio::task::yield_now().await;
        }
        count += 1;
    }
    assert!(count >= 3, "only {count} examples were found");
}
