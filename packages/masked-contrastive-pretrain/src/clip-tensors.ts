import type { TensorEntry, TensorSource } from '@sgdiff/nn';
import { checkClipVisionConfig, clipTokens, type ClipVisionConfig } from './clip-image-encoder';

/** How a file names CLIP's weights: as OpenAI's archive does, or as the library transformers. */
export type ClipForm = 'openai' | 'transformers';

/**
 * Every weight of CLIP's vision transformer by path and shape, without making any of them: what `initClipImageEncoder`
 * makes, in the same order.
 *
 * @throws PretrainError if the sizes do not fit each other.
 */
export function clipTensors(config: ClipVisionConfig): TensorEntry[] {
  checkClipVisionConfig('clipTensors', config);
  const { patchSize, width, mlpWidth, outputWidth } = config;
  const norm = (path: string): TensorEntry[] => [
    { path: `${path}.weight`, shape: [width] },
    { path: `${path}.bias`, shape: [width] },
  ];
  const linear = (path: string, inWidth: number, outWidth: number): TensorEntry[] => [
    { path: `${path}.weight`, shape: [inWidth, outWidth] },
    { path: `${path}.bias`, shape: [outWidth] },
  ];
  return [
    { path: 'patch.weight', shape: [patchSize, patchSize, 3, width] },
    { path: 'classEmbedding', shape: [width] },
    { path: 'positionEmbedding.weight', shape: [clipTokens(config), width] },
    ...norm('preNorm'),
    ...Array.from({ length: config.layers }, (_, i) => `layers.${i}`).flatMap((layer) => [
      ...norm(`${layer}.norm1`),
      ...['q', 'k', 'v', 'out'].flatMap((name) => linear(`${layer}.attention.${name}`, width, width)),
      ...norm(`${layer}.norm2`),
      ...linear(`${layer}.mlp.up`, width, mlpWidth),
      ...linear(`${layer}.mlp.down`, mlpWidth, width),
    ]),
    ...norm('postNorm'),
    { path: 'projection.weight', shape: [width, outputWidth] },
  ];
}

/**
 * Which form a file has, and what stands before the names of its vision tower: `visual.`, `clip_model.visual.`,
 * `vision_model.` or nothing. The class embedding tells, which no other network of CLIP has.
 *
 * @returns `undefined` if the names hold no vision transformer of CLIP.
 */
export function clipForm(names: Iterable<string>): { readonly form: ClipForm; readonly prefix: string } | undefined {
  for (const name of names) {
    const openai = /^(|.*\.)visual\.class_embedding$/.exec(name);
    if (openai) return { form: 'openai', prefix: `${openai[1]!}visual.` };
    const transformers = /^(|.*\.)embeddings\.class_embedding$/.exec(name);
    if (transformers) return { form: 'transformers', prefix: transformers[1]! };
  }
  return undefined;
}

/**
 * Where a weight stands in a file of CLIP.
 *
 * OpenAI keeps queries, keys and values as one matrix, of which q, k and v are a third of the rows each.
 *
 * @param path One of `clipTensors(config)`.
 * @param prefix What stands before the names of the vision tower, from `clipForm`.
 * @throws TypeError for another path.
 */
export function clipSource(
  path: string,
  config: ClipVisionConfig,
  form: ClipForm,
  prefix: string = form === 'openai' ? 'visual.' : 'vision_model.',
): TensorSource {
  const source = form === 'openai' ? openaiSource(path, config.width) : transformersSource(path);
  // In transformers' form the projection stands beside the vision model, not in it.
  if (form === 'transformers' && path === 'projection.weight') {
    return { ...source, name: `${prefix.replace(/vision_model\.$/, '')}${source.name}` };
  }
  return { ...source, name: `${prefix}${source.name}` };
}

/**
 * Whether a name is one of the things a whole CLIP holds beside the weights of its vision tower: the tower for texts, the
 * logit scale, position numbers, OpenAI's three sizes. Neither missing nor unexpected: not needed.
 */
