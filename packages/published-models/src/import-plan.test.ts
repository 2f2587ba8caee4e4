import { shapeInLayout } from '@sgdiff/nn';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ImportError, type ImportErrorDetails } from './import-error';
import { IMPORT_KINDS, planImport, type ImportKind, type ImportOptions } from './import-plan';
import { KIND_SPECS } from './kinds';
import { fileNames } from './file-names';
import { PRESETS } from './presets';
import { sizeOf } from './part-summary';
import { fullCheckpoint, section, tensorsOf } from './testing/state-dict';

type Tensors = ReturnType<typeof fullCheckpoint>;

function failure(
  kind: ImportKind,
  tensors: Tensors,
  options?: ImportOptions,
): { message: string; details: ImportErrorDetails } {
  try {
    planImport(kind, tensors, options);
  } catch (error) {
    expect(error).toBeInstanceOf(ImportError);
    return error as ImportError;
  }
  throw new Error('planImport: expected it to fail');
}

function renamed(tensors: Tensors, f: (name: string) => string): Tensors {
  return new Map([...tensors].map(([name, entry]) => [f(name), entry]));
}

/** Names and shapes that a kind wants, as far as our own code knows them. */
function wanted(kind: ImportKind): Tensors {
  const { parts } = KIND_SPECS[kind](fileNames(new Map()), {});
  const shapes: Record<string, number[]> = {};
  for (const { entries, source } of parts) {
    for (const { path, shape } of entries) {
      const { name, layout, rows } = source(path);
      const stored = shapeInLayout(shape, layout);
      if (rows) stored[0] = Math.max(rows[1], shapes[name]?.[0] ?? 0);
      shapes[name] = stored;
    }
  }
  return tensorsOf(shapes);
}

