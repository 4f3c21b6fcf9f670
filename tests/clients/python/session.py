"""What the Python client is told: typed, dynamic, watching, and when it errs. Run by `run`, whose KUBECONFIG it reads.

Each check is one function and cleans up nothing: names differ.
"""

import base64
import json
import logging
import sys
import tempfile
import threading
import time
import traceback
from datetime import datetime, timezone

from kubernetes import client, config, dynamic, utils, watch
from kubernetes.client.rest import ApiException
from kubernetes.dynamic import exceptions as refused
from kubernetes.informer import ADDED, DELETED, MODIFIED, SharedInformer
from kubernetes.leaderelection import electionconfig, leaderelection
from kubernetes.leaderelection.resourcelock.leaselock import LeaseLock

config.load_kube_config()
core = client.CoreV1Api()
apps = client.AppsV1Api()
rbac = client.RbacAuthorizationV1Api()
extensions = client.ApiextensionsV1Api()
customs = client.CustomObjectsApi()
discovered = dynamic.DynamicClient(client.ApiClient())

# How long anything may take.
DEADLINE = 30
CHECKS = []


def check(function):
    CHECKS.append(function)
    return function


def config_map(name, labels=None, **data):
    return client.V1ConfigMap(metadata=client.V1ObjectMeta(name=name, labels=labels), data=data)


def soon(holds, what):
    end = time.monotonic() + DEADLINE
    while not holds():
        assert time.monotonic() < end, f"{what} does not come true"
        time.sleep(0.05)


def refusal(call, *args, **kwargs):
    try:
        call(*args, **kwargs)
    except (ApiException, refused.DynamicApiError, utils.FailToCreateError) as error:
        return error
    raise AssertionError(f"{call.__name__}{args} is not refused")


def status_of(call, *args, **kwargs):
    """The refusal of a call: the exception and the Status in its body."""
    error = refusal(call, *args, **kwargs)
    return error, json.loads(error.body)


@check
def the_server_tells_its_version_and_groups():
    assert client.VersionApi().get_code().git_version.startswith("v1.36.")
    groups = {group.name for group in client.ApisApi().get_api_versions().groups}
    assert {"apps", "batch", "rbac.authorization.k8s.io", "apiextensions.k8s.io"} <= groups, groups
    assert "pods" in {resource.name for resource in core.get_api_resources().resources}


@check
def a_config_map_lives_and_ends():
    made = core.create_namespaced_config_map("default", config_map("life", k="1"))
    assert made.metadata.uid and made.metadata.creation_timestamp.tzinfo
    made.data["k"] = "2"
    replaced = core.replace_namespaced_config_map("life", "default", made)
    assert int(replaced.metadata.resource_version) > int(made.metadata.resource_version)
    assert core.read_namespaced_config_map("life", "default").data == {"k": "2"}
    ended = core.delete_namespaced_config_map("life", "default")
    assert (ended["status"], ended["kind"]) == ("Success", "Status"), ended
    assert status_of(core.read_namespaced_config_map, "life", "default")[0].status == 404


@check
def a_secret_holds_bytes_and_a_service_gets_an_address():
    core.create_namespaced_secret("default", client.V1Secret(
        metadata=client.V1ObjectMeta(name="kept"), string_data={"password": "hidden"}))
    assert core.read_namespaced_secret("kept", "default").data == {"password": "aGlkZGVu"}
    made = core.create_namespaced_service("default", client.V1Service(
        metadata=client.V1ObjectMeta(name="way"),
        spec=client.V1ServiceSpec(selector={"app": "a"}, ports=[client.V1ServicePort(port=80, target_port="http")])))
    assert made.spec.cluster_ip and made.spec.ports[0].target_port == "http"


