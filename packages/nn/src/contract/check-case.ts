import * as tf from '@tensorflow/tfjs-core';
import { DisposedError, ShapeError } from '../errors';
import { valueAndGrads } from '../gradients';
import { createRng } from '../rng';
import { type CaseLog, type CaseResult, createLog, describe } from './case-log';
import { compareGradients, compareValues, listed, type Output } from './compare';
import { byName, type ContractCase, type Named } from './contract-case';
import { mapRecord } from './record';
import type { Numbers } from './reference';

/** float32 rounds by 6e-8 of a number; this leaves room for sums of some hundred and a few functions in a row. */
const TOLERANCE = { value: 1e-5, gradient: 2e-5 };

type Values = Readonly<Record<string, ArrayLike<number>>>;
type Tensors = Readonly<Record<string, tf.Tensor>>;

/**
 * Holds a case against its reference on the present backend: values, gradients, inputs left as they were, memory, and the
 * errors for inputs that do not fit or were disposed.
 */
export async function checkCase(test: ContractCase): Promise<CaseResult> {
  const log = createLog(test);
  const rng = createRng('contract', test.op, test.name);
  const values = mapRecord(test.inputs, (input, name) => input.fill(rng.fork(name)));
  const exact = mapRecord(test.inputs, ({ shape }, name): Numbers => ({
    shape,
    data: Float64Array.from(values[name]),
  }));
  // A copy, since some backends take the array itself for the tensor's memory.
  const inputs = mapRecord(test.inputs, ({ shape, dtype }, name) => tf.tensor(values[name].slice(), [...shape], dtype));
  const tolerance = { ...TOLERANCE, ...test.tolerance };
  try {
    const expected = byName(test.reference(exact));
    const outputs = await log.run('the value', () => evaluate(test, inputs));
    const valueError = outputs ? compareValues(log, outputs, expected, tolerance.value) : Infinity;
    let gradientError = 0;
    if (test.gradient !== false) {
      const weights = mapRecord(expected, ({ data }, name) =>
        rng.fork('weight of', name).fillNormal(new Float32Array(data.length)),
      );
      const loss = (at: Readonly<Record<string, Numbers>>): number => weightedSum(byName(test.reference(at)), weights);
      const gradients = await log.run('the gradient', () => differentiate(test, inputs, weights, expected));
      gradientError = gradients ? compareGradients(log, gradients, loss, exact, rng, tolerance.gradient) : Infinity;
    }
    for (const [name, tensor] of Object.entries(inputs)) {
      const now = tensor.isDisposed ? [] : await tensor.data();
      const changed = values[name].findIndex((value, i) => !Object.is(now[i], value));
      log.check(`${name} is only borrowed`, changed < 0, () => [values[name][changed], now[changed] ?? 'disposed']);
    }
    await checkErrors(log, test, inputs);
    return log.result(valueError, gradientError);
  } finally {
    tf.dispose(inputs);
  }
}

async function evaluate(test: ContractCase, inputs: Tensors): Promise<Record<string, Output>> {
  const outputs = byName(await test.run(inputs));
  try {
    const read: Record<string, Output> = {};
    for (const [name, tensor] of Object.entries(outputs))
      read[name] = { shape: tensor.shape, data: await tensor.data() };
    return read;
  } finally {
    tf.dispose(outputs);
  }
}

/** A number that depends on every output. */
function weightedSum(outputs: Readonly<Record<string, Numbers>>, weights: Values): number {
  let sum = 0;
  for (const [name, { data }] of Object.entries(outputs)) data.forEach((value, i) => (sum += value * weights[name][i]));
  return sum;
}

/** Gradients of the weighted sum of all outputs, by input. */
async function differentiate(
  test: ContractCase,
  inputs: Tensors,
  weights: Values,
  expected: Readonly<Record<string, Numbers>>,
): Promise<Values> {
  const chosen = Object.fromEntries(Object.entries(inputs).filter(([name]) => test.inputs[name].differentiable));
  const factors = mapRecord(expected, ({ shape }, name) => tf.tensor(weights[name] as Float32Array, [...shape]));
  const loss = (): tf.Scalar =>
    tf.tidy(() => {
      const outputs = byName(test.run(inputs) as Named<tf.Tensor>);
      return tf.addN(
        Object.entries(factors).map(([name, factor]) => tf.sum(tf.mul(outputs[name], factor))),
      ) as tf.Scalar;
    });
  try {
    const { value, grads } = valueAndGrads(loss, chosen);
    try {
      const read: Record<string, ArrayLike<number>> = {};
      for (const [name, grad] of Object.entries(grads)) read[name] = await grad.data();
      return read;
    } finally {
      tf.dispose([value, grads]);
    }
  } finally {
    tf.dispose(factors);
  }
}

async function checkErrors(log: CaseLog, test: ContractCase, inputs: Tensors): Promise<void> {
  for (const shapes of test.misshapen ?? []) {
    const what = Object.entries(shapes)
      .map(([name, shape]) => `${name} of shape ${listed(shape)}`)
      .join(', ');
    const wrong = mapRecord(shapes, (shape, name) => tf.zeros([...shape], inputs[name].dtype));
    const error = await log.run(what, () => errorOf(test, { ...inputs, ...wrong }));
    log.check(`error for ${what}`, error?.thrown instanceof ShapeError, () => ['a ShapeError', describe(error)]);
    tf.dispose(wrong);
  }
  for (const name of test.disposable ?? Object.keys(inputs)) {
    const what = `${name} disposed`;
    const gone = tf.zeros(inputs[name].shape, inputs[name].dtype);
    gone.dispose();
    const error = await log.run(what, () => errorOf(test, { ...inputs, [name]: gone }));
    log.check(`error for ${what}`, error?.thrown instanceof DisposedError, () => ['a DisposedError', describe(error)]);
  }
}

/** What `run` throws, in an object since that can be anything; undefined if it returns. */
async function errorOf(test: ContractCase, inputs: Tensors): Promise<{ readonly thrown: unknown } | undefined> {
  try {
    tf.dispose(byName(await test.run(inputs)));
    return undefined;
  } catch (thrown) {
    return { thrown };
  }
}