describe('a full checkpoint', () => {
  const tensors = fullCheckpoint();

  it('gives all three parts, 53, 299 and 628 tensors, and takes the moving average', () => {
    const plan = planImport('sgdiff', tensors);
    expect(Object.fromEntries(plan.parts.map((part) => [part.kind, sizeOf(part.tensors)]))).toEqual({
      encoder: { parameters: 13_241_857, tensors: 53 },
      autoencoder: { parameters: 67_717_295, tensors: 299 },
      unet: { parameters: 395_771_140, tensors: 628 },
    });
    expect(plan.manifest).toEqual(PRESETS['sgdiff-vg-256'].manifest);
    expect(plan.words?.variant).toBe('vg');
    expect(plan.facts).toEqual({ betas: 'betas' });
    const sources = new Map(
      plan.parts.flatMap(({ tensors: planned }) => planned.map(({ path, source }) => [path, source])),
    );
    expect(sources.get('inputBlocks.1.res.norm1.weight')).toEqual({
      name: 'model_ema.diffusion_modelinput_blocks10in_layers0weight',
      layout: 'same',
    });
    expect(sources.get('outputBlocks.2.up.weight')).toEqual({
      name: 'model_ema.diffusion_modeloutput_blocks22convweight',
      layout: 'conv',
    });
    expect(sources.get('timeEmbed.in.weight')?.layout).toBe('linear');
    expect(sources.get('objectEmbedding.weight')).toEqual({
      name: 'cond_stage_model.obj_embeddings.weight',
      layout: 'same',
    });
    expect(sources.get('quantize.embedding.weight')).toEqual({
      name: 'first_stage_model.quantize.embedding.weight',
      layout: 'same',
    });
  });

  it('says what it leaves out and why, and leaves out nothing without saying so', () => {
    const { ignored, parts } = planImport('sgdiff', tensors);
    expect(ignored.map(({ reason, names }) => [reason, names.length])).toEqual([
      ['raw weights of the U-Net (its moving average is taken)', 628],
      ['state of the moving average', 2],
      ['noise schedule (computed anew)', 12],
    ]);
    const taken = parts.flatMap(({ tensors: planned }) => planned.map(({ source }) => source.name));
    const all = [...taken, ...ignored.flatMap(({ names }) => names)];
    expect(new Set(all).size).toBe(1622);
    expect([...all].sort()).toEqual([...tensors.keys()].sort());
  });

  it('gives the raw weights when asked', () => {
    const plan = planImport('sgdiff', tensors, { weights: 'raw' });
    const unet = plan.parts.find(({ kind }) => kind === 'unet')!;
    expect(unet.tensors).toHaveLength(628);
    expect(unet.tensors.every(({ source }) => source.name.startsWith('model.diffusion_model.'))).toBe(true);
    expect(plan.ignored[0]).toMatchObject({ reason: 'moving average of the U-Net (its raw weights are taken)' });
  });

  it.each([
    ['COCO', 185, 7, 'coco', 13_224_449],
    ['VG150', 152, 51, 'vg150', 13_230_081],
    ['other words', 11, 5, 'custom', 13_134_337],
  ])('of %s is told by its embeddings', (_, rows, predicates, variant, parameters) => {
    const other = new Map(tensors);
    other.set('cond_stage_model.obj_embeddings.weight', { dtype: 'F32', shape: [rows, 512] });
    other.set('cond_stage_model.pred_embeddings.weight', { dtype: 'F32', shape: [predicates, 512] });
    const { words, manifest, parts } = planImport('sgdiff', other);
    expect(words).toMatchObject({ variant, objectCount: rows - 1, predicateCount: predicates });
    expect(words?.vocabulary?.objects.length).toBe(variant === 'coco' ? 184 : undefined);
    expect(manifest?.parts.encoder).toMatchObject({ objectCount: rows - 1, predicateCount: predicates });
    expect(sizeOf(parts[0]!.tensors).parameters).toBe(parameters);
  });

  it('may hold what training leaves in it, and come without raw weights or schedule', () => {
    const trimmed = new Map(
      [...tensors].filter(([name]) => !name.startsWith('model.') && !/^(sqrt|posterior|betas|log|alphas)/.test(name)),
    );
    expect(trimmed.size).toBe(1622 - 628 - 12);
    for (const name of [
      'first_stage_model.loss.logvar',
      'cond_stage_model.clip_model.proj',
      'optimizer_states.0.state',
      'scale_factor',
    ]) {
      trimmed.set(name, { dtype: 'F32', shape: [] });
    }
    const plan = planImport('sgdiff', trimmed);
    expect(plan.facts).toEqual({ scaleFactor: 'scale_factor' });
    expect(plan.ignored.map(({ reason }) => reason)).toEqual([
      'state of the moving average',
      'noise schedule (computed anew)',
      'state of the training',
      'training loss of the autoencoder',
      'CLIP, which the encoder was trained against',
    ]);
  });

  it('is the same with "module." before every name', () => {
    const plan = planImport('sgdiff', tensors);
    const other = planImport(
      'sgdiff',
      renamed(tensors, (name) => `module.${name}`),
    );
    expect(other.parts[2]!.tensors[5]!.source.name).toBe(`module.${plan.parts[2]!.tensors[5]!.source.name}`);
    expect(other.facts.betas).toBe('module.betas');
    expect(sizeOf(other.parts[2]!.tensors)).toEqual(sizeOf(plan.parts[2]!.tensors));
  });

  it('lists everything that is wrong in one error', () => {
    const broken = new Map(tensors);
    broken.delete('cond_stage_model.logit_scale');
    broken.delete('first_stage_model.quant_conv.bias');
    broken.set('cond_stage_model.extra.weight', { dtype: 'F32', shape: [1] });
    broken.set('model.diffusion_model.label_emb.weight', { dtype: 'F32', shape: [1000, 1024] });
    broken.set('model_ema.diffusion_modelout2weight', { dtype: 'F32', shape: [3, 256, 3, 3] });
    const { message, details } = failure('sgdiff', broken, { name: 'my.ckpt' });
    expect(message).toBe(
      'my.ckpt does not hold the weights of sgdiff: ' +
        '2 missing: "cond_stage_model.logit_scale", "first_stage_model.quant_conv.bias"; ' +
        '2 unexpected: "cond_stage_model.extra.weight", "model.diffusion_model.label_emb.weight"; ' +
        '1 misshapen: "model_ema.diffusion_modelout2weight" is [3, 256, 3, 3], expected [4, 256, 3, 3]. ' +
        'It looks like a full SGDiff checkpoint, but not a whole one of the published sizes. Was it cut, or trained with another config?',
    );
    expect(details).toMatchObject({ code: 'mismatch' });
    expect(details.missing).toHaveLength(2);
    expect(details.unexpected).toHaveLength(2);
    expect(details.misshapen).toHaveLength(1);
    expect(details.abridged).toBe(false);
  });

  it('names 20 of each without saying that there are more', () => {
    const missing = [...tensors.keys()].filter((name) => name.startsWith('model_ema.diffusion_model')).slice(0, 20);
    const cut = new Map([...tensors].filter(([name]) => !missing.includes(name)));
    const { message, details } = failure('sgdiff', cut);
    for (const name of missing) expect(message).toContain(`"${name}"`);
    expect(message).not.toContain(' more');
    expect(details.abridged).toBe(false);
    cut.delete('cond_stage_model.logit_scale');
    expect(failure('sgdiff', cut).message).toContain(' and 1 more. ');
  });

  it('names the first 20 of many, but knows all', () => {
    const raw = new Map([...tensors].filter(([name]) => !name.startsWith('model_ema.')));
    const { message, details } = failure('sgdiff', raw);
    expect(message).toMatch(
      /: 628 missing: ("model_ema\.diffusion_model\w+", ){19}"model_ema\.\w+" and 608 more\. It has no moving average: take the raw weights with --raw\.$/,
    );
    expect(details.missing).toHaveLength(628);
    expect(details.abridged).toBe(true);
    const ema = new Map([...tensors].filter(([name]) => !name.startsWith('model.')));
    expect(failure('sgdiff', ema, { weights: 'raw' }).message).toMatch(/ It has no raw weights: leave out --raw\.$/);
  });

  it('with a tensor that its reader cannot read is refused', () => {
    const unread = new Map(tensors);
    unread.delete('cond_stage_model.logit_scale');
    const unsupported = new Map([['cond_stage_model.logit_scale', 'complex numbers']]);
    expect(failure('sgdiff', unread, { unsupported }).details.misshapen).toEqual([
      '"cond_stage_model.logit_scale" cannot be read (complex numbers)',
    ]);
  });

  it('misses any tensor that is not there, and takes none that it does not know', () => {
    const names = [...tensors.keys()].filter(
      (name) => !/^(model\.|betas|alphas|sqrt|log|posterior|model_ema\.(decay|num))/.test(name),
    );
    fc.assert(
      fc.property(fc.constantFrom(...names), (name) => {
        const other = new Map(tensors);
        other.delete(name);
        other.set(`${name}X`, tensors.get(name)!);
        const { details } = failure('sgdiff', other);
        expect([details.missing, details.unexpected, details.misshapen]).toEqual([[name], [`${name}X`], []]);
      }),
      { numRuns: 20 },
    );
  });
});