@check
def a_deployment_is_defaulted_and_scaled():
    container = client.V1Container(name="web", image="registry.minke.local/default/web")
    template = client.V1PodTemplateSpec(
        metadata=client.V1ObjectMeta(labels={"app": "web"}), spec=client.V1PodSpec(containers=[container]))
    apps.create_namespaced_deployment("default", client.V1Deployment(
        metadata=client.V1ObjectMeta(name="web"),
        spec=client.V1DeploymentSpec(
            replicas=0, selector=client.V1LabelSelector(match_labels={"app": "web"}), template=template)))
    made = apps.read_namespaced_deployment("web", "default")
    assert made.spec.strategy.rolling_update.max_surge == "25%"
    apps.patch_namespaced_deployment_scale("web", "default", {"spec": {"replicas": 2}})
    assert apps.read_namespaced_deployment_scale("web", "default").spec.replicas == 2
    listed = apps.list_deployment_for_all_namespaces(label_selector="app!=x", field_selector="metadata.name=web")
    assert [one.spec.replicas for one in listed.items] == [2]


@check
def a_role_gives_rights():
    rbac.create_namespaced_role("default", client.V1Role(
        metadata=client.V1ObjectMeta(name="reader"),
        rules=[client.V1PolicyRule(api_groups=[""], resources=["configmaps"], verbs=["get"])]))
    rbac.create_namespaced_role_binding("default", client.V1RoleBinding(
        metadata=client.V1ObjectMeta(name="readers"),
        role_ref=client.V1RoleRef(api_group="rbac.authorization.k8s.io", kind="Role", name="reader"),
        subjects=[client.RbacV1Subject(kind="User", name="alice", api_group="rbac.authorization.k8s.io")]))
    acting = client.ApiClient()
    acting.set_default_header("Impersonate-User", "alice")
    assert status_of(client.CoreV1Api(acting).read_namespaced_config_map, "none", "default")[0].status == 404
    error, status = status_of(client.CoreV1Api(acting).list_namespaced_secret, "default")
    assert (error.status, error.reason, status["reason"]) == (403, "Forbidden", "Forbidden")
    assert status["message"] == (
        'secrets is forbidden: User "alice" cannot list resource "secrets" in API group "" in the namespace "default"')
    review = client.AuthorizationV1Api(acting).create_self_subject_access_review(client.V1SelfSubjectAccessReview(
        spec=client.V1SelfSubjectAccessReviewSpec(resource_attributes=client.V1ResourceAttributes(
            namespace="default", verb="get", resource="configmaps"))))
    assert review.status.allowed


@check
def a_token_names_its_service_account():
    asked = client.AuthenticationV1TokenRequest(spec=client.V1TokenRequestSpec(audiences=[], expiration_seconds=600))
    soon(lambda: core.list_namespaced_service_account("default").items, "the default service account")
    token = core.create_namespaced_service_account_token("default", "default", asked).status.token
    review = client.AuthenticationV1Api().create_token_review(
        client.V1TokenReview(spec=client.V1TokenReviewSpec(token=token)))
    assert review.status.user.username == "system:serviceaccount:default:default"


@check
def refusals_carry_a_status():
    core.create_namespaced_config_map("default", config_map("there"))
    stale = core.read_namespaced_config_map("there", "default")
    core.patch_namespaced_config_map("there", "default", {"data": {"k": "1"}})
    pod = client.V1Pod(metadata=client.V1ObjectMeta(name="p"), spec=client.V1PodSpec(containers=[client.V1Container(name="Bad")]))
    for call, args, code, reason, message in [
        (core.read_namespaced_config_map, ("none", "default"), 404, "NotFound", 'configmaps "none" not found'),
        (core.create_namespaced_config_map, ("default", config_map("there")), 409, "AlreadyExists", 'configmaps "there" already exists'),
        (core.replace_namespaced_config_map, ("there", "default", stale), 409, "Conflict",
            'Operation cannot be fulfilled on configmaps "there": the object has been modified; please apply your changes to the latest version and try again'),
        (core.create_namespaced_config_map, ("none", config_map("a")), 404, "NotFound", 'namespaces "none" not found'),
        (core.create_namespaced_pod, ("default", pod), 422, "Invalid", 'Pod "p" is invalid'),
        (core.list_namespaced_config_map, ("default", None, None, "nope"), 400, "BadRequest", "continue key is not valid"),
    ]:
        error, status = status_of(call, *args)
        assert (error.status, status["code"], status["reason"]) == (code, code, reason), status
        assert message in status["message"], status
    causes = {(cause["field"], cause["reason"]) for cause in status_of(core.create_namespaced_pod, "default", pod)[1]["details"]["causes"]}
    assert causes == {("spec.containers[0].name", "FieldValueInvalid"), ("spec.containers[0].image", "FieldValueRequired")}, causes


