import { describe, expect, it } from 'vitest';
import type { GenerateOptions, Picture } from '@sgdiff/pipeline';
import { createVocabulary, SceneGraphError, type SceneGraph } from '@sgdiff/sg-schema';
import { createDrawingClient, type DrawingClient } from './drawing-client';
import { serveDrawing, type Drawer, type StartDrawer } from './drawing-service';
import type { DrawRequest, FromWorker, LoadProgress, Port, StepProgress, ToWorker } from './protocol';

const graph: SceneGraph = { objects: ['sheep'], relationships: [] };
const request: DrawRequest = { graph, seed: 7, steps: 4, guidanceScale: 2, previewEvery: 2 };

describe('createDrawingClient with serveDrawing', () => {
  it('tells of the loading, then of backend and model', async () => {
    const { client, close } = connect(async (request, onProgress) => {
      onProgress({ stage: 'backend' });
      onProgress({ stage: 'model', loadedBytes: 3, totalBytes: 6 });
      expect(request).toEqual({ modelUrl: 'model', backend: 'wasm' });
      return { backend: { name: 'wasm', threads: 2, reason: 'asked for' }, drawer: fakeDrawer() };
    });
    const heard: LoadProgress[] = [];
    const report = await client.load({ modelUrl: 'model', backend: 'wasm' }, (progress) => heard.push(progress));
    expect(heard).toEqual([{ stage: 'backend' }, { stage: 'model', loadedBytes: 3, totalBytes: 6 }]);
    expect(report.backend).toEqual({ name: 'wasm', threads: 2, reason: 'asked for' });
    expect(report.model).toMatchObject({
      name: 'fake',
      imageSize: 1,
      maxTriples: 9,
      guidable: true,
      vocabulary: { object_name_to_idx: { sheep: 1 } },
    });
    close();
  });

  it('passes the reason on when nothing can be loaded', async () => {
    const { client, close } = connect(async () => {
      throw Object.assign(new Error('No backend.'), { name: 'BackendError' });
    });
    await expect(load(client)).rejects.toMatchObject({ name: 'BackendError', message: 'No backend.' });
    close();
  });

  it('sends every step, previews as often as asked but not after the last step, then the picture', async () => {
    const { client, close } = connect(startFake());
    await load(client);
    const steps: StepProgress[] = [];
    const result = await client.draw(request, { onStep: (step) => steps.push(step) });
    expect(steps.map(({ done, steps: of, preview }) => [done, of, preview && [...preview.data]])).toEqual([
      [1, 4, undefined],
      [2, 4, [1, 1, 1]],
      [3, 4, undefined],
      [4, 4, undefined],
    ]);
    expect(result).toMatchObject({
      pixels: { width: 1, height: 1, data: Uint8Array.of(7, 4, 2) },
      record: { seed: 7 },
      withoutToken: [[0, 'by', 1]],
    });
    expect(result.seconds).toBeGreaterThanOrEqual(steps[3]!.seconds);
    close();
  });

  it('draws none of the previews when none are wanted', async () => {
    const { client, close } = connect(startFake());
    await load(client);
    const steps: StepProgress[] = [];
    await client.draw({ ...request, previewEvery: 0 }, { onStep: (step) => steps.push(step) });
    expect(steps.filter(({ preview }) => preview)).toEqual([]);
    close();
  });

  it('draws one after the other, in order, also what was asked for before the model was there', async () => {
    const drawer = fakeDrawer();
    const { client, close } = connect(startFake(drawer));
    const order: number[] = [];
    const draws = [1, 2, 3].map((seed) => client.draw({ ...request, seed }).then(() => order.push(seed)));
    await load(client);
    await Promise.all(draws);
    expect(order).toEqual([1, 2, 3]);
    expect(drawer.most).toBe(1);
    close();
  });

  it('cancels what is being drawn and goes on with the next', async () => {
    const drawer = fakeDrawer();
    const { client, close } = connect(startFake(drawer));
    await load(client);
    const controller = new AbortController();
    const first = client.draw(
      { ...request, steps: 1000 },
      { signal: controller.signal, onStep: () => controller.abort() },
    );
    const second = client.draw(request);
    await expect(first).rejects.toMatchObject({ name: 'AbortError' });
    await expect(second).resolves.toMatchObject({ record: { seed: 7 } });
    expect(drawer.steps).toBeLessThan(100);
    close();
  });

  it('cancels what waits without starting it', async () => {
    const drawer = fakeDrawer();
    const { client, close } = connect(startFake(drawer));
    await load(client);
    const controller = new AbortController();
    const first = client.draw(request);
    const second = client.draw({ ...request, seed: 8 }, { signal: controller.signal });
    controller.abort();
    await expect(second).rejects.toMatchObject({ name: 'AbortError' });
    await first;
    expect(drawer.seeds).toEqual([7]);
    close();
  });

  it('asks for nothing when the signal is already aborted, and hears no cancel after the end', async () => {
    const drawer = fakeDrawer();
    const { client, sent, close } = connect(startFake(drawer));
    await load(client);
    await expect(client.draw(request, { signal: AbortSignal.abort() })).rejects.toMatchObject({ name: 'AbortError' });
    expect(drawer.seeds).toEqual([]);
    const controller = new AbortController();
    await client.draw(request, { signal: controller.signal });
    controller.abort();
    expect(sent.map(({ type }) => type)).toEqual(['load', 'draw']);
    close();
  });

  it("keeps an error's name, message and issues, and goes on", async () => {
    const issue = { code: 'no_objects', path: [], expected: 'a', received: 'b', hint: 'c', message: 'd' } as const;
    const drawer = fakeDrawer();
    const { client, close } = connect(startFake(drawer));
    await load(client);
    drawer.error = new SceneGraphError('generate', [issue]);
    await expect(client.draw(request)).rejects.toMatchObject({
      name: 'SceneGraphError',
      message: 'generate: d',
      issues: [issue],
    });
    drawer.error = undefined;
    await expect(client.draw(request)).resolves.toBeDefined();
    close();
  });

  it('lets everything under way fail when the worker breaks down, and everything after', async () => {
    const { client, close } = connect(() => new Promise(() => undefined));
    const loading = load(client);
    const drawing = client.draw(request);
    client.fail(new Error('stopped'));
    await expect(loading).rejects.toThrow('stopped');
    await expect(drawing).rejects.toThrow('stopped');
    await expect(client.draw(request)).rejects.toThrow('stopped');
    close();
  });
});

