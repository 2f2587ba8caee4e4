import { type ByteSource, readExactly } from './byte-source';
import { clip } from './clip';
import { elementTypeOf } from './dtypes';
import { TorchFileError } from './errors';
import { type OpenForm } from './form';
import { type Limits } from './limits';
import { Budget, kindOf, PickleEnd, type PickleHost, PickleReader } from './pickle';
import { torchHost } from './torch-globals';
import { PickleStorage, type PickleValue } from './values';

const MAGIC = 0x1950a86a20f9469cfc6cn;
const VERSION = 1001;
const FIRST_WINDOW = 1024 * 1024;

type Place = { readonly offset: number; readonly bytes: number };

/**
 * The form before PyTorch 1.6: magic number, version, system, the pickle and the names of the storages, each a pickle; then of
 * each storage its number of elements (64 bits) and the elements.
 *
 * @throws TorchFileError as `openTorchFile`.
 */
export async function openLegacyForm(source: ByteSource, limits: Limits): Promise<OpenForm> {
  const { entries, keys, storages, end } = await readHead(source, limits);
  const places = await locateStorages(source, keys, storages, end);
  return {
    form: 'legacy',
    entries,
    storageBytes: (storage) => places.get(storage.key)?.bytes,
    readStorage: (storage, offset, length) =>
      readExactly(source, places.get(storage.key)!.offset + offset, length, `storage ${clip(storage.key)}`),
  };
}

type Head = {
  readonly entries: PickleValue;
  readonly keys: readonly PickleValue[];
  readonly storages: ReadonlyMap<string, PickleStorage>;
  readonly end: number;
};

/** The pickles do not say how long they are: read some bytes, and more if they end too early. */
async function readHead(source: ByteSource, limits: Limits): Promise<Head> {
  const most = Math.min(source.size, limits.maxPickleBytes);
  for (let length = Math.min(FIRST_WINDOW, most); ;) {
    const bytes = await readExactly(source, 0, length, 'its pickle');
    try {
      return parseHead(source, bytes, limits);
    } catch (error) {
      if (!(error instanceof PickleEnd)) throw error;
      if (error.needed > source.size) {
        throw new TorchFileError(`${source.name}: ends within its pickle. Is it cut off? Load it again.`, 'truncated');
      }
      if (error.needed > most) {
        throw new TorchFileError(
          `${source.name}: its pickle has more than maxPickleBytes = ${limits.maxPickleBytes}. Raise the limit if you trust the file.`,
          'too_large',
        );
      }
      length = Math.min(most, Math.max(2 * length, error.needed));
    }
  }
}

function parseHead(source: ByteSource, bytes: Uint8Array, limits: Limits): Head {
  const storages = new Map<string, PickleStorage>();
  const host: PickleHost = {
    construct: torchHost.construct,
    persistent(id) {
      // A module came with its source code: ('module', class, file, code). Only the class is of use.
      if (Array.isArray(id) && id[0] === 'module' && id.length > 1) return id[1] as PickleValue;
      const value = torchHost.persistent(id);
      if (value instanceof PickleStorage) storages.set(value.key, value);
      return value;
    },
  };
  const reader = new PickleReader(source.name, bytes, host, new Budget(source.name, limits.maxValueBytes));
  const magic = reader.load();
  if (magic !== MAGIC) {
    throw new TorchFileError(
      `${source.name}: is a pickle, but not one that torch.save wrote. Is it another file?`,
      'not_torch',
    );
  }
  const version = reader.load();
  if (version !== VERSION) {
    throw new TorchFileError(
      `${source.name}: expected version ${VERSION} of the legacy form, received ${typeof version === 'number' ? version : kindOf(version)}.`,
      'unsupported',
    );
  }
  const system = reader.load();
  if (system instanceof Map && system.get('little_endian') === false) {
    throw new TorchFileError(
      `${source.name}: expected little-endian values, received big-endian ones. Save it on a little-endian machine.`,
      'unsupported',
    );
  }
  const entries = reader.load();
  const keys = reader.load();
  if (!Array.isArray(keys)) {
    throw new TorchFileError(
      `${source.name}: expected a list of storages after the pickle, received ${kindOf(keys)}.`,
      'pickle',
    );
  }
  if (keys.length > limits.maxEntries) {
    throw new TorchFileError(
      `${source.name}: has ${keys.length} storages, more than maxEntries = ${limits.maxEntries}. Raise the limit if you trust the file.`,
      'too_large',
    );
  }
  return { entries, keys: keys as readonly PickleValue[], storages, end: reader.position };
}

async function locateStorages(
  source: ByteSource,
  keys: readonly PickleValue[],
  storages: ReadonlyMap<string, PickleStorage>,
  end: number,
): Promise<Map<string, Place>> {
  const places = new Map<string, Place>();
  let at = end;
  for (const key of keys) {
    const storage = typeof key === 'string' ? storages.get(key) : undefined;
    const element = storage && elementTypeOf(storage.elementType);
    if (typeof key !== 'string' || !storage || !element) {
      throw new TorchFileError(
        `${source.name}: storage ${typeof key === 'string' ? clip(key) : kindOf(key)} is of ` +
          `${storage ? `type ${clip(storage.elementType)}, whose size is not known` : 'no tensor'}, so that what follows cannot be found.`,
        storage ? 'unsupported' : 'pickle',
      );
    }
    const head = await readExactly(source, at, 8, `storage ${clip(key)}`);
    const count = Number(new DataView(head.buffer, head.byteOffset).getBigInt64(0, true));
    if (count !== storage.length) {
      throw new TorchFileError(
        `${source.name}: expected ${storage.length} elements in storage ${clip(key)}, the file says ${count}. Is it damaged?`,
        'truncated',
      );
    }
    const place = { offset: at + 8, bytes: count * element.bytes };
    at = place.offset + place.bytes;
    if (at > source.size) {
      throw new TorchFileError(
        `${source.name}: storage ${clip(key)} should end at byte ${at}, but the file has ${source.size}. Is it cut off? Load it again.`,
        'truncated',
      );
    }
    places.set(key, place);
  }
  return places;
}
