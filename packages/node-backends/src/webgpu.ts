import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';
import * as tf from '@tensorflow/tfjs-core';
import type * as Webgpu from 'webgpu';
import { activate } from './activate';
import type { StartedBackend } from './choice';
import { BackendError, messageOf } from './errors';
import { createGuard, hostMemoryError, memoryError } from './guard';
import { prepareVulkan } from './vulkan';

export type WebgpuRequest = {
  /** `high-performance` (default), `low-power`, or a part of an adapter's name. */
  readonly adapter?: string;
};

export type WebgpuAdapter = { readonly api: string; readonly name: string };

type Dawn = Pick<typeof Webgpu, 'create' | 'globals'>;

/** Dawn lives as long as somebody holds its instance; a device that outlives it takes the process down. */
const instances = new WeakMap<GPUDevice, GPU>();

/**
 * Starts tfjs' webgpu backend on Dawn, from the npm package `webgpu`. A process ends by itself while it runs.
 *
 * Values are read with `await x.data()`: there is no `dataSync` outside of browsers.
 *
 * @throws BackendError `unavailable` without the package, a driver, or the adapter asked for.
 */
export async function startWebgpu({
  adapter: wanted = 'high-performance',
}: WebgpuRequest = {}): Promise<StartedBackend> {
  const dawn = await loadDawn();
  const adapters = await listAdapters(dawn);
  if (adapters.length === 0) throw new BackendError('unavailable', `webgpu: no adapter was found. ${INSTALL_DRIVER}`);
  const { gpu, adapter } = await openAdapter(dawn, wanted, adapters);
  const device = await adapter.requestDevice(descriptorOf(adapter));
  instances.set(device, gpu);
  await register(gpu, device, adapter.info);
  await activate('webgpu');

  const name = nameOf(adapter, adapters);
  const { guard, fail } = createGuard((error) => hostMemoryError('webgpu', error));
  void device.lost.then(({ message }) => fail(lost(name, message)));
  device.addEventListener('uncapturederror', ({ error }) => fail(refused(name, error)));
  return {
    name: 'webgpu',
    threads: 1,
    adapter: name,
    ...(adapter.info.isFallbackAdapter ? { remark: 'a software adapter, which is slow' } : {}),
    guard,
  };
}

/** What Dawn finds on this machine; empty where it finds nothing. */
export async function webgpuAdapters(): Promise<readonly WebgpuAdapter[]> {
  return listAdapters(await loadDawn());
}

const INSTALL_DRIVER = 'Install the Vulkan driver of the GPU; Chromium brings a software adapter, SwiftShader.';

async function loadDawn(): Promise<Dawn> {
  const dawn = await importDawn();
  const missing = prepareVulkan();
  if (missing) throw new BackendError('unavailable', `webgpu: ${missing}. ${INSTALL_DRIVER}`);
  Object.assign(globalThis, dawn.globals); // GPUBuffer, GPUBufferUsage, …, which tfjs looks for
  return dawn;
}

/** By its path, so that no bundler takes the package in: it looks for its native part beside itself. */
async function importDawn(): Promise<Dawn> {
  let path: string;
  try {
    path = createRequire(import.meta.url).resolve('webgpu');
  } catch {
    throw new BackendError('unavailable', 'webgpu: the npm package "webgpu" is not installed. npm install webgpu');
  }
  try {
    return (await import(pathToFileURL(path).href)) as Dawn;
  } catch (error) {
    const [first] = messageOf(error).split('\n');
    throw new BackendError('unavailable', `webgpu: the npm package "webgpu" does not load: ${first}`, { cause: error });
  }
}

/** Dawn tells the names of its adapters only when it is asked for one that is not there. */
async function listAdapters(dawn: Dawn): Promise<WebgpuAdapter[]> {
  try {
    await dawn.create(['adapter=?']).requestAdapter();
  } catch (error) {
    const found = messageOf(error).matchAll(/backend: '([^']*)', name: '([^']*)'/g);
    return Array.from(found, ([, api, name]) => ({ api, name })).filter(({ api }) => api !== 'null');
  }
  return [];
}

