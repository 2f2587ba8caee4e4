import { ModelError, parseManifest, parsePartManifest } from '@sgdiff/pipeline';
import { modelPreset, partSummary, partTensors, PRESET_NAMES, sizeOf, type PartKind, type PartConfigs, type PartSize } from '@sgdiff/published-models';
import { CliError } from '../errors';
import { messageOf } from '../files';
import { modelSource } from '../model';
import type { Terminal } from '../terminal';

/** What `--json` prints. */
export type ModelInfo = {
  readonly name: string;
  readonly parts: Readonly<Record<string, PartSize>>;
  readonly total: PartSize;
};

/** How large the parts of a preset or of a model are. Makes and reads no weights. */
export async function info(of: { readonly preset?: string; readonly model?: string }, terminal: Terminal): Promise<ModelInfo> {
  const { name, parts } = of.preset === undefined ? await modelParts(of.model) : presetParts(of.preset);
  const sizes = Object.values(parts);
  const total = {
    parameters: sizes.reduce((sum, { parameters }) => sum + parameters, 0),
    tensors: sizes.reduce((sum, { tensors }) => sum + tensors, 0),
  };
  terminal.say(name);
  for (const line of table([...Object.entries(parts), ['total', total]])) terminal.say(line);
  const found: ModelInfo = { name, parts, total };
  terminal.result(found);
  return found;
}

type NamedParts = { readonly name: string; readonly parts: Readonly<Record<string, PartSize>> };

function presetParts(name: string): NamedParts {
  const preset = modelPreset(name);
  if (preset) return { name, parts: partSummary(preset.manifest) };
  throw new CliError(`Unknown preset "${name}", expected one of: ${PRESET_NAMES.join(', ')}.`);
}

async function modelParts(model: string | undefined): Promise<NamedParts> {
  if (model === undefined) {
    throw new CliError(`Expected --model <model> or --preset <name>, the latter one of: ${PRESET_NAMES.join(', ')}.`);
  }
  const source = modelSource(model);
  const text = new TextDecoder().decode(await source.read('model.json'));
  const where = `${source.name}/model.json`;
  if (isSinglePart(text)) {
    const { name, part } = parsePartManifest(text, where);
    return { name, parts: { [part.kind]: partSize(part.kind, part.config, `${where}: part.config`) } };
  }
  const { name, parts } = parseManifest(text, where);
  const size = <K extends 'unet' | 'encoder' | 'autoencoder'>(kind: K): PartSize => partSize(kind, parts[kind], `${where}: parts.${kind}`);
  return { name, parts: { unet: size('unet'), encoder: size('encoder'), autoencoder: size('autoencoder') } };
}

function isSinglePart(text: string): boolean {
  try {
    return (JSON.parse(text) as { part?: unknown }).part !== undefined;
  } catch {
    return false; // parseManifest says what is wrong
  }
}

/** @throws ModelError, as the loader does, for a config that the part's package refuses. */
function partSize<K extends PartKind>(kind: K, config: unknown, where: string): PartSize {
  try {
    return sizeOf(partTensors(kind, config as PartConfigs[K]));
  } catch (cause) {
    throw new ModelError(`${where} cannot be used: ${messageOf(cause)} Correct it or get the model folder again.`, {
      code: 'invalid_manifest',
      file: 'model.json',
      cause,
    });
  }
}

/** Lines of `name  parameters  tensors`, numbers to the right. */
function table(rows: readonly (readonly [name: string, size: PartSize])[]): string[] {
  const cells = [
    ['part', 'parameters', 'tensors'],
    ...rows.map(([name, { parameters, tensors }]) => [name, parameters.toLocaleString('en'), tensors.toLocaleString('en')]),
  ];
  const widths = [0, 1, 2].map((column) => Math.max(...cells.map((row) => row[column]!.length)));
  return cells.map(([name, ...numbers]) => `  ${name!.padEnd(widths[0]!)}  ${numbers.map((n, i) => n.padStart(widths[i + 1]!)).join('  ')}`);
}
