import type { TensorEntry } from '@sgdiff/nn';
import { checkConfig, type SgEncoderConfig } from './config';

/**
 * Every weight of the encoder by path and shape, without making any of them: to check a file before reading it, or to
 * know a model's size. The order is that of `initSgEncoder`; `publishedName` gives the names in the published state dict.
 *
 * @throws SgEncoderError `invalid_config` if the config describes no encoder.
 */
export function sgEncoderTensors(config: SgEncoderConfig): TensorEntry[] {
  checkConfig(config);
  const { width: D, hiddenWidth: F, globalWidth: G, layers } = config;
  const affine = (path: string, ...weight: number[]): TensorEntry[] => [
    { path: `${path}.weight`, shape: weight },
    { path: `${path}.bias`, shape: weight.slice(-1) },
  ];
  const each = (count: number, f: (i: number) => TensorEntry[]): TensorEntry[] =>
    Array.from({ length: count }, (_, i) => f(i)).flat();
  return [
    { path: 'objectEmbedding.weight', shape: [config.objectCount + 1, D] },
    { path: 'predicateEmbedding.weight', shape: [config.predicateCount, D] },
    ...each(layers, (i) => [
      ...affine(`layers.${i}.triple.up`, 3 * D, F),
      ...affine(`layers.${i}.triple.down`, F, 3 * D),
      ...affine(`layers.${i}.node.up`, D, F),
      ...affine(`layers.${i}.node.down`, F, D),
    ]),
    ...(config.norm === 'layer'
      ? ['nodeNorms', 'predicateNorms'].flatMap((kind) => each(layers + 1, (i) => affine(`${kind}.${i}`, D)))
      : []),
    ...affine('projection', 2 * D, G),
    ...(config.logitScale ? [{ path: 'logitScale', shape: [] }] : []),
  ];
}

/** Number of weights of an encoder of this config. */
export function sgEncoderParameterCount(config: SgEncoderConfig): number {
  return sgEncoderTensors(config).reduce((sum, { shape }) => sum + shape.reduce((a, b) => a * b, 1), 0);
}

/** Our path (as patterns) beside the published name. */
const PUBLISHED: readonly (readonly [RegExp, (...found: string[]) => string])[] = [
  [/^objectEmbedding\.(weight)$/, (_, kind) => `obj_embeddings.${kind}`],
  [/^predicateEmbedding\.(weight)$/, (_, kind) => `pred_embeddings.${kind}`],
  [/^projection\.(weight|bias)$/, (_, kind) => `graph_projection.${kind}`],
  [/^logitScale$/, () => 'logit_scale'],
  [
    /^layers\.(\d+)\.(triple|node)\.(up|down)\.(weight|bias)$/,
    (_, layer, net, half, kind) =>
      `${layer === '0' ? 'graph_conv' : `graph_net.gconvs.${Number(layer) - 1}`}.` +
      `${net === 'triple' ? 'net1' : 'net2'}.${half === 'up' ? 0 : 2}.${kind}`,
  ],
];

/**
 * Name of a weight in the published state dict (after `cond_stage_model.`): `layers.2.triple.down.weight` →
 * `graph_net.gconvs.1.net1.2.weight`. Layouts differ: there linear layers are [out, in].
 *
 * @returns undefined for weights that the published encoder does not have (`nodeNorms`, `predicateNorms`).
 */
export function publishedName(path: string): string | undefined {
  for (const [pattern, name] of PUBLISHED) {
    const found = pattern.exec(path);
    if (found) return name(...found);
  }
  return undefined;
}
