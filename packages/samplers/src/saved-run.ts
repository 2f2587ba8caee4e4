import * as tf from '@tensorflow/tfjs-core';
import { SamplerError, shown } from './errors';

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
  /** The options that its steps depend on, defaults filled in, e.g. `{ eta: 1 }`; of a method that takes its steps with another, that one's `within`. */
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

/** Settings as they come out of JSON, so that they are the same however a run is kept. */
export function plainSettings(settings: object): Record<string, unknown> {
  return JSON.parse(JSON.stringify(settings)) as Record<string, unknown>;
}

/** The name of the method whose function is `where`. */
export function solverOf(where: string): string {
  return where.replace(/^(?:sample|iterate)(.)/, (_, first: string) => first.toLowerCase());
}

/** Within the settings of a method that takes its steps with another: what that one says of itself. */
type Within = Pick<SavedRun, 'solver' | 'settings'>;

/** A run that the method within saved, as the method `where` around it saves it. */
export function savedAround(where: string, { solver, settings, ...state }: SavedRun, own: object): SavedRun {
  return { ...state, solver: solverOf(where), settings: plainSettings({ ...own, within: { solver, settings } }) };
}

/**
 * The run of the method within.
 *
 * @param own The settings of the method `where` itself.
 * @throws SamplerError `bad_saved_run` if `saved` is no saved run of that method with these settings.
 */
export function savedWithin(where: string, saved: SavedRun, own: object): SavedRun {
  const { within } = Object(Object(saved).settings) as { within?: Within };
  expectSavedBy(where, saved, plainSettings({ ...own, within }));
  expectSaved(where, typeof Object(within).settings === 'object', 'complete, with settings.within', shown(within));
  return { ...saved, ...within! };
}

function expectSaved(where: string, sound: boolean, expected: string, received: unknown, remedy = ''): void {
  if (sound) return;
  throw new SamplerError(
    `${where}: expected options.resume to be ${expected}, received ${String(received)}.${remedy}`,
    'bad_saved_run',
  );
}

/** @throws SamplerError unless `saved` is a run of the method `where`, with these settings. It may come from anywhere. */
function expectSavedBy(where: string, saved: SavedRun, settings: Readonly<Record<string, unknown>>): void {
  const { format, solver, settings: theirs } = Object(saved) as Partial<SavedRun>;
  expectSaved(where, format === 1, 'what step.save() gave, of format 1', shown(format));
  expectSaved(where, typeof theirs === 'object' && theirs !== null, 'complete, with settings', shown(theirs));
  expectSaved(where, solver === solverOf(where), `a run of ${solverOf(where)}`, `one of ${solver}`);
  for (const key of new Set([...Object.keys(settings), ...Object.keys(theirs!)])) {
    const [now, then] = [settings, theirs!].map((from) => JSON.stringify(from[key]) as string | undefined);
    expectSaved(where, now === then, `a run with ${key} ${now}, as this one`, `one with ${key} ${then}`);
  }
}

/**
 * The state of a saved run.
 *
 * @param levels The sigmas of the run that is to go on.
 * @param shape The shape of its data.
 * @param remembers `Solver.remembers`; undefined where a method within looks after that.
 * @param steps Of the whole run: fewer than `levels` has, where it goes back up between some of them.
 * @returns Tensors that the caller disposes.
 * @throws SamplerError `bad_saved_run` if this is no saved run, or one of another method, list of sigmas, shape or settings.
 */
export function restoredState(
  where: string,
  saved: SavedRun,
  levels: Float64Array,
  shape: readonly number[],
  settings: Readonly<Record<string, unknown>>,
  remembers?: number,
  steps = levels.length - 1,
): { x: tf.Tensor; memory: tf.Tensor[] } {
  expectSavedBy(where, saved, settings);
  const { sigmas, stepsDone, x, memory } = saved;
  const expect = (sound: boolean, expected: string, received: unknown) => expectSaved(where, sound, expected, received);
  const expectNumbers = (what: string, list: ArrayLike<number>) =>
    expectSaved(
      where,
      typeof Object(list).length === 'number',
      `complete, with a list of ${what}`,
      shown(list),
      ' Of typed arrays JSON makes objects: see the README on how to save.',
    );
  expectNumbers('sigmas', sigmas);
  expect(sigmas.length === levels.length, `a run of ${levels.length - 1} steps`, `one of ${sigmas.length - 1}`);
  levels.forEach((level, i) =>
    expect(level === sigmas[i], `a run with sigmas[${i}] = ${level}`, `one with ${shown(sigmas[i])}`),
  );
  expect(
    Number.isSafeInteger(stepsDone) && stepsDone > 0 && stepsDone < steps,
    `a run with 1 to ${steps - 1} of ${steps} steps done`,
    `one with ${shown(stepsDone)}`,
  );
  expect(Array.isArray(memory), 'complete, with memory', shown(memory));
  const count = remembers === undefined ? memory.length : Math.min(stepsDone, remembers);
  expect(memory.length === count, `complete, with ${count} tensors in memory`, memory.length);
  const size = shape.reduce((product, length) => product * length, 1);
  [x, ...memory].forEach((tensor, i) => {
    const what = i === 0 ? 'x' : `memory[${i - 1}]`;
    const { shape: theirs, values } = Object(tensor) as Partial<SavedTensor>;
    expect(String(theirs) === String(shape), `a run of shape [${shape}]`, `one of [${String(theirs)}] in ${what}`);
    expectNumbers(`${what}.values`, values!);
    expect(values!.length === size, `complete, with ${size} numbers in ${what}`, values!.length);
    Array.from(values!, (value) => expect(Number.isFinite(value), `of finite numbers`, `${shown(value)} in ${what}`));
  });
  const tensor = ({ values }: SavedTensor) => tf.tensor(Float32Array.from(values), [...shape]);
  return { x: tensor(x), memory: memory.map(tensor) };
}