async function openAdapter(
  dawn: Dawn,
  wanted: string,
  adapters: readonly WebgpuAdapter[],
): Promise<{ gpu: GPU; adapter: GPUAdapter }> {
  const preference = wanted === 'high-performance' || wanted === 'low-power' ? wanted : undefined;
  const named = preference ? undefined : adapters.find(({ name }) => name.toLowerCase().includes(wanted.toLowerCase()));
  if (!preference && !named) {
    throw new BackendError(
      'unavailable',
      `webgpu: expected an adapter called "${wanted}", found: ${adapters.map(label).join('; ')}. ` +
        'Give high-performance, low-power or a part of one of these names.',
    );
  }
  const gpu = dawn.create(named ? [`backend=${named.api}`, `adapter=${named.name}`] : []);
  const adapter = await gpu.requestAdapter(preference ? { powerPreference: preference } : {});
  if (!adapter)
    throw new BackendError('unavailable', `webgpu: no adapter opens, found: ${adapters.map(label).join('; ')}.`);
  return { gpu, adapter };
}

/** What tfjs asks for in a browser, so that the same programs run here and there. */
function descriptorOf(adapter: GPUAdapter): GPUDeviceDescriptor {
  const features = ['timestamp-query', 'bgra8unorm-storage'] as const;
  const { limits } = adapter;
  return {
    requiredFeatures: features.filter((feature) => adapter.features.has(feature)),
    requiredLimits: {
      maxComputeWorkgroupStorageSize: limits.maxComputeWorkgroupStorageSize,
      maxComputeWorkgroupsPerDimension: limits.maxComputeWorkgroupsPerDimension,
      maxStorageBufferBindingSize: limits.maxStorageBufferBindingSize,
      maxBufferSize: limits.maxBufferSize,
      maxComputeWorkgroupSizeX: limits.maxComputeWorkgroupSizeX,
      maxComputeInvocationsPerWorkgroup: limits.maxComputeInvocationsPerWorkgroup,
    },
  };
}

/** tfjs asks `navigator.gpu` whether there is WebGPU; nobody else should take Node for a browser. */
async function register(gpu: GPU, device: GPUDevice, info: GPUAdapterInfo): Promise<void> {
  const before = Object.getOwnPropertyDescriptor(globalThis, 'navigator');
  const { WebGPUBackend } = await import('@tensorflow/tfjs-backend-webgpu');
  Object.defineProperty(globalThis, 'navigator', { value: { gpu }, configurable: true });
  try {
    const backend = new WebGPUBackend(device, info);
    const { readSync } = backend;
    backend.readSync = (dataId) => {
      if (backend.tensorMap.get(dataId).values) return readSync.call(backend, dataId);
      throw new Error('webgpu: in Node a tensor is read with "await x.data()"; dataSync() needs a browser.');
    };
    if (tf.findBackendFactory('webgpu')) tf.removeBackend('webgpu');
    tf.registerBackend('webgpu', () => backend);
  } finally {
    if (before) Object.defineProperty(globalThis, 'navigator', before);
    else delete (globalThis as { navigator?: unknown }).navigator;
  }
}

function nameOf({ info }: GPUAdapter, adapters: readonly WebgpuAdapter[]): string {
  const found = adapters.find(({ name }) => name.toLowerCase().replace(/[^a-z0-9]+/g, '-') === info.device);
  return found ? label(found) : info.device || info.description;
}

function label({ api, name }: WebgpuAdapter): string {
  return `${API_NAMES[api] ?? api}: ${name}`;
}

const API_NAMES: Readonly<Record<string, string>> = {
  vulkan: 'Vulkan',
  metal: 'Metal',
  d3d12: 'D3D12',
  d3d11: 'D3D11',
  opengl: 'OpenGL',
  opengles: 'OpenGL ES',
};

function lost(adapter: string, message: string): BackendError {
  return new BackendError(
    'lost',
    `webgpu: ${adapter} was lost (${message || 'no reason given'}): its tensors are gone. ` +
      'Start again; if it happens again, update the driver, use a smaller batch, or another backend.',
  );
}

function refused(adapter: string, error: GPUError): BackendError {
  const [first] = error.message.split('\n');
  if (error.constructor.name === 'GPUOutOfMemoryError' || /exceeds the max buffer size/.test(first)) {
    return memoryError('webgpu', `${adapter}: ${first}`);
  }
  return new BackendError('lost', `webgpu: ${adapter} refused a command (${first}): results are wrong from here on.`);
}
