import * as tf from '@tensorflow/tfjs-core';
import { SamplerError } from './errors';

/** Numbers of a tensor. Saved as a `Float32Array`; a plain list will do as well, e.g. one that went through JSON. */
export type SavedTensor = { readonly shape: readonly number[]; readonly values: ArrayLike<number> };

/**
 * A run that was stopped between two steps, as plain data: for `structuredClone`, a worker's message, IndexedDB or a file. Handed to
 * a sampler as `resume`, it goes on to the result that it would have had, to the last bit on the same backend.
 */
export type SavedRun = {
  readonly format: 1;
  /** Name of the method, e.g. 'ddim'. */
  readonly solver: string;
  /** The options that were given to the method, e.g. `{ eta: 1 }`. */
  readonly settings: Readonly<Record<string, unknown>>;
  /** How many steps are done: the index of the next one. */
  readonly stepsDone: number;
  readonly sigmas: ArrayLike<number>;
  readonly x: SavedTensor;
  /** What the method remembers of earlier steps. */
  readonly memory: readonly SavedTensor[];
};

/** Reads tensors back. They may be disposed as soon as this has returned its promise. */
export async function savedTensors(tensors: readonly tf.Tensor[]): Promise<SavedTensor[]> {
  const held = tensors.map((tensor) => tf.clone(tensor));
  try {
    // A copy: the values of a tensor may be its own memory.
    return await Promise.all(
      held.map(async (tensor) => ({ shape: [...tensor.shape], values: Float32Array.from(await tensor.data()) })),
    );
  } finally {
    tf.dispose(held);
  }
}

/** The options of a method that a run depends on: those that are plain data, without what every sampler takes. */
export function settingsOf(options: object): Record<string, unknown> {
  const { keepNoise: _, resume: __, signal: ___, ...rest } = options as Record<string, unknown>;
  return JSON.parse(JSON.stringify(rest)) as Record<string, unknown>; // functions (noise, onStep) fall out
}

/** The name of the method whose function is `where`. */
export function solverOf(where: string): string {
  return where.replace(/^(?:sample|iterate)(.)/, (_, first: string) => first.toLowerCase());
}

/**
 * The state of a saved run.
 *
 * @param levels The sigmas of the run that is to go on.
 * @param shape The shape of its data.
 * @returns Tensors that the caller disposes.
 * @throws SamplerError `bad_saved_run` if this is no saved run, or one of another method, list of sigmas, shape or settings.
 */
export function restoredState(
  where: string,
  saved: SavedRun,
  levels: Float64Array,
  shape: readonly number[],
  settings: Readonly<Record<string, unknown>>,
): { x: tf.Tensor; memory: tf.Tensor[] } {
  const expect = (sound: boolean, expected: string, received: unknown) => {
    if (sound) return;
    throw new SamplerError(
      `${where}: expected options.resume to be ${expected}, received ${String(received)}.`,
      'bad_saved_run',
    );
  };
  const { format, ...parts } = Object(saved) as Partial<SavedRun>; // may come from anywhere
  expect(format === 1, 'what step.save() gave, of format 1', format);
  for (const part of ['settings', 'sigmas', 'x', 'memory'] as const) {
    expect(typeof parts[part] === 'object' && parts[part] !== null, `complete, with ${part}`, parts[part]);
  }
  const { solver, sigmas, stepsDone, x, memory } = saved;
  expect(solver === solverOf(where), `a run of ${solverOf(where)}`, `one of ${solver}`);
  for (const key of new Set([...Object.keys(settings), ...Object.keys(saved.settings)])) {
    const [now, then] = [settings, saved.settings].map((from) => JSON.stringify(from[key]) as string | undefined);
    expect(now === then, `a run with ${key} ${now}, as this one`, `one with ${key} ${then}`);
  }
  expect(sigmas.length === levels.length, `a run of ${levels.length - 1} steps`, `one of ${sigmas.length - 1}`);
  levels.forEach((level, i) =>
    expect(level === sigmas[i], `a run with sigmas[${i}] = ${level}`, `one with ${sigmas[i]}`),
  );
  const left = levels.length - 1;
  expect(
    Number.isSafeInteger(stepsDone) && stepsDone > 0 && stepsDone < left,
    `a run with 1 to ${left - 1} of ${left} steps done`,
    `one with ${stepsDone}`,
  );
  expect(x.shape.join() === shape.join(), `a run of shape [${shape}]`, `one of [${x.shape}]`);
  for (const { shape, values } of [x, ...memory]) {
    const size = shape.reduce((product, length) => product * length, 1);
    expect(values.length === size, `complete, with ${size} numbers for shape [${shape}]`, values.length);
  }
  const tensor = ({ shape, values }: SavedTensor) => tf.tensor(Float32Array.from(values), [...shape]);
  return { x: tensor(x), memory: memory.map(tensor) };
}
