// Shapes: B batch, G cells per side, K categories.
import * as tf from '@tensorflow/tfjs-core';
import { expectShape, sumAll } from '@sgdiff/nn';
import type { LabelledBox } from './detection';
import { DETECTOR_STRIDE, detector, type DetectorConfig, type DetectorParams } from './detector';
import { MetricsError } from './metrics-error';

/** What the detector should say about a batch. Plain arrays, row-major. */
export type DetectorTargets = {
  readonly batch: number;
  /** Gaussian bumps `[B, G, G, K]`: exactly 1 at the cell that holds a centre, below 1 around it. */
  readonly heatmaps: Float32Array;
  /** Distances to left, top, right, bottom `[B, G, G, 4 K]`, in picture sides; 0 where the weight is 0. */
  readonly boxes: Float32Array;
  /** Weight of each distance `[B, G, G, 4 K]`: the bump's height near its top divided by the box's side. */
  readonly boxWeights: Float32Array;
  /** Number of cells that hold a centre. */
  readonly positives: number;
};

export type DetectorLossOptions = {
  /** Share of the box term in the sum. */
  readonly boxWeight?: number;
};

/** All scalars; the caller disposes them. */
export type DetectorLoss = { readonly loss: tf.Scalar; readonly heatmap: tf.Scalar; readonly box: tf.Scalar };

/** Boxes are also trained beside the centre, where the bump is at least this high: a peak may come out one cell off. */
const BOX_BUMP = 0.5;
/** Standard deviation of a bump along each axis, as a share of the box's side; never below `NARROWEST_BUMP` cells. */
const BUMP_SHARE = 0.12;
const NARROWEST_BUMP = 0.5;
/** Bumps are cut where they are lower than this. */
const LOWEST_BUMP = 0.01;
/** Sides shorter than this do not raise the weight of a box any further. */
const SHORTEST_SIDE = 0.08;

/**
 * Targets for a batch: a Gaussian bump per thing on its category's map and the box's sides around its top.
 * Where bumps of one category meet, the higher one counts.
 *
 * The bumps are elliptic and centred between the cells, as in TTFNet; CenterNet's round ones on whole cells shrink to a
 * single cell on a grid this coarse.
 *
 * @param things The true things of each picture.
 * @throws MetricsError on a category that the config does not list, or a box that is empty or outside [0, 1].
 * @see arXiv:1904.07850, section 3; arXiv:1909.00700, sections 3.2 and 3.3 (elliptic bumps, boxes beside the centre).
 */
export function detectorTargets(config: DetectorConfig, things: readonly (readonly LabelledBox[])[]): DetectorTargets {
  const G = config.size / DETECTOR_STRIDE;
  const K = config.categories.length;
  const index = new Map(config.categories.map((name, k) => [name, k]));
  const heatmaps = new Float32Array(things.length * G * G * K);
  const boxes = new Float32Array(heatmaps.length * 4);
  const boxWeights = new Float32Array(heatmaps.length * 4);
  let positives = 0;
  things.forEach((picture, b) =>
    picture.forEach((thing, i) => {
      const where = `detectorTargets: picture ${b}, thing ${i}`;
      const k = index.get(thing.category);
      if (k === undefined) {
        throw new MetricsError(`${where}: "${thing.category}" is not one of the detector's ${K} categories.`);
      }
      const [x0, y0, x1, y1] = thing.box;
      if (!(x0 >= 0 && y0 >= 0 && x1 <= 1 && y1 <= 1 && x0 < x1 && y0 < y1)) {
        throw new MetricsError(
          `${where}: expected a box with 0 <= x0 < x1 <= 1 and 0 <= y0 < y1 <= 1, received [${thing.box.join(', ')}].`,
        );
      }
      const cx = ((x0 + x1) / 2) * G;
      const cy = ((y0 + y1) / 2) * G;
      const sigmaX = Math.max((x1 - x0) * G * BUMP_SHARE, NARROWEST_BUMP);
      const sigmaY = Math.max((y1 - y0) * G * BUMP_SHARE, NARROWEST_BUMP);
      const column = Math.min(Math.floor(cx), G - 1); // the cell that holds the centre
      const row = Math.min(Math.floor(cy), G - 1);
      for (let y = 0; y < G; y++) {
        for (let x = 0; x < G; x++) {
          const isCentre = x === column && y === row;
          const distance = ((x + 0.5 - cx) / sigmaX) ** 2 + ((y + 0.5 - cy) / sigmaY) ** 2;
          const bump = isCentre ? 1 : Math.fround(Math.exp(-distance / 2));
          if (bump < LOWEST_BUMP) continue;
          const cell = ((b * G + y) * G + x) * K + k;
          if (bump <= heatmaps[cell]) continue;
          if (isCentre) positives++;
          heatmaps[cell] = bump;
          if (bump < BOX_BUMP) continue;
          const px = (x + 0.5) / G;
          const py = (y + 0.5) / G;
          boxes.set([px - x0, py - y0, x1 - px, y1 - py], cell * 4);
          const wx = bump / Math.max(x1 - x0, SHORTEST_SIDE);
          const wy = bump / Math.max(y1 - y0, SHORTEST_SIDE);
          boxWeights.set([wx, wy, wx, wy], cell * 4);
        }
      }
    }),
  );
  return { batch: things.length, heatmaps, boxes, boxWeights, positives };
}

