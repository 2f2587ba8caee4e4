import * as tf from '@tensorflow/tfjs-core';
import { beforeAll, expect, it } from 'vitest';
import { setupBackend } from '@sgdiff/test-kit';
import * as nn from './index';

beforeAll(() => setupBackend('cpu'));
it('trains, averages, saves', async () => {
  const rng = nn.createRng('t');
  const before = tf.memory().numTensors;
  const init = { a: nn.initLinear(3, 4, rng), list: [nn.initLinear(4, 1, rng)] };
  const params = nn.toVariables(init);
  const opt = nn.createAdamW(params, { learningRate: 0.05 });
  const ema = nn.createEma(params, { decay: 0.9, warmup: true });
  const x = tf.tensor2d(rng.fillNormal(new Float32Array(24)), [8, 3]);
  const losses: number[] = [];
  for (let i = 0; i < 50; i++) {
    const { value, grads } = nn.valueAndGrads(() => tf.mean(tf.square(tf.sub(nn.linear(params.list[0]!, nn.silu(nn.linear(params.a, x))), tf.sum(x, 1, true)))) as tf.Scalar, params);
    const clipped = nn.clipByGlobalNorm(grads, 1);
    expect(await nn.firstNonFinite(clipped.grads)).toBeUndefined();
    opt.step(clipped.grads);
    ema.update(params);
    losses.push(value.dataSync()[0]!);
    tf.dispose([value, grads, clipped.grads, clipped.norm]);
  }
  expect(losses.at(-1)!).toBeLessThan(losses[0]! / 4);
  const bytes = await nn.paramsToSafetensors(ema.params, { dtype: 'F16' });
  const loaded = nn.paramsFromSafetensors(bytes);
  const back = nn.restoreParams(init, loaded);
  expect(back.a.weight).toBeAllClose(ema.params.a.weight, { rtol: 1e-3 });
  const s = opt.state();
  opt.loadState(s);
  const e = ema.state();
  ema.loadState(e);
  tf.dispose([s, e, loaded, x]);
  nn.disposeParams(back); nn.disposeParams(params); nn.disposeParams(init);
  opt.dispose(); ema.dispose(); ema.dispose();
  expect(tf.memory().numTensors).toBe(before);
});
