import type { StateDict, StoredDtype } from '@sgdiff/nn';
import { readGolden } from '@sgdiff/test-kit';

type Shapes = Record<string, readonly number[]>;
type Tensors = Map<string, { dtype: StoredDtype; shape: readonly number[] }>;

const golden = readGolden<{ tensors: Shapes; unet: Shapes }>(import.meta.url, '../../fixtures/full.golden.json');

/** Names and shapes of the published U-Net, as they stand in PyTorch. */
export const unetShapes: Shapes = golden.unet;

/** What a full checkpoint of Visual Genome lists: 1,622 tensors without numbers. */
export function fullCheckpoint(): Tensors {
  const dotless = (name: string): string => `model_ema.${`diffusion_model.${name}`.replaceAll('.', '')}`;
  return tensorsOf({
    ...golden.tensors,
    ...rename(golden.unet, (name) => `model.diffusion_model.${name}`),
    ...rename(golden.unet, dotless),
    'model_ema.decay': [],
    'model_ema.num_updates': [],
  });
}

/** The tensors of a full checkpoint that begin with the prefix, without it. */
export function section(prefix: string): Tensors {
  const names = [...fullCheckpoint()].filter(([name]) => name.startsWith(prefix));
  return new Map(names.map(([name, entry]) => [name.slice(prefix.length), entry]));
}

export function tensorsOf(shapes: Shapes): Tensors {
  return new Map(Object.entries(shapes).map(([name, shape]) => [name, { dtype: 'F32', shape }]));
}

/** A file in memory. */
export function stateDict(
  tensors: Record<string, { dtype: StoredDtype; shape: readonly number[]; bytes: Uint8Array }>,
): StateDict {
  return {
    name: 'weights.pt',
    tensors: new Map(Object.entries(tensors)),
    read: async (name) => tensors[name]!.bytes,
    close: async () => undefined,
  };
}

function rename(shapes: Shapes, f: (name: string) => string): Shapes {
  return Object.fromEntries(Object.entries(shapes).map(([name, shape]) => [f(name), shape]));
}
