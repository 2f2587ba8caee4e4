import { basename, extname, join } from 'node:path';
import { parseRecord, RequestError, requireSampler, requireSigmaList, requireSpacing, type GenerateOptions, type Picture, type Pipeline, type RequestRecord } from '@sgdiff/pipeline';
import { IMAGE_OBJECT, parseSceneGraphs, parseSceneText, SceneGraphError, sceneText, type SceneGraph, type Vocabulary } from '@sgdiff/sg-schema';
import { existsSync, lstatSync, readFileSync, realpathSync, rmSync, statSync } from 'node:fs';
import { isDeepStrictEqual } from 'node:util';
import type { BackendChoice } from '../backend';
import { CliError } from '../errors';
import { messageOf, readUserText, requireWritableFolder, writeFileAtomic } from '../files';
import { encodePicture, readRecord, tile } from '../png';
import { stoppable } from '../stop-signals';
import type { Terminal } from '../terminal';
import { mapsPath, writeMaps, type MapsSheet } from './maps';

/** Settings of a picture as the command line has them. */
export type AskedSettings = {
  readonly seed?: number;
  readonly steps?: number;
  readonly sampler?: string;
  readonly guidance?: number;
  readonly eta?: number;
  readonly spacing?: string;
  readonly sigmas?: string;
};

/** Those settings as the pipeline takes them. What was not asked for is left to it. */
export type DrawSettings = Pick<GenerateOptions, 'seed' | 'steps' | 'sampler' | 'guidanceScale' | 'eta' | 'spacing' | 'sigmas'>;

export type DrawOptions = DrawSettings & {
  readonly out: string;
  /** Also writes all pictures side by side under this name. */
  readonly strip?: string;
  /** Also writes where the network looked, to `<name>-maps.png`. */
  readonly maps?: boolean;
};

export type DrawnPicture = { readonly path: string; readonly seed: number; readonly seconds: number; readonly maps?: MapsSheet };

/** Reads graphs from a JSON file (one or a list, sg2im's form), or from text like `sheep standing on grass; tree behind sheep`. */
export function readGraphs(input: string, path: string, vocabulary: Vocabulary, maxTriples: number): readonly SceneGraph[] {
  if (input.trim() === '') throw new CliError('The graph is empty. Give a file, or words such as "sheep standing on grass".');
  if (extname(input) === '.png') throw new CliError(`${path} is a picture. Add --replay to draw it again, or change it with "sgdiff edit".`);
  const isWord = /^[^\\/.]+$/.test(input);
  if (!existsSync(path) && (isWord || (/\s/.test(input) && extname(input) !== '.json'))) {
    const where = /\s/.test(input) ? `The graph "${input}"` : `"${input}" is not a file, and as a graph`;
    return naming(where, () => [parseSceneText(input, { vocabulary, maxTriples })]);
  }
  const text = readUserText(path, 'The graph file');
  const graphs = naming(path, () => parseSceneGraphs(text, { vocabulary, maxTriples }));
  if (graphs.length === 0) throw new CliError(`${path}: expected a graph or a list of graphs, received an empty list. Put a graph into it.`);
  return graphs;
}

/** Reads what a picture shows: one graph. */
export function readGraph(input: string, path: string, vocabulary: Vocabulary, maxTriples: number): SceneGraph {
  const [graph, ...more] = readGraphs(input, path, vocabulary, maxTriples);
  if (more.length > 0) throw new CliError(`${path}: expected one graph, received a list of ${more.length + 1}. Leave the one that the picture shows.`);
  return graph;
}

/** @throws RequestError for a name that no sampler, spacing or list of sigmas has. */
export function drawSettings({ seed, steps, sampler, guidance, eta, spacing, sigmas }: AskedSettings): DrawSettings {
  return {
    ...(seed === undefined ? {} : { seed }),
    ...(steps === undefined ? {} : { steps }),
    ...(sampler === undefined ? {} : { sampler: requireSampler(sampler) }),
    ...(guidance === undefined ? {} : { guidanceScale: guidance }),
    ...(eta === undefined ? {} : { eta }),
    ...(spacing === undefined ? {} : { spacing: requireSpacing(spacing) }),
    ...(sigmas === undefined ? {} : { sigmas: requireSigmaList(sigmas) }),
  };
}

/** Says where the graph came from, in place of the function that read it. */
export function naming<T>(where: string, parse: () => T): T {
  try {
    return parse();
  } catch (error) {
    if (!(error instanceof SceneGraphError)) throw error;
    const lines = error.issues.map(({ message }) => message);
    const text = lines.length === 1 ? lines[0] : `${lines.length} problems.\n${lines.map((line) => `- ${line}`).join('\n')}`;
    throw new CliError(`${where}: ${text}`, { cause: error });
  }
}

