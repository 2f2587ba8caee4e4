import { startApp } from './app';
import { createDrawingClient } from './drawing-client';
import type { FromWorker, Port, ToWorker } from './protocol';

const worker = new Worker(new URL('./worker.ts', import.meta.url), { type: 'module', name: 'drawing' });
const client = createDrawingClient(worker as Port<ToWorker, FromWorker>);
worker.onerror = (event) => {
  client.fail(
    new Error(`The drawing worker stopped: ${event.message || 'its script did not load'}. Load the page again.`),
  );
};

// `?backend=wasm`, `?backend=webgpu` and `?threads=1` are for comparing.
const query = new URLSearchParams(location.search);
const backend = query.get('backend');
const threads = Number(query.get('threads'));

void startApp(client, {
  modelUrl: new URL('model', document.baseURI).href,
  ...(backend === 'wasm' || backend === 'webgpu' ? { backend } : {}),
  ...(Number.isInteger(threads) && threads > 0 ? { threads } : {}),
});
