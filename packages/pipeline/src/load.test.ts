import { encodeSafetensors, createRng, initLinear } from '@sgdiff/nn';
import { expectNoLeak, setupBackend } from '@sgdiff/test-kit';
import { beforeAll, describe, expect, it } from 'vitest';
import { loadPipeline } from './load';
import { parseManifest } from './manifest';
import { memorySource, urlSource, type ModelSource } from './model-source';
import { encodeJson, sha256, tinyManifest, tinyModel, withManifest, type ModelFiles } from './testing/tiny-model';
import { loadModelWeights } from './weights';

let files: ModelFiles;
beforeAll(async () => {
  await setupBackend('cpu');
  files = await tinyModel();
});

const text = (value: string): Uint8Array => new TextEncoder().encode(value);
const without = (file: string): ModelFiles =>
  Object.fromEntries(Object.entries(files).filter(([name]) => name !== file));
const load = (changed: ModelFiles): Promise<unknown> => loadPipeline(memorySource('models/tiny', changed));

describe('loadPipeline', () => {
  it('gives the vocabulary and limits of the model, and frees all it holds on dispose', async () => {
    await expectNoLeak(async () => {
      const pipeline = await loadPipeline(memorySource('tiny', files));
      expect(pipeline.manifest.name).toBe('tiny');
      expect(pipeline.maxTriples).toBe(8);
      expect(pipeline.vocabulary.objects).toEqual(['__image__', 'sky', 'grass', 'sheep', 'zebra', 'tree']);
      return pipeline;
    });
  });

  it('reads only what drawing needs', async () => {
    const asked: string[] = [];
    const source = memorySource('tiny', files);
    const pipeline = await loadPipeline({ ...source, read: (file) => (asked.push(file), source.read(file)) });
    pipeline.dispose();
    expect(asked).toEqual([
      'model.json',
      'vocab.json',
      'encoder.safetensors',
      'autoencoder.safetensors',
      'unet.safetensors',
    ]);
  });

  const { parts, defaults, schedule } = tinyManifest;
  const manifest =
    (change: object): (() => ModelFiles) =>
    () =>
      withManifest(files, { ...tinyManifest, ...change });
  const unet = (change: object): (() => ModelFiles) =>
    manifest({ parts: { ...parts, unet: { ...parts.unet, ...change } } });
  const AGAIN = 'Correct it or get the model folder again.';

  const refused: [what: string, changed: () => ModelFiles, code: string, message: string | RegExp][] = [
    [
      'a folder without model.json',
      () => without('model.json'),
      'missing_file',
      'Model file models/tiny/model.json could not be read: it is not there. Check that this is the address of a model folder, ' +
        'which has a model.json.',
    ],
    [
      'a missing file',
      () => without('unet.safetensors'),
      'missing_file',
      'Model file models/tiny/unet.safetensors could not be read: it is not there. The model folder is not complete: get it again.',
    ],
    [
      'an altered file',
      () => ({ ...files, 'autoencoder.safetensors': files['autoencoder.safetensors'].slice(0, 100) }),
      'altered_file',
      /^Model file models\/tiny\/autoencoder\.safetensors was altered or cut: expected SHA-256 [0-9a-f]{64} \(\d+ bytes\), received [0-9a-f]{64} \(100 bytes\)\. Get the model folder again\.$/,
    ],
    [
      'a model.json that is cut',
      () => ({ ...files, 'model.json': text('{"format": 1,') }),
      'invalid_manifest',
      /^models\/tiny\/model\.json is not valid JSON: .+\. Get the model folder again\.$/,
    ],
    [
      'a web page in place of model.json',
      () => ({ ...files, 'model.json': text('<!doctype html>') }),
      'invalid_manifest',
      /It looks like a web page: check the address of the model folder\.$/,
    ],
    [
      'a list in place of model.json',
      () => ({ ...files, 'model.json': text('[]') }),
      'invalid_manifest',
      'models/tiny/model.json: expected an object, received []. Get the model folder again.',
    ],
    [
      'another format',
      manifest({ format: 2 }),
      'unsupported_format',
      'models/tiny/model.json: format: expected 1, received 2. Use the version of @sgdiff/pipeline that the model was made for.',
    ],
    [
      'a missing key',
      manifest({ name: undefined }),
      'invalid_manifest',
      `models/tiny/model.json: name: expected a string, received nothing. ${AGAIN}`,
    ],
    [
      'half a pixel',
      manifest({ imageSize: 8.5 }),
      'invalid_manifest',
      `models/tiny/model.json: imageSize: expected a whole number from 1, received 8.5. ${AGAIN}`,
    ],
    [
      'an unknown schedule',
      manifest({ schedule: { kind: 'round', timesteps: 10 } }),
      'invalid_manifest',
      `models/tiny/model.json: schedule: expected a noise schedule (createSchedule: expected kind to be one of 'linear', ` +
        `'sqrt-linear', 'cosine', 'sigmoid', received 'round'), received {"kind":"round","timesteps":10}. ${AGAIN}`,
    ],
    [
      'an unknown prediction',
      manifest({ prediction: 'noise' }),
      'invalid_manifest',
      `models/tiny/model.json: prediction: expected one of eps, v, x0, received "noise". ${AGAIN}`,
    ],
    [
      'a latent scale of 0',
      manifest({ latentScale: 0 }),
      'invalid_manifest',
      `models/tiny/model.json: latentScale: expected a number above 0, received 0. ${AGAIN}`,
    ],
    [
      'an unknown default sampler',
      manifest({ defaults: { ...defaults, sampler: 'dpm++' } }),
      'invalid_manifest',
      'models/tiny/model.json: defaults.sampler: expected one of dpm-solver++2m, ddim, ddpm, plms, euler, euler-ancestral, heun, dpm2, lms, ' +
        `dpm-solver++2m-sde, dpm-solver++3m-sde, dpm-solver++2s-ancestral, unipc, deis, lcm, received "dpm++". ${AGAIN}`,
    ],
    [
      'more default steps than the schedule has',
      manifest({ defaults: { ...defaults, steps: 51 } }),
      'invalid_manifest',
      `models/tiny/model.json: defaults.steps: expected a whole number from 1 to 50, the timesteps of the schedule, received 51. ${AGAIN}`,
    ],
    [
      'a default guidance below 0',
      manifest({ defaults: { ...defaults, guidanceScale: -1 } }),
      'invalid_manifest',
      `models/tiny/model.json: defaults.guidanceScale: expected a number from 0, received -1. ${AGAIN}`,
    ],
    [
      'a default eta above 1',
      manifest({ defaults: { ...defaults, sampler: 'ddim', eta: 2 } }),
      'invalid_manifest',
      `models/tiny/model.json: defaults.eta: expected a number from 0 to 1, received 2. ${AGAIN}`,
    ],
    [
      'a default eta for a sampler that has none',
      manifest({ defaults: { ...defaults, sampler: 'plms', eta: 1 } }),
      'invalid_manifest',
      `models/tiny/model.json: defaults.eta: expected 0 with sampler "plms", received 1. ${AGAIN}`,
    ],
    [
      'noise predicted where the schedule ends in pure noise',
      manifest({ prediction: 'eps', schedule: { ...schedule, zeroTerminalSnr: true } }),
      'invalid_manifest',
      `models/tiny/model.json: prediction: expected "v" or "x0" with schedule.zeroTerminalSnr (pure noise tells no eps), received "eps". ${AGAIN}`,
    ],
    [
      'an unknown default spacing',
      manifest({ defaults: { ...defaults, spacing: 'karras' } }),
      'invalid_manifest',
      `models/tiny/model.json: defaults.spacing: expected one of trailing, leading, linspace, published, received "karras". ${AGAIN}`,
    ],
    [
      'default steps with which published spacing ends past the schedule',
      manifest({ defaults: { ...defaults, spacing: 'published', steps: 7 } }),
      'invalid_manifest',
      'models/tiny/model.json: defaults.steps: expected a number of steps for published spacing (publishedTimesteps: expected a ' +
        'number of steps whose timesteps end within the schedule, received 7: the last would be 50, and the schedule ends at 49. ' +
        `Take 6 (which takes 7) or 8 (which takes 9)), received 7. ${AGAIN}`,
    ],
    [
      'a missing part',
      manifest({ parts: { ...parts, unet: undefined } }),
      'invalid_manifest',
      `models/tiny/model.json: parts.unet: expected an object, received nothing. ${AGAIN}`,
    ],
    [
      'a file that is not listed',
      () => withManifest(without('vocab.json')),
      'invalid_manifest',
      `models/tiny/model.json: files["vocab.json"]: expected an object with sha256 and bytes, received nothing. ${AGAIN}`,
    ],
    [
      'a graph encoder and a U-Net of different widths',
      unet({ localWidth: 15 }),
      'invalid_manifest',
      `models/tiny/model.json: parts.unet.localWidth: expected 12 (three times parts.encoder.width), received 15. ${AGAIN}`,
    ],
    [
      'an autoencoder and a U-Net of different latents',
      unet({ inChannels: 4, outChannels: 4 }),
      'invalid_manifest',
      `models/tiny/model.json: parts.unet.inChannels: expected 2 (parts.autoencoder.embedDim), received 4. ${AGAIN}`,
    ],
    [
      'pictures that the parts cannot halve as often as they do',
      manifest({ imageSize: 10 }),
      'invalid_manifest',
      `models/tiny/model.json: imageSize: expected a multiple of 4 (by which parts.autoencoder and parts.unet reduce the sides), received 10. ${AGAIN}`,
    ],
    [
      'default guidance without a null condition',
      unet({ nullToken: false }),
      'invalid_manifest',
      `models/tiny/model.json: defaults.guidanceScale: expected 1 (parts.unet.nullToken is not set, so there is no guidance), received 2. ${AGAIN}`,
    ],
    [
      'a config that describes no network',
      unet({ groups: 3 }),
      'invalid_manifest',
      'models/tiny/model.json: the config of the part in unet.safetensors cannot be used: UnetConfig: expected the width of level 0 to be ' +
        `a multiple of groups (3), received 4. Change modelChannels, channelMults or groups. ${AGAIN}`,
    ],
    [
      'a config with holes',
      unet({ channelMults: undefined }),
      'invalid_manifest',
      /^models\/tiny\/model\.json: the config of the part in unet\.safetensors cannot be used: .+ Correct it or get the model folder again\.$/,
    ],
    [
      'a vocabulary that is not JSON',
      () => withManifest({ ...files, 'vocab.json': text('sky, grass') }),
      'invalid_vocabulary',
      /^Model file models\/tiny\/vocab\.json is no vocabulary: parseVocabulary: expected JSON, received text that is not \(.+\)\. Pass the content of sg2im's vocab\.json\.$/,
    ],
    [
      'a vocabulary of another form',
      () =>
        withManifest({
          ...files,
          'vocab.json': encodeJson({ object_idx_to_name: ['sky'], pred_idx_to_name: ['__in_image__'] }),
        }),
      'invalid_vocabulary',
      'Model file models/tiny/vocab.json is no vocabulary: parseVocabulary: object_idx_to_name[0]: expected "__image__", received "sky". ' +
        'Put "__image__" first: models use index 0 for it.',
    ],
    [
      'a vocabulary of another size than the encoder',
      () =>
        withManifest({
          ...files,
          'vocab.json': encodeJson({ object_idx_to_name: ['__image__', 'sky'], pred_idx_to_name: ['__in_image__'] }),
        }),
      'invalid_vocabulary',
      'Model file models/tiny/vocab.json does not fit model.json: expected 6 object words (parts.encoder.objectCount), received 2. ' +
        'Get the model folder again.',
    ],
    [
      'more layers than anybody has',
      manifest({ parts: { ...parts, encoder: { ...parts.encoder, layers: 3e8 } } }),
      'invalid_manifest',
      `models/tiny/model.json: the config of the part in encoder.safetensors cannot be used: SgEncoderConfig: expected layers to be at most 1000, received 300000000. ${AGAIN}`,
    ],
    [
      'more blocks than anybody has',
      unet({ numResBlocks: 1e7 }),
      'invalid_manifest',
      `models/tiny/model.json: the config of the part in unet.safetensors cannot be used: UnetConfig: expected numResBlocks to be at most 50, received 10000000. ${AGAIN}`,
    ],
    [
      'weights of another part',
      () => withManifest({ ...files, 'unet.safetensors': files['encoder.safetensors'] }),
      'weights_mismatch',
      /^Model file models\/tiny\/unet\.safetensors does not fit model\.json: loadWeights: .*missing: "timeEmbed\.in\.weight".*unexpected: "objectEmbedding\.weight"/,
    ],
    [
      'weights of another width',
      manifest({ parts: { ...parts, encoder: { ...parts.encoder, hiddenWidth: 7 } } }),
      'weights_mismatch',
      'Model file models/tiny/encoder.safetensors does not fit model.json: loadWeights: the weights do not fit the model. misshapen: ' +
        '"layers.0.triple.up.weight" is [12, 6] in the file but [12, 7] in the model, "layers.0.triple.up.bias" is [6] in the file but [7] ' +
        'in the model, "layers.0.triple.down.weight" is [6, 12] in the file but [7, 12] in the model, "layers.0.node.up.weight" is [4, 6] in ' +
        'the file but [4, 7] in the model, "layers.0.node.up.bias" is [6] in the file but [7] in the model, "layers.0.node.down.weight" is ' +
        '[6, 4] in the file but [7, 4] in the model. Were they made with another config?',
    ],
    [
      'weights that are not safetensors',
      () => withManifest({ ...files, 'unet.safetensors': text('not weights at all') }),
      'weights_mismatch',
      /^Model file models\/tiny\/unet\.safetensors does not fit model\.json: streamSafetensors: expected a header of at most 10000000 bytes, received \d+\. Is it another format\?$/,
    ],
  ];
  it.each(refused)('refuses %s', async (_, changed, code, message) => {
    const run = (): Promise<unknown> => load(changed());
    await expectNoLeak(() =>
      expect(run()).rejects.toMatchObject({ name: 'ModelError', code, message: match(message) }),
    );
  });
});

