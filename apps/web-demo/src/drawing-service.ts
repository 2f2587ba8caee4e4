// The worker's side of protocol.ts, without the tensors: those come in as `start`.
import type { Pipeline } from '@sgdiff/pipeline';
import { vocabularyToJson } from '@sgdiff/sg-schema';
import {
  errorReport,
  type BackendReport,
  type DrawRequest,
  type FromWorker,
  type LoadProgress,
  type LoadRequest,
  type Pixels,
  type Port,
  type ToWorker,
} from './protocol';

/** What the service uses of a pipeline. */
export type Drawer = Pick<Pipeline, 'generate' | 'manifest' | 'maxTriples' | 'vocabulary'>;

export type StartDrawer = (
  request: LoadRequest,
  onProgress: (progress: LoadProgress) => void,
) => Promise<{ backend: BackendReport; drawer: Drawer }>;

type Job = { readonly job: number; readonly request: DrawRequest; readonly controller: AbortController };

/**
 * Answers the messages that come in at `port`. Jobs wait in a queue: there is one backend, and two pictures at once would
 * only make each other slow.
 *
 * @param start Brings up the backend and the model, once.
 */
export function serveDrawing(port: Port<FromWorker, ToWorker>, start: StartDrawer): void {
  const queue: Job[] = [];
  let drawer: Drawer | undefined;
  let current: Job | undefined;

  port.onmessage = ({ data: message }) => {
    switch (message.type) {
      case 'load':
        void load(message.request);
        break;
      case 'draw':
        queue.push({ job: message.job, request: message.request, controller: new AbortController() });
        void work();
        break;
      case 'cancel':
        cancel(message.job);
    }
  };

  async function load(request: LoadRequest): Promise<void> {
    try {
      const started = await start(request, (progress) => port.postMessage({ type: 'loading', progress }));
      drawer = started.drawer;
      const { name, licence, imageSize, defaults, parts } = drawer.manifest;
      const vocabulary = vocabularyToJson(drawer.vocabulary);
      const guidable = parts.unet.nullToken ?? false;
      const model = { name, licence, imageSize, defaults, vocabulary, maxTriples: drawer.maxTriples, guidable };
      port.postMessage({ type: 'ready', report: { backend: started.backend, model } });
      void work();
    } catch (error) {
      port.postMessage({ type: 'unavailable', error: errorReport(error) });
    }
  }

  async function work(): Promise<void> {
    if (current || !drawer) return;
    while ((current = queue.shift())) await draw(drawer, current);
  }

  async function draw(by: Drawer, { job, request, controller }: Job): Promise<void> {
    const { graph, seed, steps, guidanceScale, previewEvery } = request;
    const start = performance.now();
    const seconds = (): number => (performance.now() - start) / 1000;
    try {
      const picture = await by.generate(graph, {
        seed,
        steps,
        guidanceScale,
        signal: controller.signal,
        onStep: async ({ index, steps: taken, preview }) => {
          const done = index + 1;
          const progress = { done, steps: taken, seconds: seconds() };
          // None after the last step: the picture itself is next.
          if (previewEvery < 1 || done % previewEvery !== 0 || done === taken) {
            port.postMessage({ type: 'step', job, progress });
            return;
          }
          const [data] = await preview();
          const { imageSize } = by.manifest;
          const pixels: Pixels = { width: imageSize, height: imageSize, data: data! };
          port.postMessage({ type: 'step', job, progress: { ...progress, preview: pixels } }, [
            data!.buffer as ArrayBuffer,
          ]);
        },
      });
      const { width, height, pixels: data, record, withoutToken } = picture;
      const result = { pixels: { width, height, data }, record, withoutToken, seconds: seconds() };
      port.postMessage({ type: 'picture', job, result }, [data.buffer as ArrayBuffer]);
    } catch (error) {
      if (controller.signal.aborted) port.postMessage({ type: 'cancelled', job });
      else port.postMessage({ type: 'failed', job, error: errorReport(error) });
    }
  }

  function cancel(job: number): void {
    if (current?.job === job) return current.controller.abort();
    const place = queue.findIndex((waiting) => waiting.job === job);
    if (place < 0) return; // Done in the meantime.
    queue.splice(place, 1);
    port.postMessage({ type: 'cancelled', job });
  }
}
