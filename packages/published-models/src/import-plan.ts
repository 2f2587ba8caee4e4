import { shapeInLayout, type StateDict, type TensorEntry, type TensorSource } from '@sgdiff/nn';
import { fileNames, type FileNames } from './file-names';
import { ImportError } from './import-error';
import { KIND_SPECS, type PartConfigs, type PartSpec } from './kinds';
import type { ModelParts, PresetManifest } from './presets';
import { recognise } from './recognise';
import type { PlannedWords } from './words';

export const IMPORT_KINDS = ['sgdiff', 'sip', 'vq-f8', 'clip-vit-b32', 'inception-fid', 'lpips'] as const;
export type ImportKind = (typeof IMPORT_KINDS)[number];

/** Parts of a model folder; each is a file `<kind>.safetensors`. */
export type PartKind = keyof PartConfigs;

/** A weight of ours and where the file has it, under the file's own name. */
export type PlannedTensor = TensorEntry & { readonly source: TensorSource };

export type PlannedPart<K extends PartKind = PartKind> = {
  readonly kind: K;
  /** Sizes, as they go into the manifest. */
  readonly config: PartConfigs[K];
  /** All weights, in the order of the model. */
  readonly tensors: readonly PlannedTensor[];
};

/** Tensors of a file that are not imported, and why not. */
export type IgnoredTensors = { readonly reason: string; readonly names: readonly string[] };

/** Which tensor of a file becomes which weight of ours. */
export type ImportPlan = {
  readonly kind: ImportKind;
  readonly parts: readonly PlannedPart[];
  readonly ignored: readonly IgnoredTensors[];
  /** For kinds with a graph encoder. */
  readonly words?: PlannedWords;
  /** Names of facts about the training that the file tells and `readTrainingFacts` reads, as far as it has them. */
  readonly facts: { readonly betas?: string; readonly scaleFactor?: string };
  /** For a whole model: what its `model.json` says besides format, name, licence and files. */
  readonly manifest?: PresetManifest;
};

export type ImportOptions = {
  /** For messages: path or URL of the file. */
  readonly name?: string;
  /** Of a full checkpoint take the U-Net's moving average, as the published sampling script does, or the raw weights; `ema`. */
  readonly weights?: 'ema' | 'raw';
  /** Tensors of the file that its reader cannot read, and why. */
  readonly unsupported?: ReadonlyMap<string, string>;
  /** Sizes other than the published ones. The counts of words always come from the file. */
  readonly parts?: Partial<ModelParts>;
};

/**
 * Which tensors of a file become which weights of a model, checked for names and shapes. Reads no numbers.
 *
 * Names may have the `module.` of data-parallel training before them. What is neither a weight nor in one of the groups that
 * a file of this kind may hold besides (named in `ignored`) is an error, as is a weight that is missing or misshapen.
 *
 * @throws ImportError `mismatch` with all missing, unexpected and misshapen names, and what the file looks like instead.
 */
export function planImport(kind: ImportKind, tensors: StateDict['tensors'], options: ImportOptions = {}): ImportPlan {
  const names = fileNames(tensors);
  const { parts: specs, ignorable, manifest, words } = KIND_SPECS[kind](names, options);
  const missing = new Set<string>();
  const misshapen: string[] = [];
  const taken = new Set<string>();
  const parts = specs.map((spec) => {
    const heights = rowsNeeded(spec);
    return {
      kind: spec.kind,
      config: spec.config,
      tensors: spec.entries.map(({ path, shape }): PlannedTensor => {
        const source = spec.source(path);
        const { name } = source;
        const found = names.shapeOf(name);
        const reason = options.unsupported?.get(names.inFile(name));
        if (reason !== undefined) misshapen.push(`"${names.inFile(name)}" cannot be read (${reason})`);
        else if (!found) missing.add(name);
        else if (!taken.has(name)) {
          const expected = shapeInLayout(shape, source.layout);
          if (source.rows) expected[0] = heights.get(name)!;
          if (found.join() !== expected.join()) {
            misshapen.push(`"${names.inFile(name)}" is [${found.join(', ')}], expected [${expected.join(', ')}]`);
          }
        }
        taken.add(name);
        return { path, shape, source: { ...source, name: names.inFile(name) } };
      }),
    };
  });
  const groups = ignorable.map(({ reason, includes }) => ({ reason, includes, names: [] as string[] }));
  const unexpected: string[] = [];
  for (const name of names.all) {
    if (taken.has(name)) continue;
    (groups.find(({ includes }) => includes(name))?.names ?? unexpected).push(names.inFile(name));
  }
  if (missing.size + unexpected.length + misshapen.length > 0) {
    throw mismatch(kind, names, options, { missing: [...missing], unexpected, misshapen });
  }
  return {
    kind,
    parts,
    ignored: groups
      .filter((group) => group.names.length > 0)
      .map(({ reason, names: ignored }) => ({ reason, names: ignored })),
    facts: {
      ...(manifest && names.has('betas') ? { betas: names.inFile('betas') } : {}),
      ...(manifest && names.has('scale_factor') ? { scaleFactor: names.inFile('scale_factor') } : {}),
    },
    ...(words ? { words } : {}),
    ...(manifest ? { manifest } : {}),
  };
}

