import { readFileSync } from 'node:fs';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { TorchFileError } from './errors';
import { Budget, PickleEnd, PickleReader } from './pickle';
import { little, type TestValue, writePickle } from './testing/write-pickle';
import { torchHost } from './torch-globals';
import { PickleGlobal, PickleObject, type PickleValue } from './values';

const MIB = 1024 * 1024;

function load(bytes: Uint8Array | readonly (number | string)[], limit = 64 * MIB): PickleValue {
  const flat = bytes instanceof Uint8Array ? bytes : assemble(bytes);
  return new PickleReader('f', flat, torchHost, new Budget('f', limit)).load();
}

/** Opcodes as numbers, texts as their bytes. */
function assemble(parts: readonly (number | string)[]): Uint8Array {
  return Uint8Array.from(
    parts.flatMap((part) => (typeof part === 'number' ? [part] : [...Buffer.from(part, 'latin1')])),
  );
}

describe('PickleReader', () => {
  const { pickles } = JSON.parse(readFileSync(new URL('../fixtures/golden.json', import.meta.url), 'utf8')) as {
    pickles: string[];
  };

  it.each(pickles.map((pickle, protocol) => ({ protocol, pickle })))(
    'reads what Python writes in protocol $protocol',
    ({ pickle }) => {
      const value = load(Uint8Array.from(Buffer.from(pickle, 'base64'))) as PickleValue[];
      const namespace = value.at(-2) as PickleObject;
      expect(namespace.global).toBe('argparse.Namespace');
      expect(namespace.state).toEqual(new Map([['a', 1]]));
      expect(value.slice(0, -2)).toEqual([
        1,
        2 ** 31,
        -(2 ** 31) - 1,
        2n ** 63n,
        -(2n ** 100n),
        0.1,
        Infinity,
        -0,
        "text \n 'ü€😀",
        true,
        false,
        null,
        Uint8Array.from([0, 255]),
        [],
        [1],
        [1, 2],
        [1, 2, 3],
        [1, 2, 3, 4],
        [],
        new Map(),
        new Map([['a', [1, new Map([[2, 'b']])]]]),
        new Set(['x', 1]),
        new Set([3]),
        Uint8Array.from([97, 98]),
        new PickleGlobal('__main__', 'ModelCheckpoint'),
        new Map([['a', 1]]),
        new Map([['a', 1]]),
        [2, 3],
      ]);
      expect(value.at(-1)).toBe(value[15]);
    },
  );

  it('reads back any tree of values', () => {
    const leaf = fc.oneof(
      fc.constant(null),
      fc.boolean(),
      fc.integer(),
      fc.maxSafeInteger(),
      fc.double({ noNaN: true }),
      fc.string({ unit: 'binary' }),
      fc.bigInt({ min: 2n ** 53n, max: 2n ** 300n }),
      fc.bigInt({ min: -(2n ** 300n), max: -(2n ** 53n) }),
      fc.uint8Array(),
    );
    const { tree } = fc.letrec<{ tree: TestValue }>((tie) => ({
      tree: fc.oneof(
        { maxDepth: 5, withCrossShrink: true },
        leaf,
        fc.array(tie('tree'), { maxLength: 5 }),
        fc
          .array(fc.tuple(fc.oneof(fc.string(), fc.integer()), tie('tree')), { maxLength: 5 })
          .map((pairs) => new Map(pairs)),
        fc.array(fc.oneof(fc.string(), fc.integer()), { maxLength: 5 }).map((items) => new Set(items)),
      ),
    }));
    fc.assert(
      fc.property(tree, (value) => {
        expect(load(writePickle(value))).toEqual(value);
      }),
      { numRuns: 200 },
    );
  });

  it('keeps sharing and cycles', () => {
    const list = load([']', 'q', 0, '(', 'K', 1, 'h', 0, 'e', '.']) as PickleValue[];
    expect(list[0]).toBe(1);
    expect(list[1]).toBe(list);
  });

  it('takes dict keys for keys, not for properties', () => {
    const map = load(
      writePickle(
        new Map<TestValue, TestValue>([
          ['__proto__', new Map([['polluted', true]])],
          ['constructor', 1],
        ]),
      ),
    );
    expect([...(map as Map<string, unknown>).keys()]).toEqual(['__proto__', 'constructor']);
    expect(({} as Record<string, unknown>).polluted).toBeUndefined();
  });

  it('records what it does not know: class, arguments, keywords, state, items and entries', () => {
    const parts = [
      'c',
      'a.b\nC\n',
      ')',
      '}',
      0x92,
      '}',
      '(',
      'K',
      1,
      'K',
      2,
      'u',
      'b',
      '(',
      'K',
      3,
      'e',
      '(',
      'K',
      4,
      'K',
      5,
      'u',
      '.',
    ];
    const object = load(parts) as PickleObject;
    expect(object).toBeInstanceOf(PickleObject);
    expect(object.global).toBe('a.b.C');
    expect([object.args, object.kwargs, object.state]).toEqual([[], new Map(), new Map([[1, 2]])]);
    expect([object.items, object.entries]).toEqual([[3], new Map([[4, 5]])]);
    for (const call of [
      ['(', 'K', 7, 'i', 'os\nsystem\n'],
      ['(', 'c', 'os\nsystem\n', 'K', 7, 'o'],
      ['c', 'os\nsystem\n', 'K', 7, 0x85, 0x81],
    ]) {
      const made = load([...call, '.']) as PickleObject;
      expect([made.global, made.args]).toEqual(['os.system', [7]]);
    }
    expect((load(['c', 'os\nsystem\n', ')', 'R', ')', 'R', '.']) as PickleObject).global).toBe('os.system');
  });

  it.each([
    ['an unknown opcode', [0xff], 'unknown opcode 0xff'],
    ['a newer protocol', [0x80, 6], 'pickle protocol 6, expected 0 to 5'],
    ['an empty stack', ['.'], 'a value is missing on its stack'],
    ['values on the other side of a mark', ['K', 1, '(', 0x85], 'a value is missing on its stack'],
    ['a missing mark', ['K', 1, 't'], 'a mark is missing on its stack'],
    ['a memo that was never filled', ['h', 7], 'memo 7 is asked for, but was never filled'],
    ['items for a number', ['K', 1, 'K', 2, 'a'], 'items for a number, expected a list'],
    ['entries for a list', [']', 'K', 1, 'K', 2, 's'], 'entries for a list, expected a dict'],
    ['a key without a value', ['}', '(', 'K', 1, 'u'], 'a key without a value'],
    ['set items for a dict', ['}', '(', 0x90], 'items for a dict, expected a set'],
    ['a call of a text', [0x8c, 1, 'a', ')', 'R'], 'a call of a string, expected a class or function'],
    ['a call without a tuple', ['c', 'a\nb\n', 'K', 1, 'R'], 'a call with a number, expected a tuple of arguments'],
    ['a state for a list', [']', '}', 'b'], 'a state for a list, expected an object'],
    [
      'a global named by numbers',
      ['K', 1, 'K', 2, 0x93],
      'a global named by a number and a number, expected two strings',
    ],
    ['a text that is not UTF-8', [0x8c, 1, 0xff], 'a text that is not UTF-8'],
    ['digits that are none', ['I', 'x1\n'], '"x1" where an integer should be'],
    ['too many digits', ['L', '1'.repeat(5000), 'L\n'], `"${'1'.repeat(119)}…" where an integer should be`],
    ['a number that is none', ['F', '1e\n'], '"1e" where a number should be'],
    ['a memo with a bad number', ['K', 1, 'p', '-1\n'], '"-1" where a memo\'s number should be'],
    ['a string without quotes', ['S', 'a\n'], 'a string without quotes'],
    ['an integer of a MB', [0x8b, 0, 0, 16, 0], 'an integer of 1048576 bytes, expected at most 4300'],
  ])('refuses %s', (_, parts, what) => {
    const error = caught(() => load([...parts, ...new Array<number>(4).fill(0x4e)]));
    expect(error).toBeInstanceOf(TorchFileError);
    expect((error as TorchFileError).code).toBe('pickle');
    expect((error as TorchFileError).message).toMatch(/^f: damaged pickle near byte \d+: /);
    expect((error as TorchFileError).message).toContain(`: ${what}. Is the file whole?`);
  });

  it('refuses buffers outside of the pickle', () => {
    expect(caught(() => load([0x97]))).toMatchObject({ code: 'unsupported' });
  });

  it('says up to where it needs bytes, whatever a length claims', () => {
    expect(caught(() => load(['K']))).toEqual(new PickleEnd(2));
    expect(caught(() => load([0x8e, ...little(2 ** 62, 8)]))).toMatchObject({ needed: 2 ** 62 + 9 });
    expect(caught(() => load([0x8d, ...new Array<number>(8).fill(255)]))).toBeInstanceOf(PickleEnd);
    expect(caught(() => load(['X', 255, 255, 255, 255]))).toMatchObject({ needed: 2 ** 32 + 4 });
    expect(caught(() => load(['c', 'os']))).toMatchObject({ needed: 4 });
  });

  it.each([
    ['dicts', ['}']],
    ['lists', [']']],
    ['sets', [0x8f]],
    ['objects', ['c', 'a\nb\n', ')', 0x81]],
    ['memos', ['N', 0x94]],
    ['storages', ['}', 'Q']],
    ['copies of a text', [0x8c, 200, 'x'.repeat(200)]],
    ['nothing at all', ['N', '0']],
  ])('bounds the memory of a pickle of many %s', (_, part) => {
    const unit = assemble(part);
    const bytes = new Uint8Array(8 * MIB);
    for (let at = 0; at + unit.length <= bytes.length; at += unit.length) bytes.set(unit, at);
    const before = memory();
    const error = caught(() => load(bytes, 16 * MIB));
    expect(error).toMatchObject({ code: 'too_large' });
    expect((error as Error).message).toBe(
      'f: its pickle makes values of more than maxValueBytes = 16777216 bytes. Weights make few; raise the limit if you trust the file.',
    );
    expect(memory() - before).toBeLessThan(128 * MIB);
  });

  it('bounds copies that one call makes of another value', () => {
    const list = [']', '(', ...new Array<string>(1000).fill('N'), 'e', 'q', 0, '0'];
    for (const type of ['builtins\nset\n', 'collections\nOrderedDict\n']) {
      const calls = new Array(5000).fill(['c', type, 'h', 0, 0x85, 'R']).flat() as (number | string)[];
      expect(caught(() => load([...list, ...calls, '.'], 4 * MIB))).toMatchObject({ code: 'too_large' });
    }
  });

  it('keeps a value that doubles at each step small', () => {
    const steps = new Array(200).fill([0x94, '2', 0x86]).flat() as (number | string)[]; // (x, x) two hundred times
    expect(load(['N', ...steps, '.'], MIB)).toHaveLength(2);
  });
});

function caught(call: () => unknown): unknown {
  try {
    return call();
  } catch (error) {
    return error;
  }
}

function memory(): number {
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}
