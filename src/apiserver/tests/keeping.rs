//! What the server keeps by itself: its own Service, the end of Events, warnings of what is not there yet.

use std::time::Duration;

use super::*;

const SERVICE: &str = "/api/v1/namespaces/default/services/kubernetes";
const ADDRESSES: &str = "/apis/networking.k8s.io/v1/ipaddresses";
const ENDPOINTS: &str = "/api/v1/namespaces/default/endpoints/kubernetes";

impl Cluster {
    /// Waits until what stands at `path` is as wanted.
    async fn becomes(&self, path: &str, is_wanted: impl Fn(u16, &Value) -> bool) -> Value {
        let reached = async {
            loop {
                let (code, value) = self.get(path).await;
                if is_wanted(code, &value) {
                    return value;
                }
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), reached).await.unwrap_or_else(|_| panic!("{path} does not come"))
    }
}

#[tokio::test]
async fn the_servers_own_service_is_there_and_comes_back() {
    let cluster = Cluster::with(|options| options.advertised = Some("192.0.2.7:6443".parse().unwrap())).await;
    let service = cluster.becomes(SERVICE, |code, _| code == 200).await;
    assert_eq!(service["spec"]["clusterIP"], "100.96.0.1");
    let port = &service["spec"]["ports"][0];
    assert_eq!((&port["name"], &port["port"], &port["targetPort"]), (&json!("https"), &json!(443), &json!(6443)));
    let endpoints = cluster.becomes(ENDPOINTS, |code, _| code == 200).await;
    assert_eq!(endpoints["subsets"][0]["addresses"], json!([{"ip": "192.0.2.7"}]));

    let slice = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices/kubernetes";
    let slice = cluster.becomes(slice, |code, _| code == 200).await;
    assert_eq!(slice["endpoints"], json!([{"addresses": ["192.0.2.7"], "conditions": {"ready": true}}]));
    let address = cluster.becomes(&format!("{ADDRESSES}/100.96.0.1"), |code, _| code == 200).await;
    assert_eq!(
        address["spec"]["parentRef"],
        json!({"resource": "services", "namespace": "default", "name": "kubernetes"})
    );

    let uid = service["metadata"]["uid"].clone();
    cluster.ask(Method::DELETE, SERVICE, Value::Null).await;
    let again = cluster.becomes(SERVICE, |code, value| code == 200 && value["metadata"]["uid"] != uid).await;
    assert_eq!(again["spec"]["clusterIP"], "100.96.0.1");
    let mut changed = endpoints;
    changed["subsets"] = json!([]);
    cluster.ask(Method::PUT, ENDPOINTS, changed).await;
    cluster.becomes(ENDPOINTS, |_, value| value["subsets"][0]["ports"][0]["port"] == 6443).await;
    let (_, versions) = cluster.get("/api").await;
    assert_eq!(versions["serverAddressByClientCIDRs"][0]["serverAddress"], "192.0.2.7:6443");
}

#[tokio::test]
async fn each_address_of_a_service_is_an_object_as_long_as_the_service_has_it() {
    let cluster = Cluster::start().await;
    let service = json!({"metadata": {"name": "web"}, "spec": {"clusterIP": "100.96.0.9", "ports": [{"port": 80}]}});
    let services = "/api/v1/namespaces/default/services";
    assert_eq!(cluster.ask(Method::POST, services, service).await.0, 201);
    let path = format!("{ADDRESSES}/100.96.0.9");
    let address = cluster.becomes(&path, |code, _| code == 200).await;
    let labels =
        json!({"ipaddress.kubernetes.io/ip-family": "IPv4", "ipaddress.kubernetes.io/managed-by": "ipallocator"});
    assert_eq!(address["metadata"]["labels"], labels);
    cluster.ask(Method::DELETE, &path, Value::Null).await;
    let uid = address["metadata"]["uid"].clone();
    cluster.becomes(&path, |code, value| code == 200 && value["metadata"]["uid"] != uid).await;
    cluster.ask(Method::DELETE, &format!("{services}/web"), Value::Null).await;
    cluster.becomes(&path, |code, _| code == 404).await;
}

#[tokio::test]
async fn every_cluster_has_what_tells_of_its_api() {
    let cluster = Cluster::start().await;
    let condition = |object: &Value| {
        let condition = &object["status"]["conditions"][0];
        [&condition["type"], &condition["status"], &condition["message"]].map(|text| text.as_str().unwrap().to_owned())
    };
    let (_, range) = cluster.get("/apis/networking.k8s.io/v1/servicecidrs/kubernetes").await;
    assert_eq!(range["spec"]["cidrs"], json!(["100.96.0.0/16"]));
    assert_eq!(condition(&range), ["Ready", "True", "Kubernetes default Service CIDR is ready"]);
    let (_, service) = cluster.get("/apis/apiregistration.k8s.io/v1/apiservices/v1.apps").await;
    assert_eq!(service["spec"]["groupPriorityMinimum"], 17800);
    assert_eq!(condition(&service), ["Available", "True", "Local APIServices are always available"]);
    let path = "/apis/flowcontrol.apiserver.k8s.io/v1";
    let (_, schema) = cluster.get(&format!("{path}/flowschemas/service-accounts")).await;
    let told = "This FlowSchema references the PriorityLevelConfiguration object named \"workload-low\" and it exists";
    assert_eq!(condition(&schema), ["Dangling", "False", told]);
    let (_, levels) = cluster.get(&format!("{path}/prioritylevelconfigurations")).await;
    assert_eq!(levels["items"].as_array().unwrap().len(), 8);

    let mut changed = schema.clone();
    changed["spec"]["matchingPrecedence"] = json!(7);
    assert_eq!(cluster.ask(Method::PUT, &format!("{path}/flowschemas/service-accounts"), changed).await.0, 200);
    crate::seed::plant(&cluster.server).await.unwrap();
    let (_, schema) = cluster.get(&format!("{path}/flowschemas/service-accounts")).await;
    assert_eq!(schema["spec"]["matchingPrecedence"], 9000);
    let (code, _) =
        cluster.ask(Method::DELETE, &format!("{path}/prioritylevelconfigurations/system"), Value::Null).await;
    assert_eq!(code, 200);
}