/** How many rows each tensor has of which several weights take some. */
function rowsNeeded({ entries, source }: PartSpec): Map<string, number> {
  const heights = new Map<string, number>();
  for (const { path } of entries) {
    const { name, rows } = source(path);
    if (rows) heights.set(name, Math.max(heights.get(name) ?? 0, rows[1]));
  }
  return heights;
}

type Lists = {
  readonly missing: readonly string[];
  readonly unexpected: readonly string[];
  readonly misshapen: readonly string[];
};

/** How many names of each list a message shows. */
const SHOWN = 20;

function mismatch(
  kind: ImportKind,
  names: FileNames,
  { name = 'The file', weights = 'ema' }: ImportOptions,
  lists: Lists,
): ImportError {
  const { missing, unexpected, misshapen } = lists;
  const quoted = (list: readonly string[]): string[] => list.map((entry) => `"${entry}"`);
  const found = [
    describe(missing.length, 'missing', quoted(missing)),
    describe(unexpected.length, 'unexpected', quoted(unexpected)),
    describe(misshapen.length, 'misshapen', misshapen),
  ].filter((text) => text !== '');
  return new ImportError(
    `${name} does not hold the weights of ${kind}: ${found.join('; ')}. ${remedy(kind, weights, names, lists)}`,
    {
      code: 'mismatch',
      ...lists,
      abridged: [missing, unexpected, misshapen].some(({ length }) => length > SHOWN),
    },
  );
}

function describe(count: number, what: string, list: readonly string[]): string {
  if (count === 0) return '';
  const more = count > SHOWN ? ` and ${count - SHOWN} more` : '';
  return `${count} ${what}: ${list.slice(0, SHOWN).join(', ')}${more}`;
}

/** What to do about a file that does not fit. */
function remedy(kind: ImportKind, weights: 'ema' | 'raw', names: FileNames, { missing }: Lists): string {
  if (names.all.length === 0) return 'It holds no tensors at all.';
  const looks = recognise(names);
  if (looks === undefined) return 'It looks like none of the known files. Is it the checkpoint of another model?';
  if (looks.kind === undefined) return `It looks like ${looks.what}, which cannot be imported.`;
  if (looks.kind !== kind) return `It looks like ${looks.what}: import it with --as ${looks.kind}.`;
  if (kind === 'sgdiff' && missing.length > 0) {
    const lacks = (prefix: string): boolean => !names.all.some((name) => name.startsWith(prefix));
    if (weights === 'ema' && lacks('model_ema.')) return 'It has no moving average: take the raw weights with --raw.';
    if (weights === 'raw' && lacks('model.diffusion_model.')) return 'It has no raw weights: leave out --raw.';
  }
  if (kind === 'lpips' && missing.length > 0) {
    const heads = missing.filter((name) => /lin\d\.model\.1\.weight$/.test(name)).length;
    if (heads === 0 || heads === missing.length) {
      return 'VGG16 and the heads may come in two files: give the file of the other half as well.';
    }
  }
  return `It looks like ${looks.what}, but not a whole one of the published sizes. Was it cut, or trained with another config?`;
}
