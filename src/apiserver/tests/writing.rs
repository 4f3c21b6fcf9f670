//! Making, changing and ending objects.

use base::pki;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::*;

#[tokio::test]
async fn what_was_made_is_read_back_also_by_the_next_server() {
    let cluster = Cluster::start().await;
    let made = cluster.config_map("a", "1").await;
    assert_eq!(cluster.get(&format!("{MAPS}/a")).await, (200, made.clone()));

    let cluster = cluster.restart().await;
    assert_eq!(cluster.get(&format!("{MAPS}/a")).await, (200, made));
}

#[tokio::test]
async fn a_stale_update_conflicts_and_a_fresh_one_does_not() {
    let cluster = Cluster::start().await;
    let first = cluster.config_map("a", "1").await;
    let mut second = first.clone();
    second["data"]["v"] = "2".into();
    let (code, second) = cluster.ask(Method::PUT, &format!("{MAPS}/a"), second).await;
    assert_eq!((code, &second["data"]["v"]), (200, &json!("2")));

    let (code, refused) = cluster.ask(Method::PUT, &format!("{MAPS}/a"), first).await;
    let expected = "Operation cannot be fulfilled on configmaps \"a\": the object has been modified; \
                    please apply your changes to the latest version and try again";
    assert_eq!((code, message(&refused)), (409, expected));
}

#[tokio::test]
async fn a_write_that_changes_nothing_keeps_its_version() {
    let cluster = Cluster::start().await;
    let made = cluster.config_map("a", "1").await;
    let (_, again) = cluster.ask(Method::PUT, &format!("{MAPS}/a"), made.clone()).await;
    assert_eq!(again, made);
}

#[tokio::test]
async fn patches_without_a_version_all_take_effect() {
    let cluster = Cluster::start().await;
    cluster.config_map("a", "1").await;
    let patches = (0..20).map(|n| {
        let patch = json!({"data": {format!("k{n}"): "x"}});
        let path = format!("{MAPS}/a");
        let cluster = &cluster;
        async move {
            let admin = User::master("admin");
            cluster.ask_as(admin, Method::PATCH, &path, "application/merge-patch+json", patch).await.0
        }
    });
    let codes = futures::future::join_all(patches).await;
    assert!(codes.iter().all(|code| *code == 200), "{codes:?}");
    let (_, object) = cluster.get(&format!("{MAPS}/a")).await;
    assert_eq!(object["data"].as_object().unwrap().len(), 21);
}

#[tokio::test]
async fn an_object_with_finalizers_waits_for_them() {
    let cluster = Cluster::start().await;
    let object =
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "f", "finalizers": ["x.example/f"]}});
    cluster.ask(Method::POST, MAPS, object).await;
    let (code, waiting) = cluster.ask(Method::DELETE, &format!("{MAPS}/f"), Value::Null).await;
    assert_eq!(code, 200);
    assert!(waiting["metadata"]["deletionTimestamp"].is_string(), "{waiting}");

    let patch = json!({"metadata": {"finalizers": null}});
    let admin = User::master("admin");
    cluster.ask_as(admin, Method::PATCH, &format!("{MAPS}/f"), "application/merge-patch+json", patch).await;
    assert_eq!(cluster.get(&format!("{MAPS}/f")).await.0, 404);
}

#[tokio::test]
async fn a_dry_run_leaves_nothing_behind() {
    let cluster = Cluster::start().await;
    let object = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "dr"}});
    assert_eq!(cluster.ask(Method::POST, &format!("{MAPS}?dryRun=All"), object).await.0, 201);
    assert_eq!(cluster.get(&format!("{MAPS}/dr")).await.0, 404);
}