/**
 * Loss of the detector on a batch: focal loss of the heat-maps plus weighted L1 of the boxes' sides, both per true thing.
 * The L1 is relative to the box's side, so that small things are placed as well as backgrounds.
 *
 * @param images `[B, S, S, 3]`, float32, in [-1, 1].
 * @throws ShapeError if images or targets do not fit the config.
 * @see arXiv:1904.07850, equations 1 to 4.
 */
export function detectorLoss(
  params: DetectorParams,
  config: DetectorConfig,
  images: tf.Tensor4D,
  targets: DetectorTargets,
  options: DetectorLossOptions = {},
): DetectorLoss {
  const { boxWeight = 1 } = options;
  const G = config.size / DETECTOR_STRIDE;
  const K = config.categories.length;
  const B = targets.batch;
  expectShape('detectorLoss', { images }, { images: [B, config.size, config.size, 3] });
  return tf.tidy(() => {
    const { heatmaps, boxes } = detector(params, config, images);
    const count = Math.max(targets.positives, 1);
    const heatmap = focalLoss(heatmaps, tf.tensor4d(targets.heatmaps, [B, G, G, K]), count);
    const weights = tf.tensor4d(targets.boxWeights, [B, G, G, 4 * K]);
    const errors = tf.abs(tf.sub(boxes, tf.tensor4d(targets.boxes, [B, G, G, 4 * K]))); // [B, G, G, 4 K]
    const box = tf.mul(sumAll(tf.mul(errors, weights)), 1 / (4 * count)) as tf.Scalar;
    return { loss: tf.add(heatmap, tf.mul(box, boxWeight)) as tf.Scalar, heatmap, box };
  });
}

/**
 * Focal loss for heat-maps with soft targets, alpha 2 and beta 4, summed and divided by `count`:
 * `-(1-p)^2 log p` where the target y is 1, else `-(1-y)^4 p^2 log(1-p)`, with p the sigmoid of the logit.
 * Computed from logits with its gradient in closed form, so that saturated cells stay finite.
 *
 * @param logits Any shape, float32.
 * @param targets Same shape, in [0, 1]; gets no gradient.
 * @see arXiv:1904.07850, equation 1.
 */
export function focalLoss(logits: tf.Tensor, targets: tf.Tensor, count: number): tf.Scalar {
  const operation = tf.customGrad((x, save) => {
    const logit = x as tf.Tensor;
    const y = targets;
    const p = tf.sigmoid(logit);
    const q = tf.sub(1, p);
    const soft = tf.log(tf.add(tf.exp(tf.neg(tf.abs(logit))), 1)); // log(1 + e^-|x|)
    const logP = tf.sub(tf.minimum(logit, 0), soft);
    const logQ = tf.sub(tf.minimum(tf.neg(logit), 0), soft);
    const isCentre = tf.cast(tf.equal(y, 1), 'float32');
    const far = tf.mul(tf.square(tf.square(tf.sub(1, y))), tf.sub(1, isCentre)); // (1 - y)^4, 0 at centres
    const p2 = tf.square(p);
    const q2 = tf.square(q);
    const value = tf.neg(sumAll(tf.add(tf.mul(isCentre, tf.mul(q2, logP)), tf.mul(far, tf.mul(p2, logQ)))));
    const atCentre = tf.mul(q2, tf.sub(tf.mul(2, tf.mul(p, logP)), q));
    const elsewhere = tf.mul(p2, tf.sub(p, tf.mul(2, tf.mul(q, logQ))));
    const slope = tf.mul(tf.add(tf.mul(isCentre, atCentre), tf.mul(far, elsewhere)), 1 / count);
    (save as tf.GradSaveFunc)([slope]);
    return {
      value: tf.mul(value, 1 / count),
      gradFunc: (dy: tf.Tensor, saved: tf.Tensor[]) => tf.mul(saved[0], dy),
    };
  });
  return operation(logits) as tf.Scalar;
}
