// What the JavaScript client is told: typed, by any kind, watching, and when it errs. Run by `run`, whose KUBECONFIG it reads and
// which has the pod `hello` run.
//
// Each check is one function and cleans up nothing: names differ.

import assert from 'node:assert/strict';
import { PassThrough, Readable } from 'node:stream';
import { setTimeout as pause } from 'node:timers/promises';

import * as k8s from '@kubernetes/client-node';

const config = new k8s.KubeConfig();
config.loadFromDefault();
const core = config.makeApiClient(k8s.CoreV1Api);
const apps = config.makeApiClient(k8s.AppsV1Api);
const extensions = config.makeApiClient(k8s.ApiextensionsV1Api);
const customs = config.makeApiClient(k8s.CustomObjectsApi);
const objects = k8s.KubernetesObjectApi.makeApiClient(config);

const namespace = 'default';
const MAPS = '/api/v1/namespaces/default/configmaps';
// How long anything may take, in milliseconds.
const DEADLINE = 30_000;

const configMap = (name, data, labels) => ({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name, namespace, labels }, data });
const patched = (strategy) => k8s.setHeaderOptions('Content-Type', strategy);

async function soon(holds, what) {
  const end = Date.now() + DEADLINE;
  while (!(await holds())) {
    assert(Date.now() < end, `${what} does not come true`);
    await pause(50);
  }
}

// The refusal of a call, as its code and the Status in its body.
async function refusal(promise) {
  const error = await promise.then(() => undefined, (error) => error);
  assert(error instanceof k8s.ApiException, `not refused: ${error}`);
  const status = typeof error.body === 'string' ? JSON.parse(error.body) : error.body;
  assert.equal(status.code, error.code);
  return status;
}

