//! Real programs that take minutes to build: a database and a multi-tool. `cargo xtask guests --all` builds them, and
//! `cargo xtask test` runs these tests exactly when they are there.

use crate::harness::Cluster;
use crate::programs::{FILES, log};

#[tokio::test(flavor = "multi_thread")]
async fn a_database_is_read_by_the_container_after_the_one_that_wrote_it() {
    let cluster = Cluster::up().await;
    cluster.push("sqlite").await;
    cluster.create(DATABASE).await;

    cluster.pod("database").is("Succeeded").await;
    assert_eq!(log(&cluster, "database", "reads").await, "fig|0.25\npear|1.5\n1.75|2\nok\n");
}

const DATABASE: &str = "apiVersion: v1
kind: Pod
metadata: {name: database}
spec:
  restartPolicy: Never
  volumes: [{name: data, emptyDir: {}}]
  initContainers:
  - name: writes
    image: registry.minke.local/default/sqlite
    args:
    - /data/fruit.db
    - |
      create table fruit (name text primary key, kilos real);
      insert into fruit values ('pear', 1.5), ('fig', 0.25);
      begin; delete from fruit; rollback;
    volumeMounts: [{name: data, mountPath: /data}]
  containers:
  - name: reads
    image: registry.minke.local/default/sqlite
    args:
    - /data/fruit.db
    - |
      select name, kilos from fruit order by kilos;
      select sum(kilos), count(*) from fruit;
      pragma integrity_check;
    volumeMounts: [{name: data, mountPath: /data}]
";

#[tokio::test(flavor = "multi_thread")]
async fn a_multi_tool_is_each_of_its_tools() {
    let cluster = Cluster::up().await;
    cluster.push("coreutils").await;
    cluster.create(FILES).await;
    cluster.create(TOOLS).await;

    cluster.pod("tools").is("Succeeded").await;
    assert_eq!(log(&cluster, "tools", "by-argument").await, "4 fruit.txt\n");
    assert_eq!(log(&cluster, "tools", "by-name").await, "apple\nfig\npear\n");
    let sum = "8472546a800a09a80074b1a020ae61f5e249cc6014481e24ed77e66243fc43bd";
    assert_eq!(log(&cluster, "tools", "digest").await, format!("{sum}  /files/fruit.txt\n"));
}

const TOOLS: &str = "apiVersion: v1
kind: Pod
metadata: {name: tools}
spec:
  restartPolicy: Never
  volumes: [{name: files, configMap: {name: files}}]
  containers:
  - name: by-argument
    image: registry.minke.local/default/coreutils
    args: [wc, -l, fruit.txt]
    workingDir: /files
    volumeMounts: [{name: files, mountPath: /files}]
  - name: by-name
    image: registry.minke.local/default/coreutils
    command: [sort, -u, fruit.txt]
    workingDir: /files
    volumeMounts: [{name: files, mountPath: /files}]
  - name: digest
    image: registry.minke.local/default/coreutils
    args: [sha256sum, /files/fruit.txt]
    volumeMounts: [{name: files, mountPath: /files}]
";