@check
def a_list_comes_in_pages():
    for index in range(7):
        core.create_namespaced_config_map("default", config_map(f"page-{index}", labels={"paged": "yes"}))
    names, token, pages = [], None, 0
    while True:
        page = core.list_namespaced_config_map("default", label_selector="paged=yes", limit=3, _continue=token)
        names += [one.metadata.name for one in page.items]
        token, pages = page.metadata._continue, pages + 1
        if pages == 1:
            core.create_namespaced_config_map("default", config_map("page-00", labels={"paged": "yes"}))
            core.delete_namespaced_config_map("page-6", "default")
        if not token:
            break
    assert (names, pages) == ([f"page-{index}" for index in range(7)], 3), names


@check
def a_list_is_as_new_as_asked():
    made = core.create_namespaced_config_map("default", config_map("fresh"))
    revision = made.metadata.resource_version
    exact = core.list_namespaced_config_map("default", resource_version=revision, resource_version_match="Exact")
    assert exact.metadata.resource_version == revision
    error, status = status_of(core.list_namespaced_config_map, "default", resource_version=str(int(revision) + 100000),
                              resource_version_match="NotOlderThan")
    assert (error.status, status["reason"]) == (504, "Timeout"), status
    assert "Too large resource version" in status["message"], status


@check
def each_kind_of_patch_changes_what_it_says():
    core.create_namespaced_config_map("default", config_map("patched", a="1", b="1"))
    maps = discovered.resources.get(api_version="v1", kind="ConfigMap")
    for content_type, body in [
        ("application/strategic-merge-patch+json", {"data": {"a": "2"}}),
        ("application/merge-patch+json", {"data": {"b": None}}),
        ("application/json-patch+json", [{"op": "test", "path": "/data/a", "value": "2"}, {"op": "add", "path": "/data/c", "value": "3"}]),
        ("application/apply-patch+yaml", {"apiVersion": "v1", "kind": "ConfigMap", "data": {"d": "4"}}),
    ]:
        managed = {"field_manager": "session"} if "apply" in content_type else {}
        maps.patch(body=body, name="patched", namespace="default", content_type=content_type, **managed)
    assert core.read_namespaced_config_map("patched", "default").data == {"a": "2", "c": "3", "d": "4"}
    error, status = status_of(maps.patch, body={}, name="patched", namespace="default", content_type="application/x-other+json")
    assert (error.status, status["reason"]) == (415, "UnsupportedMediaType"), status
    made = core.patch_namespaced_config_map("patched", "default", [{"op": "remove", "path": "/data/a"}])
    assert made.data == {"c": "3", "d": "4"}, made.data


@check
def a_dry_run_leaves_nothing():
    core.create_namespaced_config_map("default", config_map("dry"), dry_run="All")
    assert status_of(core.read_namespaced_config_map, "dry", "default")[0].status == 404


@check
def what_is_unknown_is_told_as_asked():
    # The typed client sends neither, and the dynamic one has no word for how strict the server is to be.
    def send(body, strictness):
        return core.api_client.call_api(
            "POST", f"{core.api_client.configuration.host}/api/v1/namespaces/default/configmaps?fieldValidation={strictness}",
            {"Content-Type": "application/json"}, {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "strict"}, **body})

    for body, strictness, code, message in [
        ({"oops": 1}, "Strict", 400, 'strict decoding error: unknown field \\"oops\\"'),
        ({"data": {"k": 1}}, "Ignore", 400, "json: cannot unmarshal number into Go struct field ConfigMap.data of type string"),
        ({"oops": 1}, "Warn", 201, '"name":"strict"'),
    ]:
        answer = send(body, strictness)
        text = answer.read().decode()
        assert answer.status == code and message in text, text
    assert answer.getheader("Warning") == '299 - "unknown field \\"oops\\""', answer.getheaders()


