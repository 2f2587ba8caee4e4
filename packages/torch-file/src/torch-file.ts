import { type ByteSource } from './byte-source';
import { clip } from './clip';
import { elementTypeOf } from './dtypes';
import { TorchFileError } from './errors';
import { sniffForm } from './file-kind';
import { type OpenForm } from './form';
import { openLegacyForm } from './legacy-form';
import { DEFAULT_LIMITS, type Limits } from './limits';
import { findRoot, tensorsOf } from './root';
import { elementCount, readStrided, storageEnd, type StridedLayout } from './strided';
import { type PickleStorage, type PickleTensor, type PickleValue } from './values';
import { openZipForm } from './zip-form';

/** Element types, in the words of safetensors. */
export type TorchDtype = 'F64' | 'F32' | 'F16' | 'BF16' | 'I64' | 'I32' | 'I16' | 'I8' | 'U8' | 'BOOL';

export type TorchTensorInfo = { readonly dtype: TorchDtype; readonly shape: readonly number[] };

export type OpenTorchFileOptions = Partial<Limits> & {
  /**
   * Where the tensors are: a key of the top value, or a path of keys and positions, `[]` for the top value itself. Left out:
   * `state_dict` if the top value is a dict that has one, else the top value.
   */
  readonly root?: string | readonly (string | number)[];
  /** Whether a wrong checksum is an error, of the pickle and of tensors that fill their storage. True; PyTorch can save without. */
  readonly checkCrc?: boolean;
};

/** An open PyTorch file, of which one tensor at a time is read. */
export type TorchFile = {
  /** For messages: path or URL of the file. */
  readonly name: string;
  /** `zip`: torch.save since 1.6. `torchscript`: torch.jit.save. `legacy`: torch.save before 1.6. */
  readonly form: 'zip' | 'torchscript' | 'legacy';
  /** Where `tensors` were found in `entries`. */
  readonly root: readonly (string | number)[];
  /** The tensors of the root by name. */
  readonly tensors: ReadonlyMap<string, TorchTensorInfo>;
  /** Tensors of the root of a kind that is not read (sparse, quantised, complex, …), and why. */
  readonly unsupported: ReadonlyMap<string, string>;
  /** All that was pickled. Of a checkpoint a `Map` with `epoch`, `state_dict` and the like; tensors without their values. */
  readonly entries: PickleValue;
  /**
   * Bytes of one tensor in its own type: contiguous, row-major, little-endian. The caller owns them.
   *
   * @throws TorchFileError `unknown_tensor`, `unsupported`, `truncated`, `archive`, `too_large`, `read`, `closed`; with `tensor`.
   */
  read(tensor: string): Promise<Uint8Array>;
  /** Lets go of the file; twice without harm. */
  close(): Promise<void>;
};

type Located = StridedLayout & {
  readonly dtype: TorchDtype;
  readonly storage: PickleStorage;
  readonly storageStart: number;
};

/**
 * Opens a PyTorch file and lists its tensors, without running any of its code. Their values stay in the file.
 *
 * @param source The file; closed by `close()`, or at once if this throws.
 * @throws TorchFileError if it is no such file, damaged, beyond a limit, or holds no tensors at the root.
 * @see https://github.com/pytorch/pytorch/blob/main/torch/serialization.py
 */
export async function openTorchFile(source: ByteSource, options: OpenTorchFileOptions = {}): Promise<TorchFile> {
  try {
    const { root: asked, checkCrc = true, ...limits } = options;
    const bounds = { ...DEFAULT_LIMITS, ...limits };
    const form =
      (await sniffForm(source)) === 'zip'
        ? await openZipForm(source, bounds, checkCrc)
        : await openLegacyForm(source, bounds);
    return listTensors(source, form, asked, bounds);
  } catch (error) {
    await source.close?.().catch(() => undefined); // the first error tells more
    throw error;
  }
}

