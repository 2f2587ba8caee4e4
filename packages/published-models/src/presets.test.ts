import { createSchedule } from '@sgdiff/sampler';
import { describe, expect, it } from 'vitest';
import { partSummary } from './part-summary';
import { modelPreset, PRESET_NAMES, PRESETS } from './presets';

describe('the presets', () => {
  it.each([
    ['sgdiff-vg-256', 13_241_857],
    ['sgdiff-coco-256', 13_224_449],
  ] as const)('%s has the published number of weights', (name, encoder) => {
    expect(partSummary(PRESETS[name].manifest)).toEqual({
      unet: { parameters: 395_771_140, tensors: 628 },
      encoder: { parameters: encoder, tensors: 53 },
      autoencoder: { parameters: 67_717_295, tensors: 299 },
    });
  });

  it.each(PRESET_NAMES)('%s has the published noise levels and way of drawing', (name) => {
    const { schedule, defaults, prediction, latentScale, imageSize } = PRESETS[name].manifest;
    const { betas, alphasCumprod } = createSchedule(schedule);
    expect([betas.length, betas[0], betas[999]]).toEqual([
      1000,
      expect.closeTo(0.0015, 12),
      expect.closeTo(0.0195, 12),
    ]);
    expect(alphasCumprod[999]).toBeCloseTo(1.42303974e-4, 11);
    expect(defaults).toEqual({ sampler: 'ddim', spacing: 'published', steps: 200, eta: 1, guidanceScale: 1 });
    expect([prediction, latentScale, imageSize]).toEqual(['eps', 1, 256]);
  });

  it.each(PRESET_NAMES)('%s has an encoder of 15 triples, unmasked, for its own words', (name) => {
    const { manifest, vocabulary } = PRESETS[name];
    const { encoder, unet } = manifest.parts;
    expect([encoder.objectCount, encoder.predicateCount]).toEqual([
      vocabulary.objects.length,
      vocabulary.predicates.length,
    ]);
    expect([encoder.layers, encoder.width, encoder.maxTriples, unet.maskPadding]).toEqual([6, 512, 15, false]);
  });

  it('are plain JSON but for their words', () => {
    for (const { manifest } of Object.values(PRESETS)) expect(JSON.parse(JSON.stringify(manifest))).toEqual(manifest);
  });

  it('are found by name only', () => {
    expect(modelPreset('sgdiff-vg-256')?.name).toBe('sgdiff-vg-256');
    expect(modelPreset('sgdiff')).toBeUndefined();
    expect(modelPreset('toString')).toBeUndefined();
  });
});
