import { createSchedule } from '@sgdiff/sampler';
import { describe, expect, it } from 'vitest';
import { PRESETS } from './presets';
import { stateDict } from './testing/state-dict';
import { readTrainingFacts } from './training-facts';

const { manifest } = PRESETS['sgdiff-vg-256'];

function fileOf(tensors: Record<string, Float32Array>, shapeOf = (values: Float32Array): number[] => [values.length]) {
  const entries = Object.entries(tensors).map(([name, values]) => [
    name,
    {
      dtype: 'F32' as const,
      shape: name === 'scale_factor' ? [] : shapeOf(values),
      bytes: new Uint8Array(values.buffer),
    },
  ]);
  return stateDict(Object.fromEntries(entries));
}

const published = Float32Array.from(createSchedule(manifest.schedule).betas);

describe('readTrainingFacts', () => {
  it('accepts the published noise levels, rounded to float32', async () => {
    expect(await readTrainingFacts(fileOf({ betas: published }), { betas: 'betas' }, manifest)).toBe(manifest);
  });

  it('asks nothing of a file that tells nothing', async () => {
    expect(await readTrainingFacts(fileOf({}), {}, manifest)).toBe(manifest);
  });

  it('refuses other noise levels, and another number of them', async () => {
    const { betas } = createSchedule({ ...manifest.schedule, betaEnd: 0.012 });
    await expect(
      readTrainingFacts(fileOf({ betas: Float32Array.from(betas) }), { betas: 'betas' }, manifest),
    ).rejects.toThrow(
      /^weights\.pt: the model was trained on other noise levels than the published one: betas\[1\] is 0\.0015\d+, expected 0\.0015\d+\. Drawing with/,
    );
    await expect(
      readTrainingFacts(fileOf({ betas: published.slice(0, 999) }), { betas: 'betas' }, manifest),
    ).rejects.toThrow('than the published one: it has 999 noise levels, expected 1000. ');
  });

  it('takes the scale of the latents from the file', async () => {
    const file = fileOf({ scale_factor: Float32Array.of(0.25) });
    expect(await readTrainingFacts(file, { scaleFactor: 'scale_factor' }, manifest)).toEqual({
      ...manifest,
      latentScale: 0.25,
    });
    const zero = fileOf({ scale_factor: Float32Array.of(0) });
    await expect(readTrainingFacts(zero, { scaleFactor: 'scale_factor' }, manifest)).rejects.toThrow(
      'weights.pt: "scale_factor" is 0, expected a number above 0. Is the file damaged?',
    );
  });
});
