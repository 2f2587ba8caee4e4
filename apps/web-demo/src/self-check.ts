// Shapes: one picture of 4 x 4 with 2 channels, 3 x 3 kernels to 3 channels.
import * as tf from '@tensorflow/tfjs-core';

const SIDE = 4;
const IN = 2;
const OUT = 3;

/**
 * Computes a little of what the networks compute (convolution, product, normalisation, softmax) and compares it with
 * plain loops: GPU drivers exist that answer, but wrongly.
 *
 * @param tolerance Largest difference that passes; the values are in [0, 1].
 * @returns What is wrong, or undefined if nothing is.
 */
export async function checkBackend(tolerance = 1e-3): Promise<string | undefined> {
  const x = pattern(SIDE * SIDE * IN, 0.7);
  const kernel = pattern(9 * IN * OUT, 1.3);
  const expected = expectedValues(x, kernel);
  const result = tf.tidy(() => {
    const image = tf.tensor4d(x, [1, SIDE, SIDE, IN]);
    const y = tf.conv2d(image, tf.tensor4d(kernel, [3, 3, IN, OUT]), 1, 'same'); // [1, 4, 4, OUT]
    const rows = tf.reshape(y, [SIDE * SIDE, OUT]);
    const { mean, variance } = tf.moments(rows);
    const normal = tf.mul(tf.sub(rows, mean), tf.rsqrt(tf.add(variance, 1e-5))); // [16, OUT]
    return tf.softmax(tf.matMul(normal, normal, false, true)); // [16, 16]
  });
  try {
    const received = await result.data();
    for (let i = 0; i < expected.length; i++) {
      const difference = Math.abs(received[i]! - expected[i]!);
      if (!(difference <= tolerance)) return `it computes ${received[i]} where ${expected[i]!.toFixed(6)} is right`;
    }
    return undefined;
  } finally {
    result.dispose();
  }
}

function pattern(count: number, frequency: number): Float32Array {
  return Float32Array.from({ length: count }, (_, i) => Math.sin(1 + i * frequency));
}

function expectedValues(x: Float32Array, kernel: Float32Array): number[] {
  const y: number[] = [];
  for (let row = 0; row < SIDE; row++)
    for (let column = 0; column < SIDE; column++)
      for (let out = 0; out < OUT; out++) {
        let sum = 0;
        for (let k = 0; k < 9; k++) {
          const r = row + Math.floor(k / 3) - 1;
          const c = column + (k % 3) - 1;
          if (r < 0 || r >= SIDE || c < 0 || c >= SIDE) continue;
          for (let i = 0; i < IN; i++) sum += x[(r * SIDE + c) * IN + i]! * kernel[(k * IN + i) * OUT + out]!;
        }
        y.push(sum);
      }
  const mean = y.reduce((a, b) => a + b) / y.length;
  const variance = y.reduce((a, b) => a + (b - mean) ** 2, 0) / y.length;
  const normal = y.map((value) => (value - mean) / Math.sqrt(variance + 1e-5));
  const rows = Array.from({ length: SIDE * SIDE }, (_, i) => normal.slice(i * OUT, (i + 1) * OUT));
  return rows.flatMap((a) => {
    const logits = rows.map((b) => a.reduce((sum, value, i) => sum + value * b[i]!, 0));
    const highest = Math.max(...logits);
    const powers = logits.map((logit) => Math.exp(logit - highest));
    const total = powers.reduce((sum, power) => sum + power);
    return powers.map((power) => power / total);
  });
}