#[tokio::test]
async fn bad_input_is_told_with_the_field_and_the_value() {
    let cluster = Cluster::start().await;
    let named = |name: &str| json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}});
    for (path, body, code, part) in [
        (MAPS, named("Bad_Name"), 422, "metadata.name: Invalid value: \"Bad_Name\""),
        (
            MAPS,
            json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "b"}}),
            400,
            "cannot be handled as a ConfigMap",
        ),
        (
            MAPS,
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "b"}, "data": {"k": 1}}),
            400,
            "json: cannot unmarshal number into Go struct field ConfigMap.data of type string",
        ),
        ("/api/v1/namespaces/none/configmaps", named("a"), 404, "namespaces \"none\" not found"),
        ("/api/v1/namespaces/default/nothings", named("a"), 404, "could not find the requested resource"),
        ("/api/v1/namespaces/default/configmaps?dryRun=Some", named("a"), 422, "dryRun: Unsupported value"),
        (
            "/api/v1/namespaces/default/configmaps?fieldValidation=Strict",
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "oops": 1}),
            400,
            "unknown field \"oops\"",
        ),
    ] {
        let (found, answer) = cluster.ask(Method::POST, path, body).await;
        assert_eq!(found, code, "{path}: {answer}");
        assert!(message(&answer).contains(part), "{path}: {answer}");
    }
}

#[tokio::test]
async fn nobody_gets_further_than_their_rights() {
    let cluster = Cluster::start().await;
    let nobody = User::anonymous();
    let (code, refused) = cluster.ask_as(nobody, Method::GET, "/api/v1/pods", "", Value::Null).await;
    let expected = "pods is forbidden: User \"system:anonymous\" cannot list resource \"pods\" in API group \"\" at the cluster scope";
    assert_eq!((code, message(&refused)), (403, expected));
}

#[tokio::test]
async fn a_node_speaks_for_itself_alone() {
    let cluster = Cluster::start().await;
    let node = || User::authenticated("system:node:n1", vec!["system:nodes".to_owned()]);
    let make = async |path: &str, object: Value| {
        let kind = "application/json";
        let (code, answer) = cluster.ask_as(node(), Method::POST, path, kind, object).await;
        (code, message(&answer).to_owned())
    };
    let leases = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases";
    let lease =
        |name: &str| json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": name}});
    assert_eq!(make(leases, lease("n1")).await.0, 201);
    let refused = "leases.coordination.k8s.io \"n2\" is forbidden: can only access node lease with the same name as the \
                   requesting node";
    assert_eq!(make(leases, lease("n2")).await, (403, refused.to_owned()));

    let events = "/api/v1/namespaces/default/events";
    let event = |name: &str, host: &str| {
        json!({"apiVersion": "v1", "kind": "Event", "metadata": {"name": name}, "type": "Normal",
            "involvedObject": {"kind": "Pod", "namespace": "default", "name": "p"}, "source": {"host": host}})
    };
    assert_eq!(make(events, event("mine", "n1")).await.0, 201);
    let refused = "events \"theirs\" is forbidden: node \"n1\" is not allowed to speak for node \"n2\"";
    assert_eq!(make(events, event("theirs", "n2")).await, (403, refused.to_owned()));
}

