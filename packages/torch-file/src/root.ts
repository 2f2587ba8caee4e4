import { clip } from './clip';
import { TorchFileError } from './errors';
import { kindOf } from './pickle';
import { PickleObject, PickleTensor, type PickleValue } from './values';

export type RootPath = readonly (string | number)[];

const MAX_NAMES = 1_000_000;
const MAX_DEPTH = 200;
const MAX_LISTED = 12;

/**
 * Where the tensors are: the path that was asked for; else `state_dict` of a checkpoint; else the top value.
 *
 * @throws TorchFileError `root` if there is no such path.
 */
export function findRoot(
  file: string,
  entries: PickleValue,
  asked: string | RootPath | undefined,
): { path: RootPath; value: PickleValue } {
  const path: RootPath = asked === undefined ? defaultPath(entries) : typeof asked === 'string' ? [asked] : asked;
  let value = entries;
  path.forEach((key, i) => {
    const next = child(value, key);
    if (next === undefined) {
      const where = i === 0 ? 'the top' : pathName(path.slice(0, i));
      throw new TorchFileError(
        `${file}: expected "${clip(String(key))}" in ${where}, which is ${kindOf(value)}${keysOf(value)}. Name another root.`,
        'root',
      );
    }
    value = next;
  });
  return { path, value };
}

/**
 * The tensors of a root by name: of a dict by its keys, of a list by its positions, of a module (TorchScript, or one that was
 * pickled whole) by the path of attributes, as its state dict names them.
 *
 * @throws TorchFileError `root` if there are none.
 */
export function tensorsOf(
  file: string,
  path: RootPath,
  value: PickleValue,
  entries: PickleValue,
): Map<string, PickleTensor> {
  const where = path.length === 0 ? 'the top' : pathName(path);
  if (value instanceof PickleTensor) return new Map([[String(path.at(-1) ?? 'tensor'), value]]);
  const tensors = value instanceof PickleObject ? moduleTensors(file, value) : new Map<string, PickleTensor>();
  for (const [key, item] of childrenOf(value)) {
    if (!(item instanceof PickleTensor)) continue;
    const name = String(key);
    if (tensors.has(name))
      throw new TorchFileError(`${file}: ${where} has two tensors of the name "${clip(name)}".`, 'root');
    tensors.set(name, item);
  }
  const isEmpty = (value instanceof Map && value.size === 0) || (Array.isArray(value) && value.length === 0);
  if (tensors.size > 0 || isEmpty) return tensors;
  const others = mapsOfTensors(entries);
  throw new TorchFileError(
    `${file}: expected tensors in ${where}, which is ${kindOf(value)}${keysOf(value)}. ` +
      (others.length > 0
        ? `There are some in ${others.join(', ')}: name one as root.`
        : 'There are none elsewhere. Is it another file?'),
    'root',
  );
}

function defaultPath(entries: PickleValue): RootPath {
  const stateDict = entries instanceof Map ? entries.get('state_dict') : undefined;
  return stateDict instanceof Map || stateDict instanceof PickleObject ? ['state_dict'] : [];
}

function child(value: PickleValue, key: string | number): PickleValue | undefined {
  if (value instanceof PickleObject)
    return attributes(value).get(key) ?? value.entries.get(key) ?? value.items[key as number];
  if (value instanceof Map) return value.get(key);
  return Array.isArray(value) && typeof key === 'number' ? (value as PickleValue[])[key] : undefined;
}

/** Parts of a dict or list that have a name. */
function* childrenOf(value: PickleValue): Iterable<[string | number, PickleValue]> {
  if (Array.isArray(value)) yield* (value as PickleValue[]).entries();
  else if (value instanceof PickleObject) yield* namedEntries(value.entries);
  else if (value instanceof Map) yield* namedEntries(value);
}

function* namedEntries(map: ReadonlyMap<PickleValue, PickleValue>): Iterable<[string | number, PickleValue]> {
  for (const [key, item] of map) if (typeof key === 'string' || typeof key === 'number') yield [key, item];
}

/** Attributes of an object; of a module its parameters, buffers and modules, which it keeps in dicts of their own. */
function attributes(object: PickleObject): ReadonlyMap<PickleValue, PickleValue> {
  const { state } = object;
  if (!(state instanceof Map)) return new Map();
  if (!(state.get('_modules') instanceof Map)) return state;
  const all = new Map<PickleValue, PickleValue>();
  for (const part of ['_parameters', '_buffers', '_modules']) {
    const map: unknown = state.get(part);
    if (map instanceof Map) for (const [key, value] of map) all.set(key, value);
  }
  return all;
}

function moduleTensors(file: string, root: PickleObject): Map<string, PickleTensor> {
  const tensors = new Map<string, PickleTensor>();
  const ancestors = new Set<PickleObject>();
  let seen = 0;
  let characters = 0;
  // A file can make shared modules that have far more names than bytes.
  const count = (name: string): void => {
    characters += name.length;
    if (++seen > MAX_NAMES || characters > 64 * MAX_NAMES) {
      throw new TorchFileError(`${file}: its modules have more than ${MAX_NAMES} parts.`, 'too_large');
    }
  };
  const walk = (module: PickleObject, prefix: string): void => {
    if (ancestors.has(module)) return; // a reference to the parent
    if (ancestors.size >= MAX_DEPTH)
      throw new TorchFileError(`${file}: its modules are nested deeper than ${MAX_DEPTH}.`, 'too_large');
    ancestors.add(module);
    for (const [key, value] of namedEntries(attributes(module))) {
      if (!(value instanceof PickleTensor || value instanceof PickleObject)) continue;
      const name = prefix + String(key);
      count(name);
      if (value instanceof PickleTensor) tensors.set(name, value);
      else walk(value, `${name}.`);
    }
    ancestors.delete(module);
  };
  walk(root, '');
  return tensors;
}

/** Paths at which a caller may find tensors, for the message. */
function mapsOfTensors(entries: PickleValue): string[] {
  const found: string[] = [];
  const visited = new Set<PickleValue>();
  const queue: { value: PickleValue; path: RootPath }[] = [{ value: entries, path: [] }];
  for (let i = 0; i < queue.length && i < 10_000 && found.length < MAX_LISTED; i++) {
    const { value, path } = queue[i]!;
    if (visited.has(value)) continue;
    visited.add(value);
    let hasTensors = false;
    for (const [key, item] of childrenOf(value)) {
      if (item instanceof PickleTensor) hasTensors = true;
      else if (path.length < 4 && (item instanceof Map || Array.isArray(item)))
        queue.push({ value: item, path: [...path, key] });
      if (queue.length > 10_000) break;
    }
    if (hasTensors) found.push(pathName(path));
  }
  return found;
}

function keysOf(value: PickleValue): string {
  const map = value instanceof PickleObject ? attributes(value) : value;
  if (!(map instanceof Map)) return '';
  const keys: string[] = [];
  for (const key of map.keys()) {
    if (keys.length === MAX_LISTED) return ` with ${keys.join(', ')}, …`;
    keys.push(typeof key === 'string' ? clip(key) : typeof key === 'number' ? String(key) : kindOf(key));
  }
  return keys.length === 0 ? ' without keys' : ` with ${keys.join(', ')}`;
}

function pathName(path: RootPath): string {
  return path.length === 0 ? '[]' : path.map((key) => clip(String(key))).join(' → ');
}