#[tokio::test]
async fn an_event_ends_an_hour_after_its_last_change() {
    let cluster = Cluster::start().await;
    let path = "/api/v1/namespaces/default/events";
    for name in ["old", "young"] {
        let event = json!({"metadata": {"name": name}, "involvedObject": {"kind": "Pod", "namespace": "default"},
            "reason": "Test", "type": "Normal"});
        let (code, made) = cluster.ask(Method::POST, path, event).await;
        assert_eq!(code, 201, "{made}");
        if name == "old" {
            tokio::time::pause();
            tokio::time::advance(Duration::from_secs(3000)).await;
            tokio::time::resume();
        }
    }
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(700)).await;
    tokio::time::resume();
    cluster.becomes(&format!("{path}/old"), |code, _| code == 404).await;
    assert_eq!(cluster.get(&format!("{path}/young")).await.0, 200);
}

#[tokio::test]
async fn who_creates_what_nothing_acts_on_is_warned() {
    let cluster = Cluster::start().await;
    let service = json!({"metadata": {"name": "web"}, "spec": {"ports": [{"port": 80}]}});
    let mut request = Request::post("/api/v1/namespaces/default/services").body(service.to_string().into()).unwrap();
    request.extensions_mut().insert(User::master("admin"));
    request.headers_mut().insert(CONTENT_TYPE, "application/json".parse().unwrap());
    let response = cluster.server.handle(request).await;
    assert_eq!(response.status(), 201);
    let warning = response.headers()["warning"].to_str().unwrap();
    assert!(warning.starts_with("299 - \"the Service gets its addresses"), "{warning}");
}

#[tokio::test]
async fn uploads_are_found_by_discovery() {
    let cluster = Cluster::start().await;
    let (_, groups) = cluster.get("/apis").await;
    assert!(groups["groups"].as_array().unwrap().iter().any(|group| group["name"] == "run.minke.dev"));
    let (code, resources) = cluster.get("/apis/run.minke.dev/v1").await;
    assert_eq!((code, &resources["resources"][1]["name"]), (200, &json!("run")));
    assert_eq!(cluster.get("/apis/run.minke.dev").await.1["kind"], "APIGroup");
}

#[tokio::test]
async fn limits_and_artifacts_are_measured() {
    let cluster = Cluster::start().await;
    let content = images::content::Options::at(cluster.folder.path().join("blobs"));
    cluster.server.keep_artifacts_in(images::ContentStore::open(content).await.unwrap());
    let text = cluster.stream("/metrics").await.collect().await.unwrap().to_bytes();
    let text = std::str::from_utf8(&text).unwrap();
    for expected in [
        "apiserver_request_total{verb=\"create\",resource=\"namespaces\",code=\"201\"} 4",
        "apiserver_current_inflight_requests{request_kind=\"readOnly\"} 1",
        "apiserver_storage_objects{resource=\"namespaces\"} 4",
        "minke_registry_artifact_max_bytes 268435456",
        "kubernetes_build_info{git_version=",
    ] {
        assert!(text.contains(expected), "{expected} is not in\n{text}");
    }
    assert_eq!(text.matches("# EOF").count(), 1);
}

#[tokio::test]
async fn health_is_that_of_the_store_and_of_what_readers_see() {
    let cluster = Cluster::start().await;
    let told = async |path: &str| {
        let mut request = Request::get(path).body(Body::empty()).unwrap();
        request.extensions_mut().insert(User::master("admin"));
        let response = cluster.server.handle(request).await;
        let code = response.status().as_u16();
        (code, String::from_utf8(response.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap())
    };
    let well = "[+]ping ok\n[+]store ok\n[+]watch-cache ok\n";
    assert_eq!(told("/livez?verbose").await, (200, format!("{well}livez check passed\n")));
    assert_eq!(told("/readyz?verbose").await, (200, format!("{well}[+]shutdown ok\nreadyz check passed\n")));

    cluster.store.close().await.unwrap();
    while told("/livez/watch-cache").await.0 == 200 {
        tokio::task::yield_now().await;
    }
    let (code, text) = told("/livez").await;
    assert_eq!(code, 500);
    assert!(text.starts_with("[+]ping ok\n[-]store failed: reason withheld\n[-]watch-cache failed"), "{text}");
}
