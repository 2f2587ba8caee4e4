import { clip } from './clip';
import { TorchFileError } from './errors';
import { PickleGlobal, PickleObject, PickleStorage, PickleTensor, type PickleValue } from './values';

/** What the pickle leaves to others. */
export type PickleHost = {
  /** The value of a call of `global`, or undefined if it is not one of those known: then it is only recorded. */
  construct(global: PickleGlobal, args: readonly PickleValue[], budget: Budget): PickleValue | undefined;
  /** What a persistent id stands for. */
  persistent(id: PickleValue): PickleValue;
};

/** Counts what the values of a pickle take, so that a small file cannot demand a large memory. */
export class Budget {
  private spent = 0;
  constructor(
    private readonly file: string,
    private readonly limit: number,
  ) {}

  /** @throws TorchFileError `too_large` once all charges together are beyond the limit. */
  charge(bytes: number): void {
    this.spent += bytes;
    if (this.spent > this.limit) {
      throw new TorchFileError(
        `${this.file}: its pickle makes values of more than maxValueBytes = ${this.limit} bytes. ` +
          'Weights make few; raise the limit if you trust the file.',
        'too_large',
      );
    }
  }
}

/** The bytes end within a pickle. `needed` is up to where they are needed at least. */
export class PickleEnd extends Error {
  constructor(readonly needed: number) {
    super(`pickle: expected at least ${needed} bytes`);
  }
}

// Estimates of what V8 takes, for the budget.
const COST = { opcode: 8, slot: 16, list: 64, map: 256, set: 256, object: 640, global: 160, memo: 48, text: 40 };

/** Python's own limit for the digits of an integer written as text; more cost quadratic time. */
const MAX_DIGITS = 4300;

const UTF8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

type Mutable = PickleValue[];

/**
 * Interprets pickles (protocols 0 to 5) without running code: a global is a name, a call of one that the host does not know is
 * recorded as a `PickleObject`. Pickles may follow each other in the bytes; each `load` takes the next.
 *
 * @see https://github.com/python/cpython/blob/main/Lib/pickletools.py for the opcodes.
 */
export class PickleReader {
  position = 0;
  private readonly view: DataView;
  private stack: Mutable = [];
  private marks: number[] = [];
  private memo = new Map<number, PickleValue>();
  private readonly globals = new Map<string, PickleGlobal>();

