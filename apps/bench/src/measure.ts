import * as tf from '@tensorflow/tfjs-core';

/** One side of a comparison: milliseconds of a run, as the mean of `repeats` in a row. */
export type Contestant = (repeats: number) => Promise<number>;

export type MeasureOptions = {
  readonly rounds: number;
  /** Short runs are repeated within a turn until it takes so long. */
  readonly turnMs: number;
  /** A comparison takes about so long at most, of three rounds or more. */
  readonly budgetMs: number;
};

const FEWEST_ROUNDS = 3;
/** Lets threads that spin after their work fall asleep before another side is timed. */
const PAUSE_MS = 5;

/**
 * The median time of each contestant. They run in turns, so that a machine that slows down or speeds up does so for all;
 * two runs of each beforehand are left out.
 */
export async function measure(contestants: readonly Contestant[], options: MeasureOptions): Promise<number[]> {
  const repeats: number[] = [];
  let roundMs = 0;
  for (const run of contestants) {
    await run(1);
    const ms = await run(1);
    repeats.push(Math.max(1, Math.ceil(options.turnMs / Math.max(ms, 1e-3))));
    roundMs += Math.max(ms, options.turnMs) + PAUSE_MS;
  }
  const affordable = Math.max(FEWEST_ROUNDS, Math.floor(options.budgetMs / roundMs));
  const times: number[][] = contestants.map(() => []);
  for (let round = 0; round < Math.min(options.rounds, affordable); round++) {
    for (const [i, run] of contestants.entries()) {
      await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
      times[i].push(await run(repeats[i]));
    }
  }
  return times.map(median);
}

/** Times a function of tensors on the running backend; a run ends when a number of its result has been read back. */
export function tensorContestant(run: () => tf.Tensor[]): Contestant {
  return async (repeats) => {
    const begun = performance.now();
    for (let i = 0; i < repeats; i++) {
      const results = run();
      const probe = tf.tidy(() => tf.slice(tf.reshape(results[results.length - 1], [-1]), 0, 1));
      await probe.data();
      tf.dispose([probe, results]);
    }
    return (performance.now() - begun) / repeats;
  };
}

/**
 * Runs both sides twice and compares what they give.
 *
 * @throws Error if they do not compute the same.
 */
export async function requireEqual(name: string, ours: () => tf.Tensor[], plain: () => tf.Tensor[]): Promise<void> {
  for (let run = 0; run < 2; run++) {
    const [a, b] = [ours(), plain()];
    const differences = tf.tidy(() => a.map((tensor, i) => relativeDifference(tensor, b[i])));
    try {
      for (const [i, difference] of differences.entries()) {
        const [value] = await difference.data();
        if (value < TOLERANCE) continue;
        throw new Error(`${name}: result ${i} of the baseline differs from ours by ${value.toExponential(1)} of its size, so that they cannot be compared.`);
      }
    } finally {
      tf.dispose([a, b, differences]);
    }
  }
}

/** Rounding of single precision in long sums, and of approximations of erf and exp. */
const TOLERANCE = 1e-3;

function relativeDifference(a: tf.Tensor, b: tf.Tensor): tf.Tensor {
  const size = tf.add(tf.max(tf.abs(b)), 1e-6);
  return tf.reshape(tf.div(tf.max(tf.abs(tf.sub(a, b))), size), [1]);
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}