describe('single parts', () => {
  it.each([
    ['bare names', (name: string) => name],
    ['"module."', (name: string) => `module.${name}`],
    ['"cond_stage_model."', (name: string) => `cond_stage_model.${name}`],
  ])('the graph encoder comes with %s', (_, rename) => {
    const plan = planImport('sip', renamed(section('cond_stage_model.'), rename));
    expect(plan.parts.map(({ kind, tensors }) => [kind, tensors.length])).toEqual([['encoder', 53]]);
    expect(plan.words?.variant).toBe('vg');
    expect(plan.parts[0]!.tensors[0]!.source.name).toBe(rename('obj_embeddings.weight'));
  });

  it('the graph encoder may come with the CLIP it was trained against', () => {
    const tensors = renamed(section('cond_stage_model.'), (name) => `module.${name}`);
    tensors.set('module.clip_model.visual.proj', { dtype: 'F16', shape: [768, 512] });
    expect(planImport('sip', tensors).ignored).toEqual([
      { reason: 'CLIP, which the encoder was trained against', names: ['module.clip_model.visual.proj'] },
    ]);
  });

  it.each([
    ['bare names', ''],
    ['"first_stage_model."', 'first_stage_model.'],
  ])('the autoencoder comes with %s and its training loss', (_, prefix) => {
    const tensors = renamed(section('first_stage_model.'), (name) => `${prefix}${name}`);
    tensors.set(`${prefix}loss.discriminator.main.0.weight`, { dtype: 'F32', shape: [64, 3, 4, 4] });
    const plan = planImport('vq-f8', tensors);
    expect(plan.parts.map(({ kind, tensors: planned }) => [kind, planned.length])).toEqual([['autoencoder', 299]]);
    expect(plan.ignored.map(({ names }) => names.length)).toEqual([1]);
    expect(plan.manifest).toBeUndefined();
  });

  it.each([
    ['sip', 53],
    ['vq-f8', 299],
  ] as const)('%s is also found in a full checkpoint, but not what its part does not know', (kind, count) => {
    const tensors = fullCheckpoint();
    expect(planImport(kind, tensors).parts[0]!.tensors).toHaveLength(count);
    const extra = kind === 'sip' ? 'cond_stage_model.extra' : 'first_stage_model.extra';
    tensors.set(extra, { dtype: 'F32', shape: [] });
    expect(failure(kind, tensors).details.unexpected).toEqual([extra]);
  });

  it.each(IMPORT_KINDS)('%s takes a file that holds just what it wants', (kind) => {
    const { parts, ignored } = planImport(kind, wanted(kind));
    expect(parts.length).toBe(kind === 'sgdiff' ? 3 : 1);
    expect(ignored).toEqual([]);
  });

  it.each(['clip-vit-b32', 'inception-fid', 'lpips'] as const)(
    '%s leaves out the rest of the network, and nothing else',
    (kind) => {
      const rest = {
        'clip-vit-b32': 'token_embedding.weight',
        'inception-fid': 'AuxLogits.fc.weight',
        lpips: 'classifier.0.weight',
      }[kind];
      const tensors = wanted(kind);
      tensors.set(rest, { dtype: 'F32', shape: [1] });
      expect(planImport(kind, tensors).ignored.map(({ names }) => names)).toEqual([[rest]]);
      tensors.set('something.else', { dtype: 'F32', shape: [1] });
      expect(failure(kind, tensors).details.unexpected).toEqual(['something.else']);
    },
  );

  it('the perceptual distance is found in a checkpoint of the autoencoder', () => {
    const prefix = 'loss.perceptual_loss.';
    const tensors = section('first_stage_model.');
    for (const [name, entry] of wanted('lpips')) {
      const number = Number(name.split('.')[1]);
      const group = number < 5 ? 1 : number < 10 ? 2 : number < 17 ? 3 : number < 24 ? 4 : 5;
      tensors.set(
        prefix + (name.startsWith('features.') ? name.replace('features', `net.slice${group}`) : name),
        entry,
      );
    }
    tensors.set(`${prefix}scaling_layer.shift`, { dtype: 'F32', shape: [1, 3, 1, 1] });
    tensors.set('loss.discriminator.main.0.bias', { dtype: 'F32', shape: [64] });
    const plan = planImport('lpips', tensors);
    expect(plan.parts[0]!.tensors).toHaveLength(31);
    expect(plan.ignored.map(({ reason, names }) => [reason, names.length])).toEqual([
      ['constants', 1],
      ['the rest of the checkpoint', 300],
    ]);
  });

  it('one tensor that gives several weights must have rows for all of them', () => {
    const tensors = wanted('clip-vit-b32');
    tensors.set('visual.transformer.resblocks.3.attn.in_proj_weight', { dtype: 'F32', shape: [1536, 768] });
    expect(failure('clip-vit-b32', tensors).details.misshapen).toEqual([
      '"visual.transformer.resblocks.3.attn.in_proj_weight" is [1536, 768], expected [2304, 768]',
    ]);
  });
});