#[tokio::test]
async fn a_pod_is_bound_once() {
    let cluster = Cluster::start().await;
    let account = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default"}});
    cluster.ask(Method::POST, "/api/v1/namespaces/default/serviceaccounts", account).await;
    let pods = "/api/v1/namespaces/default/pods";
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"},
        "spec": {"containers": [{"name": "c", "image": "i"}]}});
    assert_eq!(cluster.ask(Method::POST, pods, pod).await.0, 201);
    let binding = |node: &str| json!({"apiVersion": "v1", "kind": "Binding", "metadata": {"name": "p"}, "target": {"kind": "Node", "name": node}});
    assert_eq!(cluster.ask(Method::POST, &format!("{pods}/p/binding"), binding("n1")).await.0, 201);
    let (code, refused) = cluster.ask(Method::POST, &format!("{pods}/p/binding"), binding("n2")).await;
    let expected = "Operation cannot be fulfilled on pods/binding \"p\": pod p is already assigned to node \"n1\"";
    let again = cluster.ask(Method::POST, "/api/v1/namespaces/default/bindings", binding("n2")).await;
    assert_eq!((again.0, message(&again.1)), (409, expected));
    assert_eq!((code, message(&refused)), (409, expected));
    let (_, bound) = cluster.get(&format!("{pods}?fieldSelector=spec.nodeName%3Dn1")).await;
    assert_eq!(bound["items"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn who_asks_for_a_certificate_is_the_servers_word() {
    let cluster = Cluster::start().await;
    let subject = pki::Subject {
        common_name: "eve".into(),
        organization: Some("system:masters".into()),
        names: Vec::new(),
        usage: pki::Usage::Client,
    };
    let pem = STANDARD.encode(pki::request(&subject).unwrap().0);
    let request = |name: &str, signer: &str| {
        json!({"metadata": {"name": name}, "spec": {"signerName": signer, "request": pem,
            "usages": ["client auth"], "username": "somebody-else", "groups": ["system:masters"]}})
    };
    let path = "/apis/certificates.k8s.io/v1/certificatesigningrequests";

    let (code, made) = cluster.ask(Method::POST, path, request("mine", "example.com/own")).await;
    assert_eq!((code, &made["spec"]["username"]), (201, &json!("admin")), "{made}");
    let (code, refused) = cluster.ask(Method::POST, path, request("evil", "kubernetes.io/kube-apiserver-client")).await;
    assert_eq!(code, 403, "{refused}");
}

#[tokio::test]
async fn only_an_approval_gives_a_verdict_and_only_a_status_the_certificate() {
    let cluster = Cluster::start().await;
    let subject =
        pki::Subject { common_name: "me".into(), organization: None, names: Vec::new(), usage: pki::Usage::Client };
    let path = "/apis/certificates.k8s.io/v1/certificatesigningrequests";
    let pem = STANDARD.encode(pki::request(&subject).unwrap().0);
    let request = json!({"metadata": {"name": "me"},
        "spec": {"signerName": "example.com/own", "request": pem, "usages": ["client auth"]}});
    let (_, made) = cluster.ask(Method::POST, path, request).await;
    let mut judged = made;
    judged["status"] = json!({"conditions": [{"type": "Approved", "status": "True", "reason": "Fine"}]});

    let (code, refused) = cluster.ask(Method::PUT, &format!("{path}/me/status"), judged.clone()).await;
    let expected = "status.conditions: Forbidden: updates may not add a condition of type \"Approved\"";
    assert!(code == 422 && message(&refused).ends_with(expected), "{code} {refused}");
    judged["status"]["certificate"] = "eA==".into();
    let (code, mut approved) = cluster.ask(Method::PUT, &format!("{path}/me/approval"), judged).await;
    assert_eq!((code, &approved["status"].get("certificate")), (200, &None), "{approved}");

    approved["status"]["certificate"] = "eA==".into();
    approved["status"]["conditions"][0]["reason"] = "Another".into();
    let (code, signed) = cluster.ask(Method::PUT, &format!("{path}/me/status"), approved).await;
    assert_eq!((code, &signed["status"]["certificate"]), (200, &json!("eA==")), "{signed}");
    assert_eq!(signed["status"]["conditions"][0]["reason"], "Fine");
}

#[tokio::test]
async fn who_may_patch_or_update_may_not_therefore_create() {
    let cluster = Cluster::start().await;
    let rbac = "/apis/rbac.authorization.k8s.io/v1/namespaces/default";
    let rules = json!([{"apiGroups": ["", "coordination.k8s.io"], "resources": ["configmaps", "leases"], "verbs": ["get", "patch", "update"]}]);
    let role = json!({"metadata": {"name": "changer"}, "rules": rules});
    assert_eq!(cluster.ask(Method::POST, &format!("{rbac}/roles"), role).await.0, 201);
    let binding = json!({"metadata": {"name": "changer"}, "subjects": [{"kind": "User", "name": "eve"}],
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "changer"}});
    assert_eq!(cluster.ask(Method::POST, &format!("{rbac}/rolebindings"), binding).await.0, 201);
    let eve = || User::authenticated("eve", Vec::new());

    let applied = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"v": "1"}});
    let path = format!("{MAPS}/a?fieldManager=eve");
    let (code, refused) =
        cluster.ask_as(eve(), Method::PATCH, &path, "application/apply-patch+yaml", applied.clone()).await;
    let expected = "configmaps \"a\" is forbidden: User \"eve\" cannot create resource \"configmaps\" in API group \"\" in the namespace \"default\"";
    assert_eq!((code, message(&refused)), (403, expected));
    let lease = "/apis/coordination.k8s.io/v1/namespaces/default/leases/l";
    let body = json!({"metadata": {"name": "l"}, "spec": {"holderIdentity": "eve"}});
    assert_eq!(cluster.ask_as(eve(), Method::PUT, lease, "application/json", body).await.0, 403);

    cluster.config_map("a", "0").await;
    let path = format!("{path}&force=true");
    assert_eq!(cluster.ask_as(eve(), Method::PATCH, &path, "application/apply-patch+yaml", applied).await.0, 200);
}