/**
 * Only what this command made is written over: pictures that carry its record, and their records beside them, which have the same names
 * with `.json`. A file of that name that is something else, such as a picture of the user's own or the graph, is not.
 *
 * @param own A picture of the user's own that the new ones are made of: they cannot be drawn again without it, so it stays whatever it is.
 */
export function requireNotOverwritten(pictures: readonly string[], { maps = false, own }: { maps?: boolean; own?: string } = {}): void {
  for (const picture of pictures) {
    requireReplaceable(picture, own);
    if (maps) requireReplaceable(mapsPath(picture), own);
    const record = recordPath(picture);
    if (!existsSync(record) || isRecord(record)) continue;
    throw new CliError(`The record of the picture would overwrite ${record}, which is no such record. Choose another place with --out.`);
  }
}

function requireReplaceable(path: string, own?: string): void {
  if (!existsSync(path)) {
    if (!lstatSync(path, { throwIfNoEntry: false })) return;
    throw new CliError(`The picture would overwrite ${path}, which is a link to nothing. Choose another place with --out.`);
  }
  if (own !== undefined && realpathSync.native(path) === realpathSync.native(own)) {
    throw new CliError(
      `The picture would overwrite ${path}: expected another file than ${own}, which is needed to draw the new picture again, ` +
        'received the same one. Choose another place with --out.',
    );
  }
  if (recordIn(path) !== undefined) return;
  throw new CliError(`The picture would overwrite ${path}, which is no picture made by sgdiff. Choose another place with --out.`);
}

/** What this command put into a PNG; undefined for any other file. */
function recordIn(path: string): unknown {
  try {
    return readRecord(readFileSync(path));
  } catch {
    return undefined;
  }
}

function isRecord(path: string): boolean {
  try {
    parseRecord(JSON.parse(readFileSync(path, 'utf8')));
    return true;
  } catch {
    return false;
  }
}

function recordPath(picture: string): string {
  return picture.replace(/\.png$/, '.json');
}

/** Draws graphs one by one, each to `<name>.png` with its request record inside and beside it. */
export async function drawGraphs(
  pipeline: Pipeline,
  graphs: readonly SceneGraph[],
  names: readonly string[],
  options: DrawOptions,
  terminal: Terminal,
): Promise<{ images: DrawnPicture[]; strip?: string }> {
  const { out, maps = false, strip: stripName, ...settings } = options;
  const { seed = 0, steps } = settings;
  const paths = names.map((name) => join(out, `${name}.png`));
  const strip = stripName === undefined ? undefined : join(out, stripName);
  requireWritableFolder(out);
  requireNotOverwritten(paths, { maps });
  if (strip !== undefined) requireReplaceable(strip);
  const perPicture = steps ?? pipeline.manifest.defaults.steps;
  const progress = terminal.progress('drawing', graphs.length * perPicture);
  const images: DrawnPicture[] = [];
  const pictures: Picture[] = [];
  try {
    await interruptible(async (signal) => {
      for (const [i, graph] of graphs.entries()) {
        const begun = performance.now();
        const picture = await pipeline.generate(graph, {
          ...settings,
          seed,
          maps,
          signal,
          // With the published spacing a run may take other steps than were asked for: the bar counts those asked for.
          onStep: ({ index, steps: taken }) => progress.update((i + (index + 1) / taken) * perPicture, names[i]),
        });
        const seconds = (performance.now() - begun) / 1000;
        pictures.push(picture);
        noteWithoutToken(graph, picture, terminal);
        images.push({ ...writePictureAndMaps(paths[i], picture), seed, seconds });
      }
    });
  } finally {
    progress.stop();
  }
  if (strip === undefined) return { images };
  const row = pictures.map(({ width, height, pixels }) => ({ width, height, data: pixels }));
  writeFileAtomic(strip, encodePicture(tile(row, row.length, { zoom: 2 }), { pictures: pictures.map(({ record }) => record) }));
  return { images, strip };
}

/** Says which triples a model that takes only so many could not give a token of their own. */
export function noteWithoutToken(graph: SceneGraph, { withoutToken }: Picture, terminal: Terminal): void {
  if (withoutToken.length === 0) return;
  const named = withoutToken.map(([subject, predicate, object]) => `${graph.objects[subject]} ${predicate} ${graph.objects[object] ?? IMAGE_OBJECT}`);
  terminal.note(
    `${named.length} of the graph's triples got no token, since the model takes only so many, and can be told from the rest of the ` +
      `graph alone: ${named.join(', ')}.`,
  );
}