describe('a file of another kind', () => {
  const files: Record<ImportKind, () => Tensors> = {
    sgdiff: fullCheckpoint,
    sip: () => section('cond_stage_model.'),
    'vq-f8': () => section('first_stage_model.'),
    'clip-vit-b32': () => wanted('clip-vit-b32'),
    'inception-fid': () => wanted('inception-fid'),
    lpips: () => wanted('lpips'),
  };
  const pairs = IMPORT_KINDS.flatMap((kind) => IMPORT_KINDS.map((other) => [kind, other] as const)).filter(
    ([kind, other]) => kind !== other && !(other === 'sgdiff' && (kind === 'sip' || kind === 'vq-f8')),
  );

  it.each(pairs)('as %s: a file of %s is recognised', (kind, other) => {
    expect(failure(kind, files[other]()).message).toMatch(
      new RegExp(` It looks like [^:]+: import it with --as ${other}\\.$`),
    );
  });

  it.each([
    [
      'Stable Diffusion',
      ['cond_stage_model.transformer.text_model.x', 'model.diffusion_model.x'],
      'It looks like Stable Diffusion, a text-to-image model, which cannot be imported.',
    ],
    [
      'another latent diffusion',
      ['model.diffusion_model.x'],
      'It looks like another latent diffusion model, which cannot be imported.',
    ],
    [
      'anything else',
      ['layer1.weight'],
      'It looks like none of the known files. Is it the checkpoint of another model?',
    ],
    ['nothing', [], 'It holds no tensors at all.'],
  ])('%s is refused', (_, names, end) => {
    const { message } = failure('sgdiff', tensorsOf(Object.fromEntries(names.map((name) => [name, [1]]))));
    expect(message.endsWith(` ${end}`)).toBe(true);
    expect(message.length).toBeLessThan(3000);
  });
});
