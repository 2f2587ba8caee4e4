import {
  createAdamW,
  createRng,
  disposeParams,
  flattenParams,
  mapParams,
  toVariables,
  valueAndGrads,
} from '@sgdiff/nn';
import type { Box } from '@sgdiff/sg-schema';
import { checkGradients, expectNoLeak, readGolden, setupBackend } from '@sgdiff/test-kit';
import * as tf from '@tensorflow/tfjs-core';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { decodeDetections, detect } from './decode-detections';
import type { LabelledBox } from './detection';
import {
  checkDetectorConfig,
  defaultDetectorConfig,
  detector,
  detectorFlops,
  initDetector,
  type DetectorConfig,
  type DetectorParams,
} from './detector';
import { detectorLoss, detectorTargets, focalLoss } from './detector-loss';

const config: DetectorConfig = {
  categories: ['sun', 'sea'],
  size: 16,
  channels: [8, 8, 8, 8],
  headChannels: 8,
  groups: 4,
};
const things: LabelledBox[][] = [
  [{ category: 'sun', box: [0.1, 0.1, 0.4, 0.5] }],
  [
    { category: 'sea', box: [0, 0.5, 1, 1] },
    { category: 'sun', box: [0.5, 0, 1, 0.5] },
  ],
];

/** Weights away from their start, where the residual branches are zero. */
function anyParams(of: DetectorConfig): DetectorParams {
  const rng = createRng('any');
  const fresh = initDetector(of, rng.fork('init'));
  const moved = mapParams(fresh, (tensor, path) => {
    const noise = tf.tensor(rng.fork(path).fillNormal(new Float32Array(tensor.size)), tensor.shape);
    return tf.tidy(() => tf.add(tensor, tf.mul(noise, 0.2)));
  });
  disposeParams(fresh);
  return moved;
}

const anyImages = (B: number, side: number) =>
  tf.tensor4d(createRng('images').fillNormal(new Float32Array(B * side * side * 3)), [B, side, side, 3]);

let created: unknown[] = [];
/** Hands a tree of tensors to the end of the test. */
function scoped<T>(tree: T): T {
  created.push(tree);
  return tree;
}
beforeEach(() => setupBackend('cpu'));
afterEach(() => {
  created.forEach((tree) => tf.dispose(tree as tf.TensorContainer));
  created = [];
});
const params = () => scoped(anyParams(config));
const images = (B: number, side = config.size) => scoped(anyImages(B, side));