#[tokio::test]
async fn a_patch_changes_an_object_and_not_what_it_is() {
    let cluster = Cluster::start().await;
    cluster.config_map("a", "1").await;
    let patch = async |kind: &str, patch: Value| {
        let admin = User::master("admin");
        cluster
            .ask_as(
                admin,
                Method::PATCH,
                &format!("{MAPS}/a?fieldValidation=Strict"),
                &format!("application/{kind}+json"),
                patch,
            )
            .await
    };
    let (code, refused) = patch("merge-patch", json!({"kind": "Secret"})).await;
    assert!(code == 422 && message(&refused).starts_with(" \"\" is invalid: patch: Invalid value: "), "{refused}");
    let (code, kept) = patch("strategic-merge-patch", json!({"kind": "Secret", "data": {"v": "2"}})).await;
    assert_eq!((code, &kept["kind"], &kept["data"]["v"]), (200, &json!("ConfigMap"), &json!("2")));
    let (code, kept) = patch("json-patch", json!([{"op": "remove", "path": "/kind"}])).await;
    assert_eq!((code, &kept["kind"]), (200, &json!("ConfigMap")));
    let (code, refused) = patch("json-patch", json!([{"op": "remove", "path": "/data", "foo": 1}])).await;
    assert!(
        code == 422 && message(&refused).ends_with("strict decoding error: json patch unknown field \"[0].foo\""),
        "{refused}"
    );
}

#[tokio::test]
async fn managed_fields_are_let_go_by_an_empty_list_and_are_one_managers_once() {
    let cluster = Cluster::start().await;
    let apply = async |manager: &str, data: Value| {
        let applied = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": data});
        let path = format!("{MAPS}/a?fieldManager={manager}");
        cluster.ask_as(User::master("admin"), Method::PATCH, &path, "application/apply-patch+yaml", applied).await.1
    };
    apply("one", json!({"a": "1"})).await;
    let mut both = apply("two", json!({"b": "1"})).await;
    for entry in both["metadata"]["managedFields"].as_array_mut().unwrap() {
        entry["manager"] = "same".into();
    }
    let (_, united) = cluster.ask(Method::PUT, &format!("{MAPS}/a"), both).await;
    let entries = united["metadata"]["managedFields"].as_array().unwrap();
    assert_eq!((entries.len(), &entries[0]["fieldsV1"]), (1, &json!({"f:data": {"f:b": {}}})), "{united}");
    let mut cleared = united;
    cleared["metadata"]["managedFields"] = json!([]);
    let (_, cleared) = cluster.ask(Method::PUT, &format!("{MAPS}/a"), cleared).await;
    assert_eq!(cleared["metadata"].get("managedFields"), None);
}