/** Both sides, joined by a real message channel: what crosses is copied as between page and worker. */
function connect(start: StartDrawer): { client: DrawingClient; sent: ToWorker[]; close: () => void } {
  const { port1, port2 } = new MessageChannel();
  serveDrawing(port2 as unknown as Port<FromWorker, ToWorker>, start);
  const client = createDrawingClient(port1 as unknown as Port<ToWorker, FromWorker>);
  const sent: ToWorker[] = [];
  const post = port1.postMessage.bind(port1);
  port1.postMessage = (message: ToWorker) => {
    sent.push(message);
    post(message);
  };
  return { client, sent, close: () => port1.close() };
}

function load(client: DrawingClient): Promise<unknown> {
  return client.load({ modelUrl: 'model' }, () => undefined);
}

function startFake(drawer = fakeDrawer()): StartDrawer {
  return async () => ({ backend: { name: 'wasm', threads: 1, reason: 'test' }, drawer });
}

type FakeDrawer = Drawer & { seeds: number[]; steps: number; most: number; error: Error | undefined };

/** Draws pictures of one pixel: seed, steps, guidance. */
function fakeDrawer(): FakeDrawer {
  let running = 0;
  const drawer: FakeDrawer = {
    seeds: [],
    steps: 0,
    most: 0,
    error: undefined,
    maxTriples: 9,
    vocabulary: createVocabulary(['sheep'], ['by']),
    manifest: {
      name: 'fake',
      licence: 'none',
      imageSize: 1,
      defaults: { sampler: 'ddim', steps: 4, guidanceScale: 2 },
      parts: { unet: { nullToken: true } },
    } as Drawer['manifest'],
    async generate(_, { seed = 0, steps = 1, guidanceScale = 1, signal, onStep }: GenerateOptions = {}) {
      drawer.seeds.push(seed);
      drawer.most = Math.max(drawer.most, ++running);
      try {
        if (drawer.error) throw drawer.error;
        for (let index = 0; index < steps; index++) {
          await new Promise((resolve) => setTimeout(resolve));
          drawer.steps++;
          if (signal?.aborted) throw new DOMException('aborted', 'AbortError');
          await onStep?.({ index, steps, preview: async () => [Uint8Array.of(index, index, index)], maps: async () => [] });
        }
        return {
          width: 1,
          height: 1,
          pixels: Uint8Array.of(seed, steps, guidanceScale),
          withoutToken: [[0, 'by', 1]],
          record: { seed } as Picture['record'],
        };
      } finally {
        running--;
      }
    },
  };
  return drawer;
}