describe('detector', () => {
  it('gives each category a map and a box for every cell of 4 x 4 pixels', () => {
    const { heatmaps, boxes } = scoped(detector(params(), config, images(2)));
    expect([heatmaps.shape, boxes.shape]).toEqual([
      [2, 4, 4, 2],
      [2, 4, 4, 8],
    ]);
  });

  it('sees each picture on its own', () => {
    const weights = params();
    const both = images(2);
    const second = scoped(tf.slice(both, [1, 0, 0, 0]));
    const together = scoped(detector(weights, config, both));
    const alone = scoped(detector(weights, config, second));
    const part = scoped(tf.slice(together.heatmaps, [1, 0, 0, 0]));
    expect(alone.heatmaps).toBeAllClose(part, { rtol: 1e-4, atol: 1e-5 }); // float32 sums in another order
  });

  it('lets every cell see the whole picture', () => {
    const weights = params();
    const image = images(1);
    const corner = scoped(
      tf.pad(tf.ones([1, 1, 1, 3]), [
        [0, 0],
        [15, 0],
        [15, 0],
        [0, 0],
      ]) as tf.Tensor4D,
    );
    const changed = scoped(tf.add(image, corner));
    const [a, b] = [image, changed].map((x) => scoped(detector(weights, config, x as tf.Tensor4D)).heatmaps.dataSync());
    expect(Math.abs(a[0] - b[0])).toBeGreaterThan(1e-6); // top left answers to bottom right
  });

  it('starts with probability 0.01 or little else everywhere', () => {
    const fresh = scoped(initDetector(config, createRng(1)));
    expect(fresh.head.heatmap.bias).toBeAllClose([-4.59512, -4.59512], { atol: 1e-5 });
  });

  it('gives the same on wasm as on the pure JS backend', async () => {
    const image = createRng('images').fillNormal(new Float32Array(16 * 16 * 3));
    const run = () => {
      const output = tf.tidy(() => detector(anyParams(config), config, tf.tensor4d(image, [1, 16, 16, 3])));
      const values = [output.heatmaps.dataSync(), output.boxes.dataSync()];
      tf.dispose([output.heatmaps, output.boxes]);
      return values;
    };
    const onCpu = run();
    await setupBackend('wasm');
    const onWasm = run();
    onWasm.forEach((values, i) => expect(values).toBeAllClose(onCpu[i], { rtol: 1e-3, atol: 1e-4 })); // float32, 12 layers
  });

  it('leaves no tensor behind, also when the pictures do not fit', async () => {
    const weights = params();
    const image = images(1);
    const small = images(1, 12);
    await expectNoLeak(() => detector(weights, config, image));
    await expectNoLeak(() => detect(weights, config, image, { defaultThreshold: 0 }));
    await expectNoLeak(() => detector(weights, config, small), {
      throws: 'detector: expected images of shape [1, 16, 16, 3], received [1, 12, 12, 3].',
    });
    await expectNoLeak(() => initDetector(config, createRng(1)));
  });

  it('costs at most 0.15 GFLOP for 35 categories at 64 px', () => {
    const names = Array.from({ length: 35 }, (_, i) => `word ${i}`);
    expect(detectorFlops(defaultDetectorConfig(names)) / 1e9).toBeCloseTo(0.137, 3);
  });

  it('names the setting that does not fit', () => {
    const message = (change: Partial<DetectorConfig>) => () => checkDetectorConfig({ ...config, ...change });
    expect(message({ categories: [] })).toThrow(
      'detector config: expected at least one category, received none. Pass the names to detect.',
    );
    expect(message({ categories: ['cat', 'cat'] })).toThrow(
      'detector config: category "cat" is listed twice. List each name once.',
    );
    expect(message({ size: 40 })).toThrow(
      'detector config: expected size to be a positive multiple of 16, received 40.',
    );
    expect(message({ headChannels: 6 })).toThrow(
      'detector config: expected channels to be multiples of groups (4), received 6.',
    );
    expect(() => initDetector({ ...config, size: 8 }, createRng(1))).toThrow('received 8');
  });
});

describe('focalLoss', () => {
  type Packed = { data: number[] };
  type Golden = { count: number; logits: Packed; targets: Packed; loss: number; gradient: Packed };
  const golden = readGolden<Golden>(import.meta.url, '../fixtures/focal-loss.golden.json');

  it('agrees with torch in value and gradient, also for saturated logits', () => {
    const targets = scoped(tf.tensor1d(golden.targets.data));
    const logits = scoped(tf.tensor1d(golden.logits.data));
    const { value, grad } = scoped(tf.valueAndGrad((x: tf.Tensor) => focalLoss(x, targets, golden.count))(logits));
    expect(value).toBeAllClose(golden.loss, { rtol: 1e-6 });
    expect(grad).toBeAllClose(golden.gradient.data, { rtol: 1e-5, atol: 1e-7 });
  });
});

