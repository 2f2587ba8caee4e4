import { clip } from './clip';
import { type Budget, kindOf, type PickleHost } from './pickle';
import { PickleGlobal, PickleObject, PickleStorage, PickleTensor, type PickleValue } from './values';

/** PyTorch's element type by the name of a typed storage's class. */
const STORAGES = new Map([
  ['DoubleStorage', 'float64'],
  ['FloatStorage', 'float32'],
  ['HalfStorage', 'float16'],
  ['BFloat16Storage', 'bfloat16'],
  ['LongStorage', 'int64'],
  ['IntStorage', 'int32'],
  ['ShortStorage', 'int16'],
  ['CharStorage', 'int8'],
  ['ByteStorage', 'uint8'],
  ['BoolStorage', 'bool'],
  ['ComplexFloatStorage', 'complex64'],
  ['ComplexDoubleStorage', 'complex128'],
  ['QInt8Storage', 'qint8'],
  ['QUInt8Storage', 'quint8'],
  ['QInt32Storage', 'qint32'],
  ['QUInt4x2Storage', 'quint4x2'],
  ['QUInt2x4Storage', 'quint2x4'],
  ['UntypedStorage', 'bytes'],
  ['_UntypedStorage', 'bytes'],
]);

const STORAGE_MODULES = new Set(['torch', 'torch.cuda', 'torch.storage']);

type Construct = (args: readonly PickleValue[], budget: Budget) => PickleValue | undefined;

/** More axes than any tensor of PyTorch has; bounds the work for a description. */
const MAX_RANK = 64;

const asList: Construct = (args) => (args.length === 0 ? [] : Array.isArray(args[0]) ? args[0] : undefined);
const asMap: Construct = (args, budget) => (args.length === 0 ? new Map() : toMap(args[0], budget));
const asSet: Construct = (args, budget) => {
  const [items = []] = args;
  if (!Array.isArray(items)) return undefined;
  budget.charge(256 + 32 * items.length);
  return new Set<PickleValue>(items);
};

/** The calls that are known, and what takes their place. All others are only recorded. */
const CONSTRUCTORS = new Map<string, Construct>([
  ['collections.OrderedDict', asMap],
  ['collections.defaultdict', (args) => (args.length <= 1 ? new Map() : undefined)], // its argument makes missing values
  ...['builtins', '__builtin__'].flatMap((module): [string, Construct][] => [
    [`${module}.dict`, asMap],
    [`${module}.list`, asList],
    [`${module}.tuple`, asList],
    [`${module}.set`, asSet],
    [`${module}.frozenset`, asSet],
    [`${module}.bytearray`, ([bytes]) => (bytes instanceof Uint8Array ? bytes : undefined)],
  ]),
  ['_codecs.encode', encodeLatin1], // bytes in protocol 2
  ...['copyreg', 'copy_reg'].map((module): [string, Construct] => [
    `${module}._reconstructor`,
    ([type]) => (type instanceof PickleGlobal ? new PickleObject(type.path, []) : undefined),
  ]),
  ['torch.Size', asList],
  ...['int', 'double', 'bool', 'tensor'].map((of): [string, Construct] => [
    `torch.jit._pickle.build_${of}list`,
    asList,
  ]),
  ['torch.jit._pickle.restore_type_tag', ([value]) => value],
  ['torch._utils._rebuild_tensor', strided],
  ['torch._utils._rebuild_tensor_v2', strided],
  ['torch._utils._rebuild_tensor_v3', strided],
  ['torch._utils._rebuild_parameter', ([data]) => (data instanceof PickleTensor ? data : undefined)],
  ['torch._utils._rebuild_parameter_with_state', ([data]) => (data instanceof PickleTensor ? data : undefined)],
  ['torch._tensor._rebuild_from_type_v2', fromType],
  ...(
    [
      ['_rebuild_sparse_tensor', 'it is sparse'],
      ['_rebuild_sparse_csr_tensor', 'it is sparse'],
      ['_rebuild_qtensor', 'it is quantised'],
      ['_rebuild_nested_tensor', 'it is nested'],
      ['_rebuild_meta_tensor_no_storage', 'it has no values (device "meta")'],
      ['_rebuild_wrapper_subclass', 'it is of a wrapper class'],
      ['_rebuild_device_tensor_from_numpy', 'it was pickled through NumPy'],
      ['_rebuild_device_tensor_from_cpu_tensor', 'it lies on a device of its own'],
      ['_rebuild_xla_tensor', 'it was pickled through NumPy'],
    ] as const
  ).map(([name, reason]): [string, Construct] => [
    `torch._utils.${name}`,
    () => new PickleTensor('unknown', [], [], 0, null, `${reason}. Save it as a plain tensor.`),
  ]),
]);

