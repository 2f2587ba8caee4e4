import { parseManifest, parsePartManifest } from '@sgdiff/pipeline';
import { modelPreset, partSummary, partTensors, PRESET_NAMES, sizeOf, type PartConfigs, type PartSize } from '@sgdiff/published-models';
import { CliError } from '../errors';
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
    if (!isKnownPart(part.kind)) throw new CliError(`${where}: the size of the part "${part.kind}" is not known here.`);
    return { name, parts: { [part.kind]: partSize(part.kind, part.config, where) } };
  }
  const manifest = parseManifest(text, where);
  return { name: manifest.name, parts: partSummary(manifest) };
}

function isSinglePart(text: string): boolean {
  try {
    return (JSON.parse(text) as { part?: unknown }).part !== undefined;
  } catch {
    return false; // parseManifest says what is wrong
  }
}

const KNOWN_PARTS = ['encoder', 'autoencoder', 'unet', 'image-encoder', 'inception', 'perceptual'] as const satisfies readonly (keyof PartConfigs)[];

function isKnownPart(kind: string): kind is (typeof KNOWN_PARTS)[number] {
  return (KNOWN_PARTS as readonly string[]).includes(kind);
}

function partSize<K extends keyof PartConfigs>(kind: K, config: unknown, where: string): PartSize {
  try {
    return sizeOf(partTensors(kind, config as PartConfigs[K]));
  } catch (cause) {
    throw new CliError(`${where}: part.config cannot be used: ${(cause as Error).message}`, { cause });
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