export function isOtherClipTensor(name: string): boolean {
  const openai =
    /^(transformer\..+|token_embedding\.weight|positional_embedding|ln_final\.(weight|bias)|text_projection)$/;
  const sizes = /^(input_resolution|context_length|vocab_size|logit_scale)$/;
  const transformers = /^(text_model\..+|text_projection\.weight|(.+\.)?position_ids)$/;
  const bare = name.replace(/^(module\.)?(clip_model\.|clip\.)?/, '');
  return openai.test(bare) || sizes.test(bare) || transformers.test(bare);
}

const OPENAI: Readonly<Record<string, TensorSource>> = {
  'patch.weight': { name: 'conv1.weight', layout: 'conv' },
  classEmbedding: { name: 'class_embedding', layout: 'same' },
  'positionEmbedding.weight': { name: 'positional_embedding', layout: 'same' },
  'projection.weight': { name: 'proj', layout: 'same' }, // multiplied from the right, so [in, out] there as well
};

const TRANSFORMERS: Readonly<Record<string, TensorSource>> = {
  'patch.weight': { name: 'embeddings.patch_embedding.weight', layout: 'conv' },
  classEmbedding: { name: 'embeddings.class_embedding', layout: 'same' },
  'positionEmbedding.weight': { name: 'embeddings.position_embedding.weight', layout: 'same' },
  'projection.weight': { name: 'visual_projection.weight', layout: 'linear' },
};

const OPENAI_MODULES: Readonly<Record<string, string>> = {
  preNorm: 'ln_pre',
  postNorm: 'ln_post',
  norm1: 'ln_1',
  norm2: 'ln_2',
  'attention.out': 'attn.out_proj',
  'mlp.up': 'mlp.c_fc',
  'mlp.down': 'mlp.c_proj',
};

const TRANSFORMERS_MODULES: Readonly<Record<string, string>> = {
  preNorm: 'pre_layrnorm', // so it is spelt
  postNorm: 'post_layernorm',
  norm1: 'layer_norm1',
  norm2: 'layer_norm2',
  'attention.q': 'self_attn.q_proj',
  'attention.k': 'self_attn.k_proj',
  'attention.v': 'self_attn.v_proj',
  'attention.out': 'self_attn.out_proj',
  'mlp.up': 'mlp.fc1',
  'mlp.down': 'mlp.fc2',
};

function openaiSource(path: string, width: number): TensorSource {
  if (Object.hasOwn(OPENAI, path)) return OPENAI[path]!;
  const { layer, module, kind } = split(path);
  const at = layer === undefined ? '' : `transformer.resblocks.${layer}.`;
  const third = ['attention.q', 'attention.k', 'attention.v'].indexOf(module);
  if (third >= 0) {
    return {
      name: `${at}attn.in_proj_${kind}`,
      layout: kind === 'weight' ? 'linear' : 'same',
      rows: [third * width, (third + 1) * width],
    };
  }
  return moduleSource(path, at, OPENAI_MODULES[module], module, kind);
}

function transformersSource(path: string): TensorSource {
  if (Object.hasOwn(TRANSFORMERS, path)) return TRANSFORMERS[path]!;
  const { layer, module, kind } = split(path);
  const at = layer === undefined ? '' : `encoder.layers.${layer}.`;
  return moduleSource(path, at, TRANSFORMERS_MODULES[module], module, kind);
}

function moduleSource(path: string, at: string, name: string | undefined, module: string, kind: string): TensorSource {
  if (name === undefined) throw new TypeError(`clipSource: CLIP has no weight "${path}".`);
  const isMatrix = kind === 'weight' && !/norm/i.test(module);
  return { name: `${at}${name}.${kind}`, layout: isMatrix ? 'linear' : 'same' };
}

/** `layers.3.mlp.up.weight` into its layer, module and kind. */
function split(path: string): { readonly layer: string | undefined; readonly module: string; readonly kind: string } {
  const [, layer, module, kind] = /^(?:layers\.(\d+)\.)?(.+)\.(weight|bias)$/.exec(path) ?? [];
  if (module === undefined || kind === undefined) throw new TypeError(`clipSource: CLIP has no weight "${path}".`);
  return { layer, module, kind };
}