@check
def a_watch_ends_at_its_timeout_and_goes_on_where_it_was():
    core.create_namespaced_config_map("default", config_map("seen", labels={"watched": "yes"}))
    seen = []
    watcher = watch.Watch()
    began = time.monotonic()
    for event in watcher.stream(core.list_namespaced_config_map, "default", label_selector="watched=yes", timeout_seconds=1):
        seen.append((event["type"], event["object"].metadata.name))
    assert seen == [("ADDED", "seen")] and 0.9 < time.monotonic() - began < 10, seen
    core.patch_namespaced_config_map("seen", "default", {"data": {"k": "1"}})
    core.patch_namespaced_config_map("seen", "default", {"metadata": {"labels": {"watched": "no"}}})
    resumed = watcher.stream(core.list_namespaced_config_map, "default", label_selector="watched=yes",
                             resource_version=watcher.resource_version, timeout_seconds=1)
    assert [event["type"] for event in resumed] == ["MODIFIED", "DELETED"]


@check
def a_watch_is_told_a_bookmark_after_what_there_is():
    events = watch.Watch().stream(
        core.list_namespaced_config_map, "default", label_selector="paged=yes", send_initial_events=True,
        allow_watch_bookmarks=True, resource_version_match="NotOlderThan", timeout_seconds=5)
    types = []
    for event in events:
        types.append(event["type"])
        if event["type"] == "BOOKMARK":
            assert event["object"]["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}, event
            break
    assert types == ["ADDED"] * 7 + ["BOOKMARK"], types


@check
def what_is_from_before_the_history_is_gone():
    before = core.list_namespaced_config_map("default", label_selector="paged=yes").metadata.resource_version
    core.create_namespaced_config_map("default", config_map("large"))
    # More bytes are replaced than the server keeps of a kind's past.
    for letter in "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz":
        core.patch_namespaced_config_map("large", "default", {"data": {"k": letter * 900_000}})
    core.delete_namespaced_config_map("large", "default")
    events = watch.Watch().stream(core.list_namespaced_config_map, "default", resource_version=before, timeout_seconds=2)
    error = refusal(list, events)
    assert error.status == 410 and error.reason.startswith(f"Expired: too old resource version: {before} ("), error
    text = json.dumps({"v": "meta.k8s.io/v1", "rv": int(before), "start": "/page-3\0"})
    token = base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")
    error, status = status_of(core.list_namespaced_config_map, "default", label_selector="paged=yes", _continue=token)
    assert (error.status, status["reason"]) == (410, "Expired"), status
    assert "The provided continue parameter is too old" in status["message"], status
    rest = core.list_namespaced_config_map("default", label_selector="paged=yes", _continue=status["metadata"]["continue"])
    assert [one.metadata.name for one in rest.items] == ["page-4", "page-5"], rest


@check
def an_informer_follows():
    seen = {ADDED: [], MODIFIED: [], DELETED: []}
    informer = SharedInformer(core.list_namespaced_config_map, namespace="default", label_selector="informed=yes")
    for kind, names in seen.items():
        informer.add_event_handler(kind, lambda one, names=names: names.append(one.metadata.name))
    core.create_namespaced_config_map("default", config_map("inf-1", labels={"informed": "yes"}))
    informer.start()
    soon(lambda: seen[ADDED] == ["inf-1"], "the first object")
    core.create_namespaced_config_map("default", config_map("inf-2", labels={"informed": "yes"}))
    core.patch_namespaced_config_map("inf-1", "default", {"data": {"k": "1"}})
    core.delete_namespaced_config_map("inf-2", "default")
    soon(lambda: seen == {ADDED: ["inf-1", "inf-2"], MODIFIED: ["inf-1"], DELETED: ["inf-2"]}, "what came later")
    assert [one.data for one in informer.cache.list()] == [{"k": "1"}]
    # It ends its connection from below and complains of that.
    logging.disable(logging.CRITICAL)
    informer.stop()
    logging.disable(logging.NOTSET)


@check
def the_dynamic_client_finds_and_changes():
    maps = discovered.resources.get(api_version="v1", kind="ConfigMap")
    assert (maps.name, maps.namespaced, maps.short_names) == ("configmaps", True, ["cm"])
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "dyn"}, "data": {"k": "1"}}
    made = maps.create(body=body, namespace="default")
    applied = maps.server_side_apply(body={**body, "data": {"s": "1"}}, namespace="default", field_manager="one")
    assert applied.data.to_dict() == {"k": "1", "s": "1"}
    error = refusal(maps.server_side_apply, body={**body, "data": {"s": "2"}}, namespace="default", field_manager="two")
    assert isinstance(error, refused.ConflictError) and 'conflict with "one": .data.s' in error.summary(), error
    forced = maps.server_side_apply(
        body={**body, "data": {"s": "2"}}, namespace="default", field_manager="two", force_conflicts=True)
    assert forced.data.s == "2"
    watched = maps.watch(namespace="default", name="dyn", resource_version=made.metadata.resourceVersion, timeout=1)
    assert [event["object"].data.s for event in watched] == ["1", "2"]
    maps.delete(name="dyn", namespace="default")
    assert isinstance(refusal(maps.get, name="dyn", namespace="default"), refused.NotFoundError)
    deployments = discovered.resources.get(api_version="apps/v1", kind="Deployment")
    assert deployments.status.get(name="web", namespace="default").kind == "Deployment"