describe('a model that comes in pieces', () => {
  /** The folder as a stream of small chunks; `change` may spoil a file on its way. */
  const trickling = (change: (file: string, bytes: Uint8Array) => Uint8Array = (_, bytes) => bytes) => {
    const whole = memorySource('models/tiny', files);
    const streamed: string[] = [];
    const source: ModelSource = {
      ...whole,
      async *stream(file) {
        streamed.push(file);
        const bytes = change(file, await whole.read(file));
        for (let at = 0; at < bytes.length; at += 1000) yield bytes.slice(at, at + 1000);
      },
    };
    return { source, streamed };
  };

  it('streams the weights, and says how far it is', async () => {
    const { source, streamed } = trickling();
    const seen: { loadedBytes: number; totalBytes: number }[] = [];
    const pipeline = await loadPipeline(source, { onProgress: (progress) => seen.push(progress) });
    pipeline.dispose();
    const weights = ['encoder.safetensors', 'autoencoder.safetensors', 'unet.safetensors'];
    expect(streamed).toEqual(weights);
    const totalBytes = weights.reduce((sum, file) => sum + files[file]!.length, 0);
    expect(new Set(seen.map((progress) => progress.totalBytes))).toEqual(new Set([totalBytes]));
    const loaded = seen.map((progress) => progress.loadedBytes);
    expect(loaded).toEqual([...loaded].sort((a, b) => a - b));
    expect(loaded.at(-1)).toBe(totalBytes);
  });

  it.each([
    ['one flipped bit in the last tensor', (bytes: Uint8Array) => bytes.fill(bytes.at(-1)! ^ 1, -1)],
    ['a cut in the middle', (bytes: Uint8Array) => bytes.subarray(0, bytes.length / 2)],
    ['a cut in the header', (bytes: Uint8Array) => bytes.subarray(0, 40)],
    ['nothing at all', () => new Uint8Array(0)],
    ['more than there should be', (bytes: Uint8Array) => Uint8Array.of(...bytes, 0)],
    ['a header of another length', (bytes: Uint8Array) => bytes.fill(bytes[0]! + 8, 0, 1)],
  ])('calls a file with %s altered, and frees what had come', async (_, spoil) => {
    const { source } = trickling((file, bytes) => (file === 'unet.safetensors' ? spoil(bytes.slice()) : bytes));
    const run = (): Promise<unknown> => loadPipeline(source);
    await expectNoLeak(() => expect(run()).rejects.toMatchObject({ code: 'altered_file', file: 'unet.safetensors' }));
  });

  it('reads no further than the size in the manifest', async () => {
    let sent = 0;
    const { source } = trickling();
    const endless: ModelSource = {
      ...source,
      async *stream(file) {
        if (file !== 'encoder.safetensors') return yield* source.stream!(file);
        const header = new Uint8Array(8);
        new DataView(header.buffer).setBigUint64(0, 9_000_000n, true);
        yield header;
        for (; sent < 9_000_000; sent += 1000) yield new Uint8Array(1000).fill(0x20);
      },
    };
    await expect(loadPipeline(endless)).rejects.toMatchObject({
      code: 'altered_file',
      message: expect.stringMatching(/received more than \d+ bytes\. Get the model folder again\.$/) as string,
    });
    expect(sent).toBeLessThan(files['encoder.safetensors']!.length + 2000);
  });

  it('frees what had come when the download breaks off, and lets go of the source', async () => {
    let closed = 0;
    const whole = memorySource('models/tiny', files);
    const source: ModelSource = {
      ...whole,
      async *stream(file) {
        try {
          yield (await whole.read(file)).slice(0, 20_000);
          if (file === 'unet.safetensors') throw new Error('line cut');
          yield (await whole.read(file)).slice(20_000);
        } finally {
          closed += 1;
        }
      },
    };
    const run = (): Promise<unknown> => loadPipeline(source);
    await expectNoLeak(() => expect(run()).rejects.toThrow('line cut'));
    expect(closed).toBe(3);
  });
});

