import { startApp } from './app';
import { createDrawingClient } from './drawing-client';
import type { BackendName, FromWorker, Port, ToWorker } from './protocol';

const worker = new Worker(new URL('./worker.ts', import.meta.url), { type: 'module', name: 'drawing' });
const client = createDrawingClient(worker as Port<ToWorker, FromWorker>);
worker.onerror = (event) => {
  client.fail(
    new Error(`The drawing worker stopped: ${event.message || 'its script did not load'}. Load the page again.`),
  );
};

// `?backend=wasm` and `?backend=webgpu` are for comparing.
const asked = new URLSearchParams(location.search).get('backend');
const backend = asked === 'wasm' || asked === 'webgpu' ? (asked satisfies BackendName) : undefined;
const modelUrl = new URL('model', document.baseURI).href;

void startApp(client, { modelUrl, ...(backend ? { backend } : {}) });