/** Knows the calls and storages of PyTorch files. */
export const torchHost: PickleHost = {
  construct: (global, args, budget) => CONSTRUCTORS.get(global.path)?.(args, budget),
  persistent(id) {
    // ('storage', class, key, location, length), in the legacy form with (view key, first element, length of the view) at the end
    if (!Array.isArray(id) || id[0] !== 'storage') return new PickleObject('persistent id', [id]);
    const [, type, key, , length, view] = id as readonly (PickleValue | undefined)[];
    if (!(type instanceof PickleGlobal) || typeof key !== 'string' || !isSize(length)) {
      return new PickleObject('persistent id', [id]);
    }
    const element = STORAGE_MODULES.has(type.module) ? STORAGES.get(type.name) : undefined;
    const offset = Array.isArray(view) ? (view as PickleValue[])[1] : 0;
    return new PickleStorage(key, element ?? type.path, length, isSize(offset) ? offset : -1);
  },
};

/** (storage, offset, shape, strides, …); version 3 has its element type after `requires_grad` and `backward_hooks`. */
function strided(args: readonly PickleValue[]): PickleValue | undefined {
  const [storage, offset, shape, strides, , , sixth, seventh] = args as readonly (PickleValue | undefined)[];
  const typed = sixth instanceof PickleGlobal && sixth.module === 'torch';
  const metadata = typed ? seventh : sixth;
  const element = typed ? sixth.name : storage instanceof PickleStorage ? storage.elementType : 'unknown';
  const broken = (what: string): PickleTensor => new PickleTensor(element, [], [], 0, null, undefined, what);
  if (!(storage instanceof PickleStorage)) return broken(`its storage is ${kindOf(storage)}`);
  if (!isSize(offset)) return broken(`its storage offset is ${numberOr(offset)}`);
  if (!isSizes(shape)) return broken('its shape is no list of sizes');
  if (!isSizes(strides)) return broken('its strides are no list of non-negative numbers');
  if (shape.length !== strides.length) return broken(`it has ${shape.length} axes but ${strides.length} strides`);
  const unsupported =
    metadata instanceof Map && (metadata.get('conj') === true || metadata.get('neg') === true)
      ? 'its values are conjugated or negated lazily. Save it after resolve_conj().resolve_neg().'
      : undefined;
  return new PickleTensor(element, [...shape], [...strides], offset, storage, unsupported);
}

/** (function, class, arguments, state) of a tensor with a class or attributes of its own. */
function fromType(args: readonly PickleValue[], budget: Budget): PickleValue | undefined {
  const [callee, , inner] = args;
  if (!(callee instanceof PickleGlobal) || !callee.path.startsWith('torch._utils._rebuild_') || !Array.isArray(inner)) {
    return undefined;
  }
  return CONSTRUCTORS.get(callee.path)?.(inner as PickleValue[], budget);
}

function toMap(value: PickleValue | undefined, budget: Budget): Map<PickleValue, PickleValue> | undefined {
  if (!(Array.isArray(value) || value instanceof Map)) return undefined;
  budget.charge(256 + 64 * (value instanceof Map ? value.size : value.length));
  const map = new Map<PickleValue, PickleValue>();
  for (const pair of value as Iterable<PickleValue>) {
    if (!Array.isArray(pair) || pair.length !== 2) return undefined;
    map.set(pair[0], pair[1]);
  }
  return map;
}

function encodeLatin1(args: readonly PickleValue[], budget: Budget): Uint8Array | undefined {
  const [text, encoding] = args;
  if (typeof text !== 'string' || (encoding !== 'latin1' && encoding !== 'latin-1')) return undefined;
  budget.charge(text.length);
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code > 0xff) return undefined;
    bytes[i] = code;
  }
  return bytes;
}

function isSize(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

function isSizes(value: unknown): value is readonly number[] {
  return Array.isArray(value) && value.length <= MAX_RANK && value.every(isSize);
}

function numberOr(value: PickleValue | undefined): string {
  return typeof value === 'number' || typeof value === 'bigint' ? clip(String(value)) : kindOf(value);
}
