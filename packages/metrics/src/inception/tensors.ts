import type { SourceLayout, TensorEntry, TensorSource } from '@sgdiff/nn';
import { MetricsError } from '../metrics-error';
import { INCEPTION_CLASSES, INCEPTION_WIDTH, mapLayers } from './plan';

type Listed = TensorEntry & { readonly source: TensorSource };

/**
 * Every weight of the network by path and shape, without making any of them: to check a file before reading it.
 *
 * In the order of `flattenParams(initInception(rng))`; `inceptionSource` gives the names in the published state dict.
 */
export function inceptionTensors(): TensorEntry[] {
  return listed().map(({ path, shape }) => ({ path, shape }));
}

/**
 * Where a weight stands in the published state dict (of pytorch-fid and torch-fidelity, the same file):
 * `blocks.mixed5b.branch5x5.1.norm.mean` → `Mixed_5b.branch5x5_2.bn.running_mean`.
 *
 * @throws MetricsError if the network has no such weight.
 */
export function inceptionSource(path: string): TensorSource {
  sources ??= new Map(listed().map((entry) => [entry.path, entry.source]));
  const source = sources.get(path);
  if (!source) {
    throw new MetricsError(
      `inceptionSource: expected the path of a weight as in inceptionTensors(), received "${path}".`,
    );
  }
  return source;
}

/** Whether a tensor of a published file may be left out: counters of training, the head that only training uses. */
export function isInceptionExtra(name: string): boolean {
  return name.endsWith('.num_batches_tracked') || name.startsWith('AuxLogits.');
}

let sources: ReadonlyMap<string, TensorSource> | undefined;

function listed(): Listed[] {
  const entries: Listed[] = [];
  const add = (path: string, shape: readonly number[], name: string, layout: SourceLayout = 'same'): void => {
    entries.push({ path, shape, source: { name, layout } });
  };
  mapLayers(({ path, published, kernel, inChannels, outChannels }) => {
    add(`${path}.conv.weight`, [...kernel, inChannels, outChannels], `${published}.conv.weight`, 'conv');
    add(`${path}.norm.weight`, [outChannels], `${published}.bn.weight`);
    add(`${path}.norm.bias`, [outChannels], `${published}.bn.bias`);
    add(`${path}.norm.mean`, [outChannels], `${published}.bn.running_mean`);
    add(`${path}.norm.variance`, [outChannels], `${published}.bn.running_var`);
  });
  add('logits.weight', [INCEPTION_WIDTH, INCEPTION_CLASSES], 'fc.weight', 'linear');
  add('logits.bias', [INCEPTION_CLASSES], 'fc.bias');
  return entries;
}
