//! Real programs by others, unchanged, as pods: an interpreter, and two that work on drawings; in `slow_programs` a
//! database and a multi-tool.
//!
//! They are large and know nothing of us, so they show what small guests of ours cannot: that arguments, exit codes,
//! files, seeks and standard streams are as a program compiled for WASI expects them. `cargo xtask guests` gets them.

use kube::api::LogParams;

use crate::harness::Cluster;

/// What the programs work on.
pub(crate) const FILES: &str = r#"apiVersion: v1
kind: ConfigMap
metadata: {name: files}
data:
  fruit.txt: |
    pear
    apple
    pear
    fig
  numbers.json: "[3, 1, 41, 4, 58]"
  median.py: |
    import json, os, statistics, sys
    numbers = json.load(open(sys.argv[1]))
    print(f"{os.environ['LABEL']}: {statistics.median(numbers)}")
  drawing.svg: |
    <svg xmlns="http://www.w3.org/2000/svg" width="64" height="32"><rect width="64" height="32" fill="red"/></svg>
  path.svg: |
    <svg xmlns="http://www.w3.org/2000/svg" width="64px" height="32px"><path d="M 0 0 L 64 0 L 64 32 Z"/></svg>
  check.py: |
    import struct, sys, zlib
    png = open(sys.argv[1], "rb").read()
    width, height = struct.unpack(">II", png[16:24])
    start = png.index(b"IDAT")
    length, = struct.unpack(">I", png[start - 4:start])
    rows = zlib.decompress(png[start + 4:start + 4 + length])
    print(png[1:4].decode(), width, height, *rows[1:5])
"#;

/// The log of one container of a pod that has ended well.
pub(crate) async fn log(cluster: &Cluster, pod: &str, container: &str) -> String {
    let params = LogParams { container: Some(container.to_owned()), ..LogParams::default() };
    cluster.pod(pod).log_of(&params).await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interpreter_runs_what_its_arguments_say_and_scripts_from_a_volume() {
    let cluster = Cluster::up().await;
    cluster.push("cpython").await;
    cluster.create(FILES).await;
    cluster.create(PYTHON).await;
    cluster.create(PYTHON_THAT_FAILS).await;

    cluster.pod("python").is("Succeeded").await;
    assert_eq!(log(&cluster, "python", "inline").await, "42\n");
    assert_eq!(log(&cluster, "python", "script").await, "median: 4\n");
    let failed = cluster.pod("fails").is("Error").await;
    assert_eq!(failed["status"]["containerStatuses"][0]["state"]["terminated"]["exitCode"], 3);
    assert!(cluster.pod("fails").log().await.ends_with("\nKeyError: 'nothing'\nleft\n"));
}

const PYTHON: &str = r#"apiVersion: v1
kind: Pod
metadata: {name: python}
spec:
  restartPolicy: Never
  volumes: [{name: files, configMap: {name: files}}]
  containers:
  - name: inline
    image: registry.minke.local/default/cpython
    args: ["-c", "print(6*7)"]
  - name: script
    image: registry.minke.local/default/cpython
    args: [/files/median.py, /files/numbers.json]
    env: [{name: LABEL, value: median}]
    volumeMounts: [{name: files, mountPath: /files}]
"#;

const PYTHON_THAT_FAILS: &str = r#"apiVersion: v1
kind: Pod
metadata: {name: fails}
spec:
  restartPolicy: Never
  containers:
  - name: c
    image: registry.minke.local/default/cpython
    args:
    - -c
    - |
      import os, sys, traceback
      try:
          os.environ["nothing"]
      except KeyError:
          traceback.print_exc()
      print("left", file=sys.stderr)
      sys.exit(3)
"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_renderer_leaves_a_drawing_for_another_program_in_a_volume() {
    let cluster = Cluster::up().await;
    cluster.push("resvg").await;
    cluster.push("cpython").await;
    cluster.create(FILES).await;
    cluster.create(DRAWING).await;

    cluster.pod("drawing").is("Succeeded").await;
    assert_eq!(log(&cluster, "drawing", "checks").await, "PNG 64 32 255 0 0 255\n");
}

const DRAWING: &str = "apiVersion: v1
kind: Pod
metadata: {name: drawing}
spec:
  restartPolicy: Never
  volumes: [{name: files, configMap: {name: files}}, {name: work, emptyDir: {}}]
  initContainers:
  - name: draws
    image: registry.minke.local/default/resvg
    args: [/files/drawing.svg, /work/drawing.png]
    volumeMounts: [{name: files, mountPath: /files}, {name: work, mountPath: /work}]
  containers:
  - name: checks
    image: registry.minke.local/default/cpython
    args: [/files/check.py, /work/drawing.png]
    volumeMounts: [{name: files, mountPath: /files}, {name: work, mountPath: /work, readOnly: true}]
";

#[tokio::test(flavor = "multi_thread")]
async fn a_converter_has_its_temporary_folder_and_the_hosts_random_numbers() {
    let cluster = Cluster::up().await;
    cluster.push("svg-flatten").await;
    cluster.create(FILES).await;
    cluster.create(GERBER).await;

    cluster.pod("gerber").is("Succeeded").await;
    assert_eq!(log(&cluster, "gerber", "version").await, "3.1.9\n");
    let gerber = log(&cluster, "gerber", "converts").await;
    assert!(gerber.contains("\nG36*\n") && gerber.ends_with("\nG37*\nM02*\n"), "{gerber}");
}

const GERBER: &str = r#"apiVersion: v1
kind: Pod
metadata: {name: gerber}
spec:
  restartPolicy: Never
  volumes:
  - {name: files, configMap: {name: files}}
  - {name: tmp, emptyDir: {}}
  - {name: dev, hostPath: {path: /dev, type: Directory}}
  containers:
  - name: version
    image: registry.minke.local/default/svg-flatten
    args: [--version]
  - name: converts
    image: registry.minke.local/default/svg-flatten
    args: [--no-usvg, /files/path.svg, "-"]
    volumeMounts:
    - {name: files, mountPath: /files}
    - {name: tmp, mountPath: /tmp}
    - {name: dev, mountPath: /dev, readOnly: true}
"#;