const checks = {
  async 'the server tells its version and groups'() {
    assert.match((await config.makeApiClient(k8s.VersionApi).getCode()).gitVersion, /^v1\.36\./);
    const groups = (await config.makeApiClient(k8s.ApisApi).getAPIVersions()).groups.map((group) => group.name);
    assert(groups.includes('apps') && groups.includes('apiextensions.k8s.io'), groups);
  },

  async 'a config map lives and ends'() {
    const made = await core.createNamespacedConfigMap({ namespace, body: configMap('life', { k: '1' }) });
    assert(made.metadata.creationTimestamp instanceof Date);
    made.data.k = '2';
    const replaced = await core.replaceNamespacedConfigMap({ namespace, name: 'life', body: made });
    assert(Number(replaced.metadata.resourceVersion) > Number(made.metadata.resourceVersion));
    assert.deepEqual((await core.readNamespacedConfigMap({ namespace, name: 'life' })).data, { k: '2' });
    assert.equal((await core.deleteNamespacedConfigMap({ namespace, name: 'life' })).status, 'Success');
    assert.equal((await refusal(core.readNamespacedConfigMap({ namespace, name: 'life' }))).reason, 'NotFound');
  },

  async 'refusals carry a status'() {
    await core.createNamespacedConfigMap({ namespace, body: configMap('there') });
    const stale = await core.readNamespacedConfigMap({ namespace, name: 'there' });
    await core.patchNamespacedConfigMap({ namespace, name: 'there', body: { data: { k: '1' } } }, patched(k8s.PatchStrategy.MergePatch));
    for (const [call, code, reason, message] of [
      [() => core.createNamespacedConfigMap({ namespace, body: configMap('there') }), 409, 'AlreadyExists', 'configmaps "there" already exists'],
      [() => core.replaceNamespacedConfigMap({ namespace, name: 'there', body: stale }), 409, 'Conflict',
        'Operation cannot be fulfilled on configmaps "there": the object has been modified; please apply your changes to the latest version and try again'],
      [() => core.createNamespacedConfigMap({ namespace, body: configMap('Bad_Name') }), 422, 'Invalid', 'ConfigMap "Bad_Name" is invalid: metadata.name'],
      [() => core.createNamespacedConfigMap({ namespace: 'none', body: { metadata: { name: 'a' } } }), 404, 'NotFound', 'namespaces "none" not found'],
      [() => core.listNamespacedConfigMap({ namespace, labelSelector: '!!' }), 400, 'BadRequest', 'unable to parse requirement'],
    ]) {
      const status = await refusal(call());
      assert.deepEqual([status.code, status.reason], [code, reason]);
      assert(status.message.includes(message), status.message);
    }
  },

  async 'a deployment is defaulted, scaled and patched in each way'() {
    const name = 'web';
    const labels = { app: 'web' };
    await apps.createNamespacedDeployment({ namespace, body: {
      metadata: { name },
      spec: { replicas: 0, selector: { matchLabels: labels }, template: {
        metadata: { labels }, spec: { containers: [{ name: 'web', image: 'registry.minke.local/default/web' }] } } },
    } });
    assert.equal((await apps.readNamespacedDeployment({ namespace, name })).spec.strategy.rollingUpdate.maxSurge, '25%');
    const scale = await apps.readNamespacedDeploymentScale({ namespace, name });
    scale.spec.replicas = 2;
    await apps.replaceNamespacedDeploymentScale({ namespace, name, body: scale });
    const patch = (strategy, body, more) => apps.patchNamespacedDeployment({ namespace, name, body, ...more }, patched(strategy));
    await patch(k8s.PatchStrategy.JsonPatch, [{ op: 'test', path: '/spec/replicas', value: 2 }, { op: 'add', path: '/metadata/labels', value: { a: '1' } }]);
    await patch(k8s.PatchStrategy.MergePatch, { metadata: { labels: { b: '2' } } });
    const env = [{ name: 'A', value: '1' }];
    await patch(k8s.PatchStrategy.StrategicMergePatch, { spec: { template: { spec: { containers: [{ name: 'web', env }] } } } });
    const applied = { apiVersion: 'apps/v1', kind: 'Deployment', metadata: { labels: { c: '3' } } };
    const made = await patch(k8s.PatchStrategy.ServerSideApply, applied, { fieldManager: 'session' });
    assert.deepEqual([made.metadata.labels, made.spec.replicas], [{ a: '1', b: '2', c: '3' }, 2]);
    assert.equal(made.spec.template.spec.containers[0].env[0].value, '1');
    assert.equal((await refusal(patch(k8s.PatchStrategy.ServerSideApply, { ...applied, metadata: { labels: { c: '4' } } }, { fieldManager: 'other' }))).reason, 'Conflict');
  },

  async 'a list comes in pages'() {
    const name = (index) => `page-${index}`;
    for (let index = 0; index < 5; index += 1) {
      await core.createNamespacedConfigMap({ namespace, body: configMap(name(index), {}, { paged: 'yes' }) });
    }
    const names = [];
    let _continue;
    do {
      const page = await core.listNamespacedConfigMap({ namespace, labelSelector: 'paged=yes', limit: 2, _continue });
      names.push(...page.items.map((one) => one.metadata.name));
      _continue = page.metadata._continue;
    } while (_continue);
    assert.deepEqual(names, [0, 1, 2, 3, 4].map(name));
    const gone = await core.listNamespacedConfigMap({ namespace, fieldSelector: 'metadata.name=page-3', labelSelector: 'paged' });
    assert.equal(gone.items.length, 1);
  },

  async 'objects of any kind are made, found, changed and ended'() {
    const spec = configMap('any', { k: '1' });
    const made = await objects.create(spec);
    assert(made.metadata.uid);
    await objects.patch(configMap('any', { l: '2' }), undefined, undefined, undefined, undefined, k8s.PatchStrategy.MergePatch);
    await objects.patch(configMap('any', { m: '3' }), undefined, undefined, 'session', true, k8s.PatchStrategy.ServerSideApply);
    assert.deepEqual((await objects.read(spec)).data, { k: '1', l: '2', m: '3' });
    assert.equal((await objects.list('v1', 'ConfigMap', namespace, undefined, undefined, undefined, 'metadata.name=any')).items.length, 1);
    await objects.delete(spec);
    assert.equal((await refusal(objects.read(spec))).code, 404);
    const role = { apiVersion: 'rbac.authorization.k8s.io/v1', kind: 'ClusterRole', metadata: { name: 'any' }, rules: [] };
    await objects.create(role, undefined, 'All');
    assert.equal((await refusal(objects.read(role))).code, 404);
  },

  async 'a watch sees changes and ends at its time'() {
    const made = await core.createNamespacedConfigMap({ namespace, body: configMap('seen', {}, { watched: 'yes' }) });
    const seen = [];
    const query = { labelSelector: 'watched=yes', resourceVersion: made.metadata.resourceVersion, timeoutSeconds: 2 };
    const ended = new Promise((resolve, reject) => {
      new k8s.Watch(config).watch(MAPS, query, (type, one) => seen.push([type, one.metadata.name]), (error) => (error ? reject(error) : resolve()));
    });
    await core.patchNamespacedConfigMap({ namespace, name: 'seen', body: { data: { k: '1' } } }, patched(k8s.PatchStrategy.MergePatch));
    await core.deleteNamespacedConfigMap({ namespace, name: 'seen' });
    await ended;
    assert.deepEqual(seen, [['MODIFIED', 'seen'], ['DELETED', 'seen']]);
  },

  async 'an informer follows, and again after a break'() {
    const list = () => core.listNamespacedConfigMap({ namespace, labelSelector: 'informed=yes' });
    const informer = k8s.makeInformer(config, MAPS, list, 'informed=yes');
    const seen = [];
    for (const verb of ['add', 'update', 'delete']) {
      informer.on(verb, (one) => seen.push(`${verb} ${one.metadata.name}`));
    }
    const errors = [];
    informer.on('error', (error) => errors.push(error));
    const make = (name) => core.createNamespacedConfigMap({ namespace, body: configMap(name, {}, { informed: 'yes' }) });
    await make('inf-1');
    await informer.start();
    await make('inf-2');
    await core.patchNamespacedConfigMap({ namespace, name: 'inf-1', body: { data: { k: '1' } } }, patched(k8s.PatchStrategy.MergePatch));
    await soon(() => seen.length === 3, `what comes to ${seen}`);
    await informer.stop();
    await core.deleteNamespacedConfigMap({ namespace, name: 'inf-2' });
    await make('inf-3');
    await informer.start();
    await soon(() => seen.length === 5, `what came meanwhile to ${seen}`);
    assert.deepEqual(seen, ['add inf-1', 'add inf-2', 'update inf-1', 'delete inf-2', 'add inf-3']);
    assert.deepEqual(informer.list().map((one) => one.metadata.name).sort(), ['inf-1', 'inf-3']);
    await informer.stop();
    assert.deepEqual(errors.filter((error) => error.name !== 'AbortError'), []);
  },

  async 'what a watch missed is told as gone, and an informer lists anew'() {
    const before = (await core.listNamespacedSecret({ namespace })).metadata.resourceVersion;
    const name = 'large';
    await core.createNamespacedSecret({ namespace, body: { metadata: { name, labels: { large: 'yes' } } } });
    const informer = k8s.makeInformer(config, '/api/v1/namespaces/default/secrets', () => core.listNamespacedSecret({ namespace, labelSelector: 'large' }), 'large');
    informer.on('error', () => {});
    await informer.start();
    await informer.stop();
    // More bytes are replaced than the server keeps of a kind's past.
    for (let round = 0; round < 52; round += 1) {
      const body = { stringData: { k: String.fromCharCode(97 + (round % 26)).repeat(700_000) } };
      await core.patchNamespacedSecret({ namespace, name, body }, patched(k8s.PatchStrategy.MergePatch));
    }
    const events = [];
    await new Promise((resolve) => {
      const query = { resourceVersion: before, timeoutSeconds: 2 };
      new k8s.Watch(config).watch('/api/v1/namespaces/default/secrets', query, (type, one) => events.push([type, one]), resolve);
    });
    assert.equal(events.length, 1);
    const [type, status] = events[0];
    assert.deepEqual([type, status.kind, status.code, status.reason], ['ERROR', 'Status', 410, 'Expired']);
    assert.match(status.message, new RegExp(`^too old resource version: ${before} \\([0-9]+\\)$`));
    let updates = 0;
    informer.on('update', () => { updates += 1; });
    await informer.start();
    await soon(() => updates === 1, 'a new list');
    await informer.stop();
  },

  async 'custom objects are served'() {
    const schema = { type: 'object', properties: { spec: { type: 'object', properties: {
      length: { type: 'integer', minimum: 1 }, name: { type: 'string', _default: 'nobody' } } } } };
    await extensions.createCustomResourceDefinition({ body: {
      metadata: { name: 'whales.sea.example' },
      spec: { group: 'sea.example', scope: 'Namespaced', names: { plural: 'whales', kind: 'Whale' }, versions: [
        { name: 'v1', served: true, storage: true, schema: { openAPIV3Schema: schema }, subresources: { status: {} } }] },
    } });
    await soon(async () => (await extensions.readCustomResourceDefinition({ name: 'whales.sea.example' })).status?.conditions
      ?.some((one) => one.type === 'Established' && one.status === 'True'), 'the condition');
    const at = { group: 'sea.example', version: 'v1', namespace, plural: 'whales' };
    const whale = { apiVersion: 'sea.example/v1', kind: 'Whale', metadata: { name: 'w', namespace }, spec: { length: 7 } };
    const made = await customs.createNamespacedCustomObject({ ...at, body: whale });
    assert.deepEqual(made.spec, { length: 7, name: 'nobody' });
    const status = await refusal(customs.createNamespacedCustomObject({ ...at, body: { ...whale, spec: { length: 0 } } }));
    assert.deepEqual([status.code, status.details.causes[0].field], [422, 'spec.length']);
    assert.equal((await objects.read(whale)).spec.length, 7);
    const patch = [{ op: 'replace', path: '/spec/length', value: 8 }];
    assert.equal((await customs.patchNamespacedCustomObject({ ...at, name: 'w', body: patch })).spec.length, 8);
    assert.equal((await customs.listNamespacedCustomObject(at)).items.length, 1);
    await objects.delete(whale);
    await extensions.deleteCustomResourceDefinition({ name: 'whales.sea.example' });
  },

  async 'a pod runs, is attached to, and its log is read'() {
    const hello = 'registry.minke.local/default/hello';
    const phase = async (name) => (await core.readNamespacedPod({ namespace, name })).status.phase;
    await soon(async () => (await phase('hello')) === 'Succeeded', 'the end of the pod');
    assert.equal(await core.readNamespacedPodLog({ namespace, name: 'hello' }), 'hello from wasm\n');

    const container = { name: 'upper', image: hello, args: ['upper'], stdin: true, stdinOnce: true };
    await core.createNamespacedPod({ namespace, body: { metadata: { name: 'upper' }, spec: { restartPolicy: 'Never', containers: [container] } } });
    await soon(async () => (await phase('upper')) === 'Running', 'the pod');
    const out = new PassThrough();
    let said = '';
    out.on('data', (bytes) => { said += bytes; });
    await new k8s.Attach(config).attach(namespace, 'upper', 'upper', out, null, Readable.from(['one\n']), false);
    await soon(() => said === 'ONE\n', 'what the pod answers');
    const log = new PassThrough();
    let logged = '';
    log.on('data', (bytes) => { logged += bytes; });
    await new k8s.Log(config).log(namespace, 'upper', 'upper', log, { follow: true });
    await soon(() => logged === 'ONE\n', 'the log');
  },
};

let failed = 0;
for (const [name, run] of Object.entries(checks)) {
  try {
    await run();
  } catch (error) {
    failed += 1;
    console.log(`FAILED: ${name}`);
    console.log(error);
  }
}
console.log(`${Object.keys(checks).length - failed} passed, ${failed} failed`);
process.exit(failed ? 1 : 0);