  constructor(
    /** For messages: file, or file and entry. */
    private readonly where: string,
    private readonly bytes: Uint8Array,
    private readonly host: PickleHost,
    private readonly budget: Budget,
  ) {
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  /**
   * The next value.
   *
   * @throws PickleEnd if the bytes end too early; TorchFileError `pickle` if they are no valid pickle, `too_large` beyond the
   *   budget, `unsupported` for out-of-band buffers.
   */
  load(): PickleValue {
    this.stack = [];
    this.marks = [];
    this.memo = new Map();
    for (;;) {
      const opcode = this.u8();
      this.budget.charge(COST.opcode);
      if (opcode === 0x2e) return this.pop(); // STOP
      this.step(opcode);
    }
  }

  private step(opcode: number): void {
    switch (opcode) {
      case 0x80: {
        // PROTO
        const protocol = this.u8();
        if (protocol > 5) throw this.error(`pickle protocol ${protocol}, expected 0 to 5`);
        return;
      }
      case 0x95: // FRAME: only a hint for buffering
        this.take(8);
        return;

      case 0x28: // MARK
        this.marks.push(this.stack.length);
        return;
      case 0x30: // POP
        if (this.stack.length === this.fence() && this.marks.length > 0) this.marks.pop();
        else this.pop();
        return;
      case 0x31: // POP_MARK
        this.popMark();
        return;
      case 0x32: // DUP
        this.stack.push(this.top());
        return;

      case 0x4e: // NONE
        this.stack.push(null);
        return;
      case 0x88: // NEWTRUE
        this.stack.push(true);
        return;
      case 0x89: // NEWFALSE
        this.stack.push(false);
        return;
      case 0x49: {
        // INT, also booleans
        const text = this.line();
        this.stack.push(text === '00' ? false : text === '01' ? true : this.decimal(text));
        return;
      }
      case 0x4c: // LONG
        this.stack.push(this.decimal(this.line().replace(/L$/, '')));
        return;
      case 0x4a: // BININT
        this.stack.push(this.view.getInt32(this.take(4), true));
        return;
      case 0x4b: // BININT1
        this.stack.push(this.u8());
        return;
      case 0x4d: // BININT2
        this.stack.push(this.u16());
        return;
      case 0x8a: // LONG1
        this.stack.push(this.long(this.u8()));
        return;
      case 0x8b: // LONG4
        this.stack.push(this.long(this.u32()));
        return;
      case 0x46: // FLOAT
        this.stack.push(this.float(this.line()));
        return;
      case 0x47: // BINFLOAT
        this.stack.push(this.view.getFloat64(this.take(8), false));
        return;

      case 0x53: // STRING
        this.pushText(this.unquote(this.line()));
        return;
      case 0x56: // UNICODE
        this.pushText(rawUnicode(this.line()));
        return;
      case 0x55: // SHORT_BINSTRING
        this.pushText(latin1(this.raw(this.u8())));
        return;
      case 0x54: // BINSTRING
        this.pushText(latin1(this.raw(this.u32())));
        return;
      case 0x8c: // SHORT_BINUNICODE
        this.pushText(this.utf8(this.u8()));
        return;
      case 0x58: // BINUNICODE
        this.pushText(this.utf8(this.u32()));
        return;
      case 0x8d: // BINUNICODE8
        this.pushText(this.utf8(this.u64()));
        return;
      case 0x43: // SHORT_BINBYTES
        this.pushBytes(this.u8());
        return;
      case 0x42: // BINBYTES
        this.pushBytes(this.u32());
        return;
      case 0x8e: // BINBYTES8
      case 0x96: // BYTEARRAY8
        this.pushBytes(this.u64());
        return;

      case 0x5d: // EMPTY_LIST
      case 0x29: // EMPTY_TUPLE
        this.pushList([]);
        return;
      case 0x6c: // LIST
      case 0x74: // TUPLE
        this.pushList(this.popMark());
        return;
      case 0x85: // TUPLE1
      case 0x86: // TUPLE2
      case 0x87: // TUPLE3
        this.pushList(this.popSome(opcode - 0x84));
        return;
      case 0x61: // APPEND
        this.append(this.popSome(1));
        return;
      case 0x65: // APPENDS
        this.append(this.popMark());
        return;
      case 0x7d: // EMPTY_DICT
        this.pushMap([]);
        return;
      case 0x64: // DICT
        this.pushMap(this.popMark());
        return;
      case 0x73: // SETITEM
        this.setItems(this.popSome(2));
        return;
      case 0x75: // SETITEMS
        this.setItems(this.popMark());
        return;
      case 0x8f: // EMPTY_SET
        this.pushSet([]);
        return;
      case 0x91: // FROZENSET
        this.pushSet(this.popMark());
        return;
      case 0x90: // ADDITEMS
        this.addItems(this.popMark());
        return;

      case 0x70: // PUT
        this.put(this.index(this.line()));
        return;
      case 0x71: // BINPUT
        this.put(this.u8());
        return;
      case 0x72: // LONG_BINPUT
        this.put(this.u32());
        return;
      case 0x94: // MEMOIZE
        this.put(this.memo.size);
        return;
      case 0x67: // GET
        this.get(this.index(this.line()));
        return;
      case 0x68: // BINGET
        this.get(this.u8());
        return;
      case 0x6a: // LONG_BINGET
        this.get(this.u32());
        return;

      case 0x63: // GLOBAL
        this.stack.push(this.global(this.line(), this.line()));
        return;
      case 0x93: {
        // STACK_GLOBAL
        const [module, name] = this.popSome(2);
        if (typeof module !== 'string' || typeof name !== 'string') {
          throw this.error(`a global named by ${kindOf(module)} and ${kindOf(name)}, expected two strings`);
        }
        this.stack.push(this.global(module, name));
        return;
      }
      case 0x82: // EXT1
        this.stack.push(this.global('copyreg.extension', String(this.u8())));
        return;
      case 0x83: // EXT2
        this.stack.push(this.global('copyreg.extension', String(this.u16())));
        return;
      case 0x84: // EXT4
        this.stack.push(this.global('copyreg.extension', String(this.u32())));
        return;
      case 0x52: // REDUCE
      case 0x81: {
        // NEWOBJ
        const [callee, args] = this.popSome(2);
        this.call(callee, args);
        return;
      }
      case 0x92: {
        // NEWOBJ_EX
        const [callee, args, kwargs] = this.popSome(3);
        this.call(callee, args, kwargs);
        return;
      }
      case 0x69: {
        // INST
        const callee = this.global(this.line(), this.line());
        this.call(callee, this.popMark());
        return;
      }
      case 0x6f: {
        // OBJ
        const [callee, ...args] = this.popMark();
        this.call(callee, args);
        return;
      }
      case 0x62: // BUILD
        this.build(this.popSome(1)[0]!);
        return;
      case 0x50: // PERSID
        this.stack.push(this.host.persistent(this.line()));
        return;
      case 0x51: // BINPERSID
        this.budget.charge(COST.global);
        this.stack.push(this.host.persistent(this.pop()));
        return;

      case 0x97: // NEXT_BUFFER
      case 0x98: // READONLY_BUFFER
        throw new TorchFileError(
          `${this.where}: the pickle keeps data in buffers outside, which torch.save does not.`,
          'unsupported',
        );
      default:
        throw this.error(`unknown opcode 0x${opcode.toString(16).padStart(2, '0')}`);
    }
  }

  // Bytes

  /** Where the next `length` bytes are, which are then taken. */
  private take(length: number): number {
    const start = this.position;
    if (start + length > this.bytes.length) throw new PickleEnd(start + length);
    this.position = start + length;
    return start;
  }

  private u8(): number {
    return this.bytes[this.take(1)]!;
  }

  private u16(): number {
    return this.view.getUint16(this.take(2), true);
  }

  private u32(): number {
    return this.view.getUint32(this.take(4), true);
  }

  private u64(): number {
    return Number(this.view.getBigUint64(this.take(8), true)); // rounded beyond 2^53, where no file reaches
  }

  private raw(length: number): Uint8Array {
    const start = this.take(length);
    this.budget.charge(COST.text + 2 * length);
    return this.bytes.subarray(start, start + length);
  }

  private line(): string {
    const end = this.bytes.indexOf(0x0a, this.position);
    if (end < 0) throw new PickleEnd(this.bytes.length + 1);
    const text = latin1(this.raw(end - this.position));
    this.position = end + 1;
    return text;
  }

  private utf8(length: number): string {
    const bytes = this.raw(length);
    try {
      return UTF8.decode(bytes);
    } catch (cause) {
      throw this.error('a text that is not UTF-8', cause);
    }
  }

  private long(length: number): number | bigint {
    if (length > MAX_DIGITS) throw this.error(`an integer of ${length} bytes, expected at most ${MAX_DIGITS}`);
    const bytes = this.raw(length);
    if (length === 0) return 0;
    let hex = '0x';
    for (let i = length - 1; i >= 0; i--) hex += bytes[i]!.toString(16).padStart(2, '0');
    const value = BigInt.asIntN(8 * length, BigInt(hex));
    return narrow(value);
  }

  private decimal(text: string): number | bigint {
    if (!/^[+-]?\d+$/.test(text) || text.length > MAX_DIGITS)
      throw this.error(`"${clip(text)}" where an integer should be`);
    const value = Number(text);
    return Number.isSafeInteger(value) ? value : narrow(BigInt(text.replace(/^\+/, '')));
  }

  private float(text: string): number {
    const special = /^([+-]?)(inf|nan)$/i.exec(text);
    if (special) return special[2]!.toLowerCase() === 'nan' ? NaN : special[1] === '-' ? -Infinity : Infinity;
    if (!/^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(text))
      throw this.error(`"${clip(text)}" where a number should be`);
    return Number(text);
  }

  private index(text: string): number {
    if (!/^\d{1,15}$/.test(text)) throw this.error(`"${clip(text)}" where a memo's number should be`);
    return Number(text);
  }

  private unquote(text: string): string {
    const quote = text[0];
    if (text.length < 2 || (quote !== '"' && quote !== "'") || text.at(-1) !== quote) {
      throw this.error('a string without quotes');
    }
    return text.slice(1, -1).replace(/\\(x[0-9a-fA-F]{2}|.)/g, (_, escape: string) => {
      if (escape.length === 3) return String.fromCharCode(parseInt(escape.slice(1), 16));
      return ESCAPES.get(escape) ?? `\\${escape}`;
    });
  }

  // Stack and memo

  private fence(): number {
    return this.marks.at(-1) ?? 0;
  }

  private top(): PickleValue {
    if (this.stack.length <= this.fence()) throw this.error('a value is missing on its stack');
    return this.stack.at(-1)!;
  }

  private pop(): PickleValue {
    const value = this.top();
    this.stack.pop();
    return value;
  }

  private popSome(count: number): Mutable {
    if (this.stack.length - count < this.fence()) throw this.error('a value is missing on its stack');
    return this.stack.splice(this.stack.length - count, count);
  }

  private popMark(): Mutable {
    const mark = this.marks.pop();
    if (mark === undefined) throw this.error('a mark is missing on its stack');
    return this.stack.splice(mark);
  }

  private put(index: number): void {
    this.budget.charge(COST.memo);
    this.memo.set(index, this.top());
  }

  private get(index: number): void {
    const value = this.memo.get(index);
    if (value === undefined) throw this.error(`memo ${index} is asked for, but was never filled`);
    this.stack.push(value);
  }

  // Values

  private pushText(text: string): void {
    this.stack.push(text);
  }

  private pushBytes(length: number): void {
    this.stack.push(new Uint8Array(this.raw(length)));
  }

  private pushList(items: Mutable): void {
    this.budget.charge(COST.list + COST.slot * items.length);
    this.stack.push(items);
  }

  private pushMap(pairs: Mutable): void {
    this.budget.charge(COST.map);
    const map = new Map<PickleValue, PickleValue>();
    this.stack.push(map);
    this.setItems(pairs);
  }

  private pushSet(items: Mutable): void {
    this.budget.charge(COST.set);
    this.stack.push(new Set<PickleValue>());
    this.addItems(items);
  }

  private append(items: Mutable): void {
    const target = this.top();
    const list = target instanceof PickleObject ? target.items : target;
    if (!Array.isArray(list)) throw this.error(`items for ${kindOf(target)}, expected a list`);
    this.budget.charge(COST.slot * items.length);
    for (const item of items) list.push(item);
  }

  private setItems(pairs: Mutable): void {
    const target = this.top();
    const map = target instanceof PickleObject ? target.entries : target;
    if (!(map instanceof Map)) throw this.error(`entries for ${kindOf(target)}, expected a dict`);
    if (pairs.length % 2 !== 0) throw this.error('a key without a value');
    this.budget.charge(2 * COST.slot * pairs.length);
    for (let i = 0; i < pairs.length; i += 2) map.set(pairs[i], pairs[i + 1]);
  }

  private addItems(items: Mutable): void {
    const target = this.top();
    this.budget.charge(2 * COST.slot * items.length);
    if (target instanceof Set) for (const item of items) target.add(item);
    else if (target instanceof PickleObject) for (const item of items) target.items.push(item);
    else throw this.error(`items for ${kindOf(target)}, expected a set`);
  }

  private global(module: string, name: string): PickleGlobal {
    const key = `${module}\n${name}`;
    let global = this.globals.get(key);
    if (!global) {
      this.budget.charge(COST.global + 4 * key.length);
      global = new PickleGlobal(module, name);
      this.globals.set(key, global);
    }
    return global;
  }

  private call(callee: PickleValue | undefined, args: PickleValue | undefined, kwargs?: PickleValue): void {
    if (!Array.isArray(args)) throw this.error(`a call with ${kindOf(args)}, expected a tuple of arguments`);
    this.budget.charge(COST.object);
    if (callee instanceof PickleGlobal) {
      const known = kwargs === undefined ? this.host.construct(callee, args, this.budget) : undefined;
      this.stack.push(known ?? new PickleObject(callee.path, args, kwargs));
    } else if (callee instanceof PickleObject) {
      this.stack.push(new PickleObject(callee.global, args, kwargs)); // what a factory made is called
    } else throw this.error(`a call of ${kindOf(callee)}, expected a class or function`);
  }

  private build(state: PickleValue): void {
    const target = this.top();
    if (target instanceof PickleObject) target.state = state;
    // Attributes of a dict (`_metadata` of a state dict), a class or a tensor tell nothing about weights.
    else if (!(target instanceof Map || target instanceof PickleGlobal || target instanceof PickleTensor)) {
      throw this.error(`a state for ${kindOf(target)}, expected an object`);
    }
  }

  private error(what: string, cause?: unknown): TorchFileError {
    return new TorchFileError(
      `${this.where}: damaged pickle near byte ${this.position}: ${what}. Is the file whole?`,
      'pickle',
      { cause },
    );
  }
}

const ESCAPES = new Map([
  ['\\', '\\'],
  ["'", "'"],
  ['"', '"'],
  ['n', '\n'],
  ['r', '\r'],
  ['t', '\t'],
]);

function rawUnicode(text: string): string {
  return text.replace(/\\u([0-9a-fA-F]{4})|\\U([0-9a-fA-F]{8})/g, (whole, short?: string, long?: string) => {
    const code = parseInt((short ?? long)!, 16);
    return code <= 0x10ffff ? String.fromCodePoint(code) : whole;
  });
}

/** Bytes as characters of the same number. (TextDecoder's latin1 is another encoding.) */
function latin1(bytes: Uint8Array): string {
  let text = '';
  for (let i = 0; i < bytes.length; i += 4096) text += String.fromCharCode(...bytes.subarray(i, i + 4096));
  return text;
}

function narrow(value: bigint): number | bigint {
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : value;
}

/** What a value is, for messages. */
export function kindOf(value: PickleValue | undefined): string {
  if (value === null) return 'None';
  if (value === undefined) return 'nothing';
  if (Array.isArray(value)) return 'a list';
  if (value instanceof Map) return 'a dict';
  if (value instanceof Set) return 'a set';
  if (value instanceof Uint8Array) return 'bytes';
  if (value instanceof PickleGlobal) return `the global ${clip(value.path)}`;
  if (value instanceof PickleObject) return `a ${clip(value.global)}`;
  if (value instanceof PickleTensor) return 'a tensor';
  if (value instanceof PickleStorage) return 'a storage';
  return `a ${typeof value}`;
}
