import { type ByteSource, readExactly } from './byte-source';
import { clip } from './clip';
import { TorchFileError } from './errors';
import { type OpenForm } from './form';
import { type Limits } from './limits';
import { Budget, PickleEnd, PickleReader } from './pickle';
import { torchHost } from './torch-globals';
import { type PickleStorage, type PickleValue } from './values';
import { openZipArchive, type ZipArchive } from './zip-archive';

/**
 * The zip form: `data.pkl` and one entry per storage, under a folder of any name.
 *
 * @throws TorchFileError as `openTorchFile`.
 */
export async function openZipForm(source: ByteSource, limits: Limits, checkCrc: boolean): Promise<OpenForm> {
  const archive = await openZipArchive(source, limits);
  const names = [...archive.sizes.keys()];
  const folder = findFolder(source, names);
  await checkByteOrder(source, archive, `${folder}byteorder`);
  const entry = `${folder}data.pkl`;
  const pickle = await archive.readAll(entry, limits.maxPickleBytes, checkCrc);
  const entries = loadPickle(`${source.name}, ${clip(entry)}`, pickle, limits, entry);
  const isScript = names.some((name) => name === `${folder}constants.pkl` || name.startsWith(`${folder}code/`));

  let inflated: { readonly name: string; readonly bytes: Promise<Uint8Array> } | undefined; // the last one
  const nameOf = (storage: PickleStorage): string => `${folder}data/${storage.key}`;
  return {
    form: isScript ? 'torchscript' : 'zip',
    entries,
    storageBytes: (storage) => archive.sizes.get(nameOf(storage)),
    async readStorage(storage, offset, length) {
      const name = nameOf(storage);
      const place = await archive.locate(name);
      if (place) {
        const bytes = await readExactly(source, place.offset + offset, length, clip(name));
        // A part of a storage has no checksum of its own.
        if (checkCrc && length === place.size) archive.checkBytes(name, bytes, place.crc32);
        return bytes;
      }
      if (inflated?.name !== name) {
        inflated = { name, bytes: archive.readAll(name, limits.maxInflatedBytes, checkCrc) };
      }
      return (await inflated.bytes).slice(offset, offset + length);
    },
  };
}

function loadPickle(where: string, bytes: Uint8Array, limits: Limits, entry: string): PickleValue {
  try {
    return new PickleReader(where, bytes, torchHost, new Budget(where, limits.maxValueBytes)).load();
  } catch (error) {
    if (!(error instanceof PickleEnd)) throw error;
    throw new TorchFileError(
      `${where}: damaged pickle: it ends after ${bytes.length} bytes. Load the file again.`,
      'pickle',
      {
        entry,
      },
    );
  }
}

/** `archive/` of `archive/data.pkl`; the folder may have any name, and be missing. */
function findFolder(source: ByteSource, names: readonly string[]): string {
  const pickles = names.filter((name) => /^([^/]*\/)?data\.pkl$/.test(name));
  if (pickles.length === 1) return pickles[0]!.slice(0, -'data.pkl'.length);
  if (pickles.length > 1) {
    throw new TorchFileError(
      `${source.name}: expected one data.pkl in the archive, received ${pickles.length}.`,
      'not_torch',
    );
  }
  const inside = names.find((name) => /\.(ckpt|pt|pth|bin)$/i.test(name));
  if (inside !== undefined) {
    throw new TorchFileError(
      `${source.name}: is a zip archive that holds ${clip(inside)}. Unpack it and open that.`,
      'not_torch',
    );
  }
  if (
    names.some((name) => /^([^/]*\/)?model\.json$/.test(name)) &&
    names.some((name) => /(^|\/)tensors\/\d+$/.test(name))
  ) {
    throw new TorchFileError(
      `${source.name}: is a TorchScript archive of PyTorch before 1.4. Load and save it with a newer PyTorch.`,
      'unsupported',
    );
  }
  throw new TorchFileError(
    `${source.name}: is a zip archive, but has no data.pkl, which a PyTorch file has. Is it another file?`,
    'not_torch',
  );
}

async function checkByteOrder(source: ByteSource, archive: ZipArchive, entry: string): Promise<void> {
  if (!archive.sizes.has(entry)) return; // files of PyTorch before 2.1: little-endian
  const order = new TextDecoder().decode(await archive.readAll(entry, 64, false));
  if (order !== 'little') {
    throw new TorchFileError(
      `${source.name}: expected little-endian values, received "${clip(order)}". Save it on a little-endian machine.`,
      'unsupported',
      { entry },
    );
  }
}