@check
def custom_objects_are_served():
    names = client.V1CustomResourceDefinitionNames(
        plural="whales", singular="whale", kind="Whale", short_names=["wh"], categories=["sea"])
    schema = {"type": "object", "properties": {
        "spec": {"type": "object", "required": ["length"], "properties": {
            "length": {"type": "integer", "minimum": 1}, "name": {"type": "string", "default": "nobody"}}},
        "status": {"type": "object", "properties": {"seen": {"type": "boolean"}}}}}
    extensions.create_custom_resource_definition(client.V1CustomResourceDefinition(
        metadata=client.V1ObjectMeta(name="whales.sea.example"),
        spec=client.V1CustomResourceDefinitionSpec(group="sea.example", scope="Namespaced", names=names, versions=[
            client.V1CustomResourceDefinitionVersion(
                name="v1", served=True, storage=True, schema=client.V1CustomResourceValidation(open_apiv3_schema=schema),
                subresources=client.V1CustomResourceSubresources(status={}))])))
    is_established = lambda: any(
        one.type == "Established" and one.status == "True"
        for one in extensions.read_custom_resource_definition("whales.sea.example").status.conditions or [])
    soon(is_established, "the definition's condition")
    at = ("sea.example", "v1", "default", "whales")
    whale = {"apiVersion": "sea.example/v1", "kind": "Whale", "metadata": {"name": "w"}, "spec": {"length": 7}}
    made = customs.create_namespaced_custom_object(*at, whale)
    assert made["spec"] == {"length": 7, "name": "nobody"}
    error, status = status_of(customs.create_namespaced_custom_object, *at, {**whale, "metadata": {"name": "x"}, "spec": {"length": 0}})
    assert error.status == 422 and "spec.length in body should be greater than or equal to 1" in status["message"], status
    customs.patch_namespaced_custom_object_status(*at, "w", {"status": {"seen": True}})
    patched = customs.patch_namespaced_custom_object(*at, "w", {"spec": {"length": 8}, "status": {"seen": False}})
    assert (patched["spec"]["length"], patched["status"], patched["metadata"]["generation"]) == (8, {"seen": True}, 2)
    whales = discovered.resources.get(api_version="sea.example/v1", kind="Whale")
    assert whales.get(name="w", namespace="default").spec.length == 8
    assert len(customs.list_namespaced_custom_object(*at, limit=1)["items"]) == 1
    events = watch.Watch().stream(customs.list_namespaced_custom_object, *at, resource_version=made["metadata"]["resourceVersion"], timeout_seconds=1)
    assert [event["type"] for event in events] == ["MODIFIED", "MODIFIED"]
    customs.delete_namespaced_custom_object(*at, "w")
    extensions.delete_custom_resource_definition("whales.sea.example")
    soon(lambda: not any(group.name == "sea.example" for group in client.ApisApi().get_api_versions().groups), "the group's end")