describe('detectorTargets', () => {
  it('is 1 in the cell of each centre and nowhere else, with the sides of the box around it', () => {
    const { heatmaps, boxes, boxWeights, positives } = detectorTargets(config, things);
    expect(positives).toBe(3);
    expect([...heatmaps].filter((y) => y === 1).length).toBe(3);
    const cell = (0 * 16 + 1 * 4 + 1) * 2; // picture 0, row 1, column 1, sun
    expect(heatmaps[cell]).toBe(1);
    expect(boxes.subarray(cell * 4, cell * 4 + 4)).toBeAllClose([0.275, 0.275, 0.025, 0.125], { atol: 1e-6 });
    expect(boxWeights.subarray(cell * 4, cell * 4 + 4)).toBeAllClose([1 / 0.3, 1 / 0.4, 1 / 0.3, 1 / 0.4], {
      rtol: 1e-6,
    });
  });

  it('comes back from decodeDetections for any single thing', () => {
    const side = fc.tuple(fc.double({ min: 0, max: 0.9, noNaN: true }), fc.double({ min: 0.05, max: 1, noNaN: true }));
    fc.assert(
      fc.property(side, side, fc.constantFrom(...config.categories), ([x0, w], [y0, h], category) => {
        const box: Box = [x0, y0, Math.min(x0 + w, 1), Math.min(y0 + h, 1)];
        const { heatmaps, boxes } = detectorTargets(config, [[{ category, box }]]);
        const logits = heatmaps.map((y) => 20 * y - 10);
        const [[detection], ...others] = decodeDetections(
          config,
          { heatmaps: logits, boxes },
          { defaultThreshold: 0.99 },
        );
        expect(others).toEqual([]);
        expect(detection.category).toBe(category);
        expect(detection.box).toBeAllClose(box, { atol: 1e-6 });
      }),
    );
  });

  it('names the thing with an unknown word or an impossible box', () => {
    const targets = (category: string, box: Box) => () => detectorTargets(config, [[], [{ category, box }]]);
    expect(targets('moon', [0, 0, 1, 1])).toThrow(
      'detectorTargets: picture 1, thing 0: "moon" is not one of the detector\'s 2 categories.',
    );
    expect(targets('sun', [0.5, 0, 0.5, 1])).toThrow(
      'detectorTargets: picture 1, thing 0: expected a box with 0 <= x0 < x1 <= 1 and 0 <= y0 < y1 <= 1, received [0.5, 0, 0.5, 1].',
    );
  });
});

describe('detectorLoss', () => {
  it('has the gradient of finite differences in the pictures', async () => {
    const weights = params();
    const targets = detectorTargets(config, things.slice(0, 1));
    const image = images(1);
    const loss = (x: tf.Tensor) => detectorLoss(weights, config, x as tf.Tensor4D, targets).loss;
    // Steps small enough that no |box error| changes its sign; atol for the float32 loss of about 10.
    await checkGradients(loss, [image], { eps: 2e-3, rtol: 2e-2, atol: 5e-3, samples: 8 });
  });

  it('gives every weight a finite gradient, and leaves no tensor behind', async () => {
    const weights = toVariables(params());
    scoped(weights);
    const image = images(2);
    const targets = detectorTargets(config, things);
    const { value, grads } = scoped(valueAndGrads(() => detectorLoss(weights, config, image, targets).loss, weights));
    expect(Number.isFinite(value.dataSync()[0])).toBe(true);
    for (const { path } of flattenParams(weights)) {
      const largest = Math.max(...grads[path].dataSync().map(Math.abs));
      expect(largest, path).toBeGreaterThan(0);
      expect(largest, path).toBeLessThan(Infinity);
    }
    await expectNoLeak(() => detectorLoss(weights, config, image, targets));
  });

  it('is 0 for the boxes of a picture without things, and finite', () => {
    const { loss, box } = scoped(detectorLoss(params(), config, images(1), detectorTargets(config, [[]])));
    expect(box.dataSync()[0]).toBe(0);
    expect(loss.dataSync()[0]).toBeGreaterThan(0);
  });

  it('overfits a batch of four pictures', async () => {
    await setupBackend('wasm');
    const [B, S, steps] = [4, 32, 50];
    const truth: LabelledBox[][] = [
      [{ category: 'sun', box: [0.125, 0.125, 0.375, 0.375] }],
      [
        { category: 'sun', box: [0.625, 0.25, 0.875, 0.5] },
        { category: 'sea', box: [0, 0.5, 1, 1] },
      ],
      [{ category: 'sea', box: [0, 0.75, 1, 1] }],
      [
        { category: 'sun', box: [0.125, 0.125, 0.375, 0.375] },
        { category: 'sun', box: [0.625, 0.625, 0.875, 0.875] },
      ],
    ];
    const larger = { ...config, size: S };
    const pixels = new Float32Array(B * S * S * 3).fill(-0.5);
    truth.forEach((picture, b) =>
      picture.forEach(({ category, box }) => {
        for (let y = box[1] * S; y < box[3] * S; y++) {
          for (let x = box[0] * S; x < box[2] * S; x++)
            pixels[((b * S + y) * S + x) * 3 + (category === 'sun' ? 0 : 2)] = 1;
        }
      }),
    );
    const batch = scoped(tf.tensor4d(pixels, [B, S, S, 3]));
    const initial = initDetector(larger, createRng('overfit'));
    const weights = toVariables(initial);
    scoped([initial, weights]);
    const optimiser = createAdamW(weights, { learningRate: 1e-2, weightDecay: 0 });
    const targets = detectorTargets(larger, truth);
    for (let step = 0; step < steps; step++) {
      const { value, grads } = valueAndGrads(() => detectorLoss(weights, larger, batch, targets).loss, weights);
      optimiser.step(grads, { learningRate: 2e-2 * (1 - step / steps) });
      tf.dispose([value, grads]);
    }
    optimiser.dispose();
    const found = await detect(weights, larger, batch, { defaultThreshold: 0.4 });
    found.forEach((detections, b) => {
      const reading = (a: LabelledBox, c: LabelledBox) => a.category.localeCompare(c.category) || a.box[0] - c.box[0];
      const [seen, wanted] = [[...detections].sort(reading), [...truth[b]].sort(reading)];
      expect(seen.map(({ category }) => category)).toEqual(wanted.map(({ category }) => category));
      seen.forEach(({ box }, i) => expect(box).toBeAllClose(wanted[i].box, { atol: 0.08 })); // less than a cell of 4 pixels
    });
  });
});