/** Writes the PNG and, beside it, its record as JSON. The maps of another picture that it replaces go. Returns the PNG's path. */
export function writePicture(path: string, { width, height, pixels, record }: Picture): string {
  const json = JSON.stringify(record, null, 2);
  removeMapsOfReplaced(path, JSON.parse(json));
  writeFileAtomic(path, encodePicture({ width, height, data: pixels }, record));
  writeFileAtomic(recordPath(path), `${json}\n`);
  return path;
}

/** Removes the sheet of maps of a picture that is about to be replaced by the one of this record. Whatever else has its name stays. */
function removeMapsOfReplaced(picture: string, record: unknown): void {
  const replaced = recordIn(picture);
  const path = mapsPath(picture);
  const inside = recordIn(path);
  if (replaced === undefined || isDeepStrictEqual(replaced, record)) return;
  if (typeof inside !== 'object' || inside === null || !('picture' in inside && 'tiles' in inside)) return;
  if (!isDeepStrictEqual(inside.picture, replaced)) return;
  try {
    rmSync(path);
  } catch (error) {
    throw new CliError(`Could not remove ${path}, the maps of the picture that was there before: ${messageOf(error)}. Remove it.`, { cause: error });
  }
}

/** As `writePicture`, and where there are maps, a sheet of them beside it. */
export function writePictureAndMaps(path: string, picture: Picture): Pick<DrawnPicture, 'path' | 'maps'> {
  return { path: writePicture(path, picture), ...(picture.maps ? { maps: writeMaps(path, picture) } : {}) };
}

/** The request record of a picture made by this command, from the PNG or the JSON beside it. */
export function readRequest(path: string): RequestRecord {
  if (!existsSync(path)) throw new CliError(`The picture ${path} does not exist. Check the path.`);
  if (statSync(path).isDirectory()) throw new CliError(`The picture ${path} is a folder, expected a PNG or its record.`);
  let value: unknown;
  try {
    value = extname(path) === '.png' ? readRecord(readFileSync(path)) : JSON.parse(readFileSync(path, 'utf8'));
  } catch (error) {
    throw new CliError(`The picture ${path} could not be read: ${messageOf(error)}. Expected a PNG made by sgdiff, or the record beside it.`, { cause: error });
  }
  if (value === undefined) throw new CliError(`${path} holds no request record. Only pictures made by sgdiff can be drawn again.`);
  try {
    return naming(path, () => parseRecord(value));
  } catch (error) {
    if (error instanceof RequestError) throw new CliError(`${path}: ${error.message}`, { cause: error });
    throw error;
  }
}

/** File names for the pictures of an input: `my-graph`, or `my-graph-0` … for several. */
export function pictureNames(input: string, count: number): string[] {
  const base = extname(input) === '.json' ? basename(input, '.json') : 'picture';
  return count === 1 ? [base] : Array.from({ length: count }, (_, i) => `${base}-${i}`);
}

/**
 * Draws what Ctrl-C ends cleanly.
 *
 * @param kept What is said then of what was done so far.
 */
export function interruptible<T>(work: (signal: AbortSignal) => Promise<T>, kept = 'Stopped. Pictures that were finished are kept.'): Promise<T> {
  return stoppable(async (signal) => {
    try {
      return await work(signal);
    } catch (error) {
      if (signal.aborted) throw new CliError(kept, { exitCode: 130, cause: error });
      throw error;
    }
  });
}

/** What `generate`, `edit` and `demo` tell when done. */
export function reportDrawing(
  drawn: { readonly images: readonly DrawnPicture[]; readonly strip?: string },
  graphs: readonly SceneGraph[],
  backend: BackendChoice,
  seconds: number,
  terminal: Terminal,
): void {
  drawn.images.forEach(({ path, seconds: each, maps }, i) => {
    terminal.say(`${path}  ${each.toFixed(2)} s  ${sceneText(graphs[i])}`);
    if (maps) terminal.say(`${maps.path}  where the network looked at what`);
  });
  if (drawn.strip) terminal.say(`${drawn.strip}  all side by side`);
  const mean = drawn.images.reduce((sum, image) => sum + image.seconds, 0) / Math.max(1, drawn.images.length);
  const peakBytes = process.resourceUsage().maxRSS * 1024;
  terminal.say(
    `${mean.toFixed(2)} s per picture on ${backend.name} (${backend.threads} ${backend.threads === 1 ? 'thread' : 'threads'}), ` +
      `${seconds.toFixed(1)} s in all, at most ${Math.round(peakBytes / 1e6)} MB of memory`,
  );
  terminal.result({ backend: backend.name, seconds, peakBytes, ...drawn });
}
