import { readGolden } from '@sgdiff/test-kit';
import { expect, it } from 'vitest';
import { planImport } from './import-plan';
import { fullCheckpoint } from './testing/state-dict';

type Names = Record<string, string>;

/** Our paths beside published names, by way of diffusers, which knows both the published names and what they mean. */
const golden = readGolden<{ unet: Names; autoencoder: Names }>(import.meta.url, '../fixtures/names.golden.json');

const plan = planImport('sgdiff', fullCheckpoint(), { weights: 'raw' });

function plannedNames(kind: 'unet' | 'autoencoder', prefix: string): Map<string, string> {
  const { tensors } = plan.parts.find((part) => part.kind === kind)!;
  return new Map(tensors.map(({ path, source }) => [path, source.name.slice(prefix.length)]));
}

it('gives every weight of the U-Net to the same place as diffusers does', () => {
  const planned = plannedNames('unet', 'model.diffusion_model.');
  for (const [path, name] of Object.entries(golden.unet)) expect([path, planned.get(path)]).toEqual([path, name]);
  const rest = [...planned.keys()].filter((path) => !(path in golden.unet));
  expect(rest).toEqual(['condition.local.weight', 'condition.local.bias']); // SGDiff's own
});

it('gives every weight of the autoencoder to the same place as diffusers does', () => {
  const planned = plannedNames('autoencoder', 'first_stage_model.');
  for (const [path, name] of Object.entries(golden.autoencoder))
    expect([path, planned.get(path)]).toEqual([path, name]);
  const rest = [...planned.keys()].filter((path) => !(path in golden.autoencoder));
  // What diffusers' reader of such files does not know, and is named alike in both: attention within a level, the codebook.
  expect(
    rest.filter(
      (path) => !/^((en|de)coder\.(down|up)\.3\.attn\.\d\.(norm|q|k|v|projOut)\.|quantize\.embedding\.)/.test(path),
    ),
  ).toEqual([]);
  expect(rest).toHaveLength(5 * 10 + 1);
});