describe('decodeDetections', () => {
  const G = 4;
  const empty = () => ({ heatmaps: new Float32Array(G * G * 2).fill(-10), boxes: new Float32Array(G * G * 8) });
  const cell = (x: number, y: number, k: number) => (y * G + x) * 2 + k;

  it('takes peaks of the 3 x 3 around them, best first, cut to the picture', () => {
    const output = empty();
    output.heatmaps[cell(1, 1, 0)] = 2;
    output.heatmaps[cell(2, 1, 0)] = 1; // beside a higher one
    output.heatmaps[cell(2, 2, 1)] = 3; // another category
    output.boxes.set([0.5, 0.1, 0.2, 0.1], cell(1, 1, 0) * 4);
    output.boxes.set([0.1, 0.1, 0.1, 0.1], cell(2, 2, 1) * 4);
    const [[first, second, ...others]] = decodeDetections(config, output);
    expect(others).toEqual([]);
    expect([first.category, second.category]).toEqual(['sea', 'sun']);
    expect([first.score, second.score]).toBeAllClose([1 / (1 + Math.exp(-3)), 1 / (1 + Math.exp(-2))], { rtol: 1e-12 });
    expect(second.box).toBeAllClose([0, 0.275, 0.575, 0.475], { atol: 1e-6 });
  });

  it('takes the first of equal neighbours', () => {
    const output = empty();
    for (const x of [1, 2]) output.heatmaps[cell(x, 0, 0)] = 1;
    const [detections] = decodeDetections(config, output);
    expect(detections.length).toBe(1);
  });

  it('takes thresholds by name, and of two boxes that overlap much only the better', () => {
    const output = empty();
    output.heatmaps[cell(0, 0, 0)] = 1;
    output.heatmaps[cell(2, 0, 0)] = 0.5;
    output.boxes.set([0, 0, 0.8, 0.8], cell(0, 0, 0) * 4);
    output.boxes.set([0.5, 0, 0.3, 0.8], cell(2, 0, 0) * 4);
    expect(decodeDetections(config, output)[0].length).toBe(1);
    expect(decodeDetections(config, output, { overlap: 1 })[0].length).toBe(2);
    expect(decodeDetections(config, output, { overlap: 1, maxDetections: 1 })[0].length).toBe(1);
    expect(decodeDetections(config, output, { thresholds: { sun: 0.8 } })[0]).toEqual([]);
    expect(decodeDetections(config, output, { thresholds: { sea: 0.8 } })[0].length).toBe(1);
  });

  it('says when the arrays do not fit the config', () => {
    expect(() => decodeDetections(config, { heatmaps: new Float32Array(31), boxes: new Float32Array(124) })).toThrow(
      'decodeDetections: expected heatmaps of B * 32 values and boxes of 4 times as many, received 31 and 124.',
    );
  });
});
