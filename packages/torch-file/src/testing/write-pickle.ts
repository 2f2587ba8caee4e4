import { PickleGlobal } from '../values';

/** A call that the pickle asks for: `global(*args)`. */
export class Call {
  constructor(
    readonly global: PickleGlobal,
    readonly args: readonly TestValue[],
  ) {}
}

export class PersistentId {
  constructor(readonly id: TestValue) {}
}

export type TestValue =
  | null
  | boolean
  | number
  | bigint
  | string
  | Uint8Array
  | PickleGlobal
  | Call
  | PersistentId
  | readonly TestValue[]
  | ReadonlyMap<TestValue, TestValue>
  | ReadonlySet<TestValue>;

/** A tensor as torch.save describes it. */
export function tensorCall(tensor: {
  readonly key: string;
  readonly storage?: string;
  readonly length: number | bigint;
  readonly offset?: number;
  readonly shape: readonly TestValue[];
  readonly strides: readonly TestValue[];
  readonly view?: readonly TestValue[] | null;
}): Call {
  const id = ['storage', new PickleGlobal('torch', tensor.storage ?? 'FloatStorage'), tensor.key, 'cpu', tensor.length];
  return new Call(new PickleGlobal('torch._utils', '_rebuild_tensor_v2'), [
    new PersistentId(tensor.view === undefined ? id : [...id, tensor.view]),
    tensor.offset ?? 0,
    tensor.shape,
    tensor.strides,
    false,
    new Call(new PickleGlobal('collections', 'OrderedDict'), []),
  ]);
}

/** The pickle of a value, in protocol 4. Parts that are there several times are written once. */
export function writePickle(value: TestValue): Uint8Array {
  const bytes: number[] = [0x80, 4];
  const memo = new Map<TestValue, number>();
  write(value);
  bytes.push(0x2e);
  return Uint8Array.from(bytes);

  function write(item: TestValue): void {
    const known = memo.get(item);
    if (known !== undefined) {
      bytes.push(0x6a, ...little(known, 4));
      return;
    }
    writeNew(item);
    if (typeof item === 'object' && item !== null) {
      memo.set(item, memo.size);
      bytes.push(0x94);
    }
  }

  function writeNew(item: TestValue): void {
    if (item === null) bytes.push(0x4e);
    else if (typeof item === 'boolean') bytes.push(item ? 0x88 : 0x89);
    else if (typeof item === 'bigint') writeLong(item);
    else if (typeof item === 'number') writeNumber(item);
    else if (typeof item === 'string') {
      const text = new TextEncoder().encode(item);
      if (text.length < 256) bytes.push(0x8c, text.length);
      else bytes.push(0x58, ...little(text.length, 4));
      for (const byte of text) bytes.push(byte);
    } else if (item instanceof Uint8Array) {
      bytes.push(0x42, ...little(item.length, 4));
      for (const byte of item) bytes.push(byte);
    } else if (item instanceof PickleGlobal) {
      bytes.push(0x63, ...new TextEncoder().encode(`${item.module}\n${item.name}\n`));
    } else if (item instanceof Call) {
      write(item.global);
      bytes.push(0x28);
      item.args.forEach(write);
      bytes.push(0x74, 0x52);
    } else if (item instanceof PersistentId) {
      write(item.id);
      bytes.push(0x51);
    } else if (item instanceof Map) {
      bytes.push(0x7d, 0x28);
      for (const [key, entry] of item as Map<TestValue, TestValue>) {
        write(key);
        write(entry);
      }
      bytes.push(0x75);
    } else if (item instanceof Set) {
      bytes.push(0x8f, 0x28);
      for (const entry of item as Set<TestValue>) write(entry);
      bytes.push(0x90);
    } else {
      bytes.push(0x5d, 0x28);
      (item as readonly TestValue[]).forEach(write);
      bytes.push(0x65);
    }
  }

  function writeNumber(number: number): void {
    if (!Number.isSafeInteger(number) || Object.is(number, -0)) {
      const view = new DataView(new ArrayBuffer(8));
      view.setFloat64(0, number, false);
      bytes.push(0x47, ...new Uint8Array(view.buffer));
    } else if (number >= 0 && number < 256) bytes.push(0x4b, number);
    else if (number >= 0 && number < 65536) bytes.push(0x4d, ...little(number, 2));
    else if (number === (number | 0)) bytes.push(0x4a, ...little(number >>> 0, 4));
    else writeLong(BigInt(number));
  }

  function writeLong(number: bigint): void {
    const content: number[] = [];
    let rest = number;
    do {
      content.push(Number(rest & 0xffn));
      rest >>= 8n;
    } while (rest !== 0n && rest !== -1n);
    if ((content.at(-1)! & 0x80) !== (rest === 0n ? 0 : 0x80)) content.push(rest === 0n ? 0 : 0xff);
    bytes.push(0x8b, ...little(content.length, 4), ...content);
  }
}

export function little(value: number, bytes: number): number[] {
  return Array.from({ length: bytes }, (_, i) => Math.floor(value / 2 ** (8 * i)) % 256);
}