#[tokio::test]
async fn a_status_is_written_with_metadata_and_a_job_leaves_its_dependents() {
    let cluster = Cluster::start().await;
    let patch = json!({"metadata": {"annotations": {"patched": "yes"}}, "status": {"conditions": [{"type": "A", "status": "True", "reason": "R", "message": "m"}]}});
    let status = "/api/v1/namespaces/default/status";
    let admin = User::master("admin");
    let (code, patched) = cluster.ask_as(admin, Method::PATCH, status, "application/merge-patch+json", patch).await;
    assert_eq!((code, &patched["metadata"]["annotations"]["patched"]), (200, &json!("yes")), "{patched}");

    let jobs = "/apis/batch/v1/namespaces/default/jobs";
    let job = json!({"metadata": {"name": "j"}, "spec": {"template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "i"}]}}}});
    assert_eq!(cluster.ask(Method::POST, jobs, job).await.0, 201);
    let (code, deleted) = cluster.ask(Method::DELETE, &format!("{jobs}/j"), Value::Null).await;
    assert_eq!((code, &deleted["metadata"]["finalizers"]), (200, &json!(["orphan"])), "{deleted}");
}

#[tokio::test]
async fn what_cannot_be_meant_is_refused() {
    let cluster = Cluster::start().await;
    cluster.config_map("a", "1").await;
    let map = json!({"metadata": {"name": "b"}});
    assert_eq!(cluster.ask(Method::POST, &format!("{MAPS}?dryRun="), map).await.0, 422);
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}});
    assert_eq!(cluster.ask(Method::DELETE, &format!("{MAPS}/a"), pod).await.0, 400);
    let (code, refused) = cluster.get(&format!("{MAPS}?timeout=34")).await;
    let expected = "invalid timeout specified in the request URL - time: missing unit in duration \"34\"";
    assert_eq!((code, message(&refused)), (400, expected));
    assert_eq!(cluster.get("/version?timeout=invalid").await.0, 400);
    let events = "/apis/events.k8s.io/v1/namespaces/default/events?fieldSelector=reportingController";
    assert_eq!(cluster.get(&format!("{events}=x")).await.0, 200);
    assert_eq!(cluster.get(&format!("{events}s=x")).await.0, 400);
}

#[tokio::test]
async fn who_may_act_as_somebody_for_one_verb_may_for_no_other() {
    let cluster = Cluster::start().await;
    let rbac = "/apis/rbac.authorization.k8s.io/v1";
    let rules = json!([
        {"apiGroups": ["authentication.k8s.io"], "resources": ["users"], "resourceNames": ["bob"], "verbs": ["impersonate:user-info"]},
        {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["impersonate-on:user-info:list"]},
        {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["list", "get"]}]);
    let role = json!({"metadata": {"name": "acting"}, "rules": rules});
    assert_eq!(cluster.ask(Method::POST, &format!("{rbac}/clusterroles"), role).await.0, 201);
    let user = |name: &str| json!({"kind": "User", "name": name, "apiGroup": "rbac.authorization.k8s.io"});
    let binding = json!({"metadata": {"name": "acting"}, "subjects": [user("eve"), user("bob")],
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "acting"}});
    assert_eq!(cluster.ask(Method::POST, &format!("{rbac}/clusterrolebindings"), binding).await.0, 201);
    cluster.config_map("a", "1").await;

    let as_user = async |name: &str, path: &str| {
        let mut request = Request::get(path).header("impersonate-user", name).body(Body::empty()).unwrap();
        request.extensions_mut().insert(User::authenticated("eve", Vec::new()));
        cluster.server.handle(request).await.status().as_u16()
    };
    assert_eq!(as_user("bob", MAPS).await, 200);
    assert_eq!(as_user("bob", &format!("{MAPS}/a")).await, 403);
    assert_eq!(as_user("alice", MAPS).await, 403);
}