function listTensors(
  source: ByteSource,
  form: OpenForm,
  asked: OpenTorchFileOptions['root'],
  limits: Limits,
): TorchFile {
  const { path, value } = findRoot(source.name, form.entries, asked);
  const located = new Map<string, Located>();
  const unsupported = new Map<string, string>();
  for (const [name, tensor] of tensorsOf(source.name, path, value, form.entries)) {
    const result = locate(source.name, form, name, tensor);
    if (typeof result === 'string') unsupported.set(name, result);
    else located.set(name, result);
  }
  let isClosed = false;
  return {
    name: source.name,
    form: form.form,
    root: path,
    entries: form.entries,
    tensors: new Map([...located].map(([name, { dtype, shape }]) => [name, { dtype, shape }])),
    unsupported,
    async read(name) {
      const tensor = located.get(name);
      if (isClosed) {
        throw new TorchFileError(`${source.name}: read "${clip(name)}" after close().`, 'closed', { tensor: name });
      }
      if (!tensor) throw missing(source.name, name, unsupported.get(name), path);
      const { storage, storageStart, elementBytes, shape, strides, offset } = tensor;
      try {
        return await readStrided(
          { shape, strides, offset, elementBytes },
          (at, length) => form.readStorage(storage, storageStart + at, length),
          limits.maxRepeatedBytes,
        );
      } catch (error) {
        throw ofTensor(source.name, name, error);
      }
    },
    async close() {
      if (isClosed) return;
      isClosed = true;
      await source.close?.();
    },
  };
}

/** Checks what the pickle says of a tensor against its storage. A text says why it is not read. */
function locate(file: string, form: OpenForm, name: string, tensor: PickleTensor): Located | string {
  const { shape, strides, offset, storage, elementType } = tensor;
  const wrong = (what: string): TorchFileError =>
    new TorchFileError(`${file}: tensor "${clip(name)}" cannot be right: ${what}. Is the file damaged?`, 'tensor', {
      tensor: name,
    });
  if (tensor.broken !== undefined) throw wrong(tensor.broken);
  if (tensor.unsupported !== undefined || !storage) return tensor.unsupported ?? 'it has no storage';
  const { bytes: elementBytes, dtype } = elementTypeOf(elementType) ?? {};
  const storageElement = elementTypeOf(storage.elementType);
  if (elementBytes === undefined || dtype === undefined || !storageElement) {
    return `its type is ${clip(elementType)}. Save it as another type, such as float32.`;
  }
  const layout = { shape, strides, offset, elementBytes };
  const count = elementCount(shape);
  if (!Number.isSafeInteger(count * elementBytes)) throw wrong(`it has ${count} elements`);
  const storageStart = storage.offset * storageElement.bytes;
  if (count > 0) {
    const there = form.storageBytes(storage);
    const declared = storage.length * storageElement.bytes;
    if (there === undefined) throw wrong(`its storage ${clip(storage.key)} is missing`);
    if (there < declared || storage.offset < 0) {
      throw wrong(`its storage ${clip(storage.key)} should have ${declared} bytes, but has ${there}`);
    }
    const end = storageStart + storageEnd(layout) * elementBytes;
    if (end > declared) {
      throw wrong(
        `shape [${clip(shape.join(', '))}] with strides [${clip(strides.join(', '))}] reaches to byte ${end} of its storage, which has ${declared}`,
      );
    }
  }
  return { ...layout, dtype, storage, storageStart };
}

function missing(
  file: string,
  name: string,
  why: string | undefined,
  path: readonly (string | number)[],
): TorchFileError {
  if (why !== undefined) {
    return new TorchFileError(`${file}: tensor "${clip(name)}" is not read: ${why}`, 'unsupported', { tensor: name });
  }
  const where = path.length === 0 ? 'its top value' : path.map((key) => clip(String(key))).join(' → ');
  return new TorchFileError(`${file}: has no tensor "${clip(name)}" in ${where}; see tensors.`, 'unknown_tensor', {
    tensor: name,
  });
}

function ofTensor(file: string, name: string, error: unknown): TorchFileError {
  if (error instanceof TorchFileError) {
    const { message, code, entry } = error;
    const text = message.startsWith(`${file}: `) ? message.slice(file.length + 2) : message;
    const details = { tensor: name, cause: error, ...(entry === undefined ? {} : { entry }) };
    return new TorchFileError(`${file}: tensor "${clip(name)}": ${text}`, code, details);
  }
  if (error instanceof RangeError) {
    return new TorchFileError(`${file}: tensor "${clip(name)}": there is no memory for it.`, 'too_large', {
      tensor: name,
      cause: error,
    });
  }
  throw error;
}