YAML = """
apiVersion: v1
kind: Namespace
metadata: {name: from-yaml}
---
apiVersion: v1
kind: List
items:
- {apiVersion: v1, kind: ConfigMap, metadata: {name: from-yaml, namespace: from-yaml}, data: {k: v}}
- {apiVersion: v1, kind: Secret, metadata: {name: from-yaml, namespace: from-yaml}, stringData: {k: v}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: from-yaml}
rules: []
"""


@check
def a_file_of_documents_is_created_and_applied():
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        file.write(YAML)
        file.flush()
        utils.create_from_yaml(client.ApiClient(), file.name)
        assert core.read_namespaced_config_map("from-yaml", "from-yaml").data == {"k": "v"}
        again = refusal(utils.create_from_yaml, client.ApiClient(), file.name)
        assert [one.status for one in again.api_exceptions] == [409] * 4, again
        applied = utils.create_from_yaml(client.ApiClient(), file.name, apply=True, namespace="from-yaml", force_conflicts=True)
        assert len(applied) == 3, applied


@check
def a_leader_is_elected_once():
    led, lost = [], []

    def candidate(name):
        def lead():
            led.append(name)
            time.sleep(1)

        lock = LeaseLock("leader", "default", name)
        return electionconfig.Config(lock, lease_duration=8, renew_deadline=6, retry_period=1, onstarted_leading=lead,
                                     onstopped_leading=lambda: lost.append(name))

    for name in ("first", "second"):
        election = leaderelection.LeaderElection(candidate(name))
        threading.Thread(target=election.run, daemon=True).start()
    soon(lambda: led, "a leader")
    time.sleep(1.5)
    holder = client.CoordinationV1Api().read_namespaced_lease("leader", "default").spec.holder_identity
    assert (led, lost) == ([holder], []), (led, lost)


@check
def an_event_is_recorded():
    now = datetime.now(timezone.utc)
    client.EventsV1Api().create_namespaced_event("default", client.EventsV1Event(
        metadata=client.V1ObjectMeta(name="told"), event_time=now, reason="Told", action="Tell", type="Normal", note="well",
        reporting_controller="session.example/python", reporting_instance="one",
        regarding=client.V1ObjectReference(kind="ConfigMap", name="there", namespace="default")))
    told = client.EventsV1Api().list_namespaced_event("default", field_selector="reason=Told").items
    assert [(one.note, one.event_time) for one in told] == [("well", now)], told
    assert core.read_namespaced_event("told", "default").message == "well"


@check
def a_collection_is_deleted():
    core.delete_collection_namespaced_config_map("default", label_selector="paged=yes")
    assert core.list_namespaced_config_map("default", label_selector="paged=yes").items == []


@check
def a_pod_runs_and_its_log_is_followed():
    with open("target/guests/hello.wasm", "rb") as guest:
        wasm = guest.read()
    core.api_client.call_api("POST", core.api_client.configuration.host + "/apis/run.minke.dev/v1/namespaces/default/run?name=hello",
                             {"Content-Type": "application/wasm"}, wasm)
    soon(lambda: core.read_namespaced_pod("hello", "default").status.phase == "Succeeded", "the pod's end")
    assert core.read_namespaced_pod_log("hello", "default") == "hello from wasm\n"
    pod = client.V1Pod(metadata=client.V1ObjectMeta(name="slow"), spec=client.V1PodSpec(restart_policy="Never", containers=[
        client.V1Container(name="slow", image="registry.minke.local/default/hello", args=["sleep", "1"])]))
    core.create_namespaced_pod("default", pod)
    for event in watch.Watch().stream(core.list_namespaced_pod, "default", field_selector="metadata.name=slow", timeout_seconds=DEADLINE):
        if event["object"].status.phase in ("Running", "Succeeded"):
            break
    assert list(watch.Watch().stream(core.read_namespaced_pod_log, "slow", "default")) == ["hello after 1 s"]


def main():
    failed = 0
    for function in CHECKS:
        try:
            function()
        except Exception as error:
            failed += 1
            print(f"FAILED: {function.__name__}")
            traceback.print_exception(error)
    print(f"{len(CHECKS) - failed} passed, {failed} failed")
    sys.exit(1 if failed else 0)


main()
