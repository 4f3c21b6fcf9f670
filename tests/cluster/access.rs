//! Who may do what: people by certificates and roles, programs by the tokens of their service accounts.

use k8s_openapi::api::authentication::v1::SelfSubjectReview;
use k8s_openapi::api::core::v1 as core;
use kube::api::{ListParams, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config};

use crate::commands::minke;
use crate::harness::{Cluster, DEADLINE};

async fn client(kubeconfig: &str) -> Client {
    let kubeconfig = Kubeconfig::from_yaml(kubeconfig).unwrap();
    let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.unwrap();
    Client::try_from(config).unwrap()
}

/// The code of a refusal; 200 for an answer.
fn code<T>(answer: kube::Result<T>) -> u16 {
    match answer {
        Ok(_) => 200,
        Err(kube::Error::Api(status)) => status.code,
        Err(error) => panic!("{error}"),
    }
}

const VIEWERS: &str = "apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: viewers}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: view}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: Group, name: dev}]
";

#[tokio::test(flavor = "multi_thread")]
async fn a_new_user_may_do_what_roles_give_to_their_group() {
    let cluster = Cluster::up().await;
    let made = minke(&cluster, &["user", "create", "alice", "--group", "dev", "--ttl", "1h"], "").await;
    assert_eq!(made.code, 0, "{made:?}");
    let alice = client(&made.out).await;
    let pods: Api<core::Pod> = Api::namespaced(alice.clone(), "default");
    assert_eq!(code(pods.list(&ListParams::default()).await), 403);

    cluster.create(VIEWERS).await;
    // The rules of `view` are gathered by a controller.
    let allowed = async { while code(pods.list(&ListParams::default()).await) != 200 {} };
    tokio::time::timeout(DEADLINE, allowed).await.unwrap();
    let secrets: Api<core::Secret> = Api::namespaced(alice.clone(), "default");
    assert_eq!(code(secrets.list(&ListParams::default()).await), 403);
    assert_eq!(code(pods.create(&PostParams::default(), &core::Pod::default()).await), 403);

    let refused = minke(&cluster, &["user", "create", "system:admin"], "").await;
    assert!(refused.code == 1 && refused.err.contains("choose another"), "{refused:?}");
}

const READS: &str = "apiVersion: v1
kind: Pod
metadata: {name: reads}
spec:
  restartPolicy: Never
  containers:
  - name: c
    image: registry.minke.local/default/hello
    args: [cat, /var/run/secrets/kubernetes.io/serviceaccount/token]
";

#[tokio::test(flavor = "multi_thread")]
async fn a_program_has_a_token_of_its_account_that_ends_with_its_pod() {
    let cluster = Cluster::up().await;
    cluster.push("hello").await;
    cluster.create(READS).await;
    cluster.pod("reads").is("Succeeded").await;
    let token = cluster.pod("reads").log().await;

    let kubeconfig = Kubeconfig::read_from(cluster.data().join("kubeconfig")).unwrap();
    let mut config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.unwrap();
    config.auth_info = kube::config::AuthInfo { token: Some(token.into()), ..Default::default() };
    let reviews: Api<SelfSubjectReview> = Api::all(Client::try_from(config).unwrap());
    let ask = async || reviews.create(&PostParams::default(), &SelfSubjectReview::default()).await;
    let user = ask().await.unwrap().status.unwrap().user_info.unwrap();
    assert_eq!(user.username.as_deref(), Some("system:serviceaccount:default:default"));
    assert_eq!(user.extra.unwrap()["authentication.kubernetes.io/pod-name"], ["reads"]);

    cluster.delete("Pod", "reads").await;
    cluster.pod("reads").is_gone().await;
    assert_eq!(code(ask().await), 401);
}