describe('loadModelWeights', () => {
  it('gives the generator of zeros to init and fills the tree from the file', async () => {
    const bytes = encodeSafetensors({
      weight: { dtype: 'F32', shape: [1, 2], data: new Float32Array([3, 4]) },
      bias: { dtype: 'F16', shape: [2], data: new Uint16Array([0x3c00, 0xc000]) },
    });
    const source = memorySource('one', withManifest({ ...files, 'head.safetensors': bytes }));
    const manifest = parseManifest(new TextDecoder().decode(await source.read('model.json')), 'one/model.json');
    await expectNoLeak(async () => {
      const params = await loadModelWeights(source, manifest, 'head.safetensors', (rng) =>
        initLinear(1, 2, rng.fork('head')),
      );
      expect(params.weight).toBeAllClose([[3, 4]]);
      expect(params.bias).toBeAllClose([1, -2]);
      return params;
    });
    const absent = loadModelWeights(source, manifest, 'detector.safetensors', () => initLinear(1, 2, createRng(1)));
    await expect(absent).rejects.toMatchObject({
      code: 'missing_file',
      message: 'one/model.json lists no "detector.safetensors". This model comes without that part.',
    });
  });
});

describe('urlSource', () => {
  const server: typeof fetch = async (input) => {
    const url = String(input);
    if (url.includes('offline')) throw new TypeError('fetch failed');
    const bytes = files[url.replace('https://models.example/tiny/', '')];
    if (url.endsWith('broken.bin'))
      return { ok: true, arrayBuffer: () => Promise.reject(new Error('terminated')) } as Response;
    return bytes ? new Response(new Uint8Array(bytes)) : new Response('', { status: 404 });
  };

  it.each(['https://models.example/tiny', 'https://models.example/tiny/'])('loads a model from %s', async (url) => {
    const pipeline = await loadPipeline(urlSource(url, { fetch: server }));
    pipeline.dispose();
    expect(sha256(await urlSource(url, { fetch: server }).read('vocab.json'))).toBe(sha256(files['vocab.json']));
  });

  it('says that a download broke off in the middle, and cancels one that is no longer wanted', async () => {
    let cancelled = 0;
    const body = (end: (controller: ReadableStreamDefaultController<Uint8Array>) => void): typeof fetch => {
      const stream = new ReadableStream<Uint8Array>(
        { start: (controller) => controller.enqueue(Uint8Array.of(1)), pull: end, cancel: () => void (cancelled += 1) },
        { highWaterMark: 0 },
      );
      return async () => new Response(stream);
    };
    const read = async (get: typeof fetch, stop: boolean): Promise<void> => {
      for await (const _ of urlSource('https://models.example', { fetch: get }).stream!('w')) if (stop) break;
    };
    await expect(
      read(
        body((controller) => controller.error(new Error('reset'))),
        false,
      ),
    ).rejects.toThrow(
      'Model file https://models.example/w could not be read: the download broke off (reset). ' +
        'The model folder is not complete: get it again.',
    );
    await read(
      body(() => {}),
      true,
    );
    expect(cancelled).toBe(1);
  });

  it.each([
    [
      'https://models.example/tiny',
      'image-encoder.safetensors',
      'Model file https://models.example/tiny/image-encoder.safetensors could not be read: the server answered 404. ' +
        'The model folder is not complete: get it again.',
    ],
    [
      'https://models.example/tiny',
      'gone.bin',
      'Model file https://models.example/tiny/gone.bin could not be read: the server answered 404. ' +
        'The model folder is not complete: get it again.',
    ],
    [
      'https://offline.example',
      'model.json',
      'Model file https://offline.example/model.json could not be read: the request failed (fetch failed). ' +
        'Check that this is the address of a model folder, which has a model.json.',
    ],
    [
      'https://models.example/tiny',
      'broken.bin',
      'Model file https://models.example/tiny/broken.bin could not be read: the download broke off (terminated). ' +
        'The model folder is not complete: get it again.',
    ],
  ])('says what went wrong at %s for %s', async (url, file, message) => {
    await expect(urlSource(url, { fetch: server }).read(file)).rejects.toMatchObject({
      code: 'missing_file',
      file,
      message,
    });
  });
});

function match(message: string | RegExp): unknown {
  return typeof message === 'string' ? message : expect.stringMatching(message);
}
