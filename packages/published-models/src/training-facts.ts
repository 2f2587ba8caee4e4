import type { StateDict } from '@sgdiff/nn';
import { createSchedule } from '@sgdiff/sampler';
import { ImportError } from './import-error';
import type { ImportPlan } from './import-plan';
import type { PresetManifest } from './presets';
import { readTensor } from './read-tensor';

/** Betas are stored in float32, which keeps 24 bits of them. */
const RELATIVE = 1e-6;

/**
 * The manifest of a full checkpoint with what the file itself says about its training: the scale of its latents, where it has
 * one (the published weights have none: 1), after a check that it was trained on the noise levels of the published system.
 *
 * @throws ImportError `schedule` for other noise levels; what `file.read` throws.
 */
export async function readTrainingFacts(
  file: StateDict,
  facts: ImportPlan['facts'],
  manifest: PresetManifest,
): Promise<PresetManifest> {
  const { betas: betasName, scaleFactor } = facts;
  if (betasName !== undefined) {
    const { betas: expected } = createSchedule(manifest.schedule);
    const betas = await values(file, betasName);
    const other = expected.findIndex((beta, t) => !(Math.abs(beta - (betas[t] ?? NaN)) <= RELATIVE * beta));
    if (other >= 0 || betas.length !== expected.length) {
      const difference =
        betas.length === expected.length
          ? `betas[${other}] is ${betas[other]}, expected ${expected[other]}`
          : `it has ${betas.length} noise levels, expected ${expected.length}`;
      throw new ImportError(
        `${file.name}: the model was trained on other noise levels than the published one: ${difference}. ` +
          'Drawing with these weights needs their own schedule, which cannot be imported.',
        { code: 'schedule' },
      );
    }
  }
  if (scaleFactor === undefined) return manifest;
  const [latentScale] = await values(file, scaleFactor);
  if (latentScale === undefined || !(latentScale > 0)) {
    throw new ImportError(
      `${file.name}: "${scaleFactor}" is ${latentScale}, expected a number above 0. Is the file damaged?`,
      {
        code: 'schedule',
      },
    );
  }
  return { ...manifest, latentScale };
}

function values(file: StateDict, name: string): Promise<Float32Array> {
  const shape = file.tensors.get(name)?.shape ?? [];
  return readTensor(file, { path: name, shape, source: { name, layout: 'same' } });
}
