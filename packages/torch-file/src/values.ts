/**
 * A value of a pickle. Numbers are `number`, integers beyond ±(2^53 - 1) `bigint`; lists and tuples are arrays; dicts of any kind
 * are `Map`s, so that no key can reach a prototype. Values may share parts and contain themselves: walk them with care.
 */
export type PickleValue =
  | null
  | boolean
  | number
  | bigint
  | string
  | Uint8Array
  | PickleGlobal
  | PickleObject
  | PickleTensor
  | PickleStorage
  | readonly PickleValue[]
  | ReadonlyMap<PickleValue, PickleValue>
  | ReadonlySet<PickleValue>;

/** The name of a Python class or function. It stays a name: nothing is looked up, imported or called. */
export class PickleGlobal {
  /** Such as `collections.Counter`. */
  readonly path: string;
  constructor(
    readonly module: string,
    readonly name: string,
  ) {
    this.path = `${module}.${name}`;
  }
}

/** What Python would make by calling something that is not known here. Recorded, not called. */
export class PickleObject {
  /** What was pickled as its state (`__dict__` as a rule). */
  state: PickleValue | undefined = undefined;
  /** Items of a list-like object. */
  readonly items: PickleValue[] = [];
  /** Entries of a dict-like object. */
  readonly entries = new Map<PickleValue, PickleValue>();
  constructor(
    /** Name of the class or function, such as `__main__.Config`. */
    readonly global: string,
    readonly args: PickleValue,
    readonly kwargs?: PickleValue,
  ) {}
}

/** Where the values of tensors lie. */
export class PickleStorage {
  constructor(
    /** Name in the file. */
    readonly key: string,
    /** PyTorch's element type, such as `float32`; `bytes` if the storage has none. */
    readonly elementType: string,
    /** How many elements of that type it should hold. */
    readonly length: number,
    /** Its first element in the file's storage of that name: views of the legacy form. */
    readonly offset: number = 0,
  ) {}
}

/** A tensor by its place; its values are not loaded. `openTorchFile(…, { root })` reads those of a map. */
export class PickleTensor {
  constructor(
    /** PyTorch's word for its type: `float32`, `complex64`, … */
    readonly elementType: string,
    readonly shape: readonly number[],
    /** In elements, one per axis. */
    readonly strides: readonly number[],
    /** First element in the storage. */
    readonly offset: number,
    readonly storage: PickleStorage | null,
    /** Why it can't be read: sparse, quantised, … */
    readonly unsupported?: string,
    /** Why its description can't be right. */
    readonly broken?: string,
  ) {}
}
