import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { bytesSource, openTorchFile, type OpenTorchFileOptions, TorchFileError } from '.';
import { joinSegments, type Segment, segmentSource } from './testing/segments';
import { Call, little, tensorCall, type TestValue, writePickle } from './testing/write-pickle';
import { writeTorchLegacy, writeTorchZip } from './testing/write-torch';
import { writeZip, type ZipItem } from './testing/write-zip';
import { PickleGlobal } from './values';

const MIB = 1024 * 1024;
const fixture = (name: string): Uint8Array =>
  new Uint8Array(readFileSync(new URL(`../fixtures/${name}`, import.meta.url)));
const floats = (...values: number[]): Uint8Array => new Uint8Array(Float32Array.from(values).buffer);
const pair = { key: '0', length: 2, shape: [2], strides: [1] };
const stateDict = (tensor: TestValue): TestValue => new Map([['layer.weight', tensor]]);

function open(segments: readonly Segment[] | Uint8Array, options?: OpenTorchFileOptions) {
  return openTorchFile(bytesSource(segments instanceof Uint8Array ? segments : joinSegments(segments), 'f'), options);
}

async function failure(promise: Promise<unknown>): Promise<TorchFileError> {
  const error = await promise.then(
    () => new Error('expected an error'),
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(TorchFileError);
  return error as TorchFileError;
}

describe('openTorchFile: tensors that cannot be', () => {
  it.each<[string, Partial<Parameters<typeof tensorCall>[0]>, string]>([
    [
      'a shape larger than its storage',
      { shape: [3] },
      'shape [3] with strides [1] reaches to byte 12 of its storage, which has 8',
    ],
    [
      'an offset beyond its storage',
      { offset: 1 },
      'shape [2] with strides [1] reaches to byte 12 of its storage, which has 8',
    ],
    [
      'strides beyond its storage',
      { strides: [5] },
      'shape [2] with strides [5] reaches to byte 24 of its storage, which has 8',
    ],
    ['huge strides', { strides: [2 ** 52], shape: [2 ** 52] }, 'it has 4503599627370496 elements'],
    [
      'more elements than can be counted',
      { shape: [2 ** 40, 2 ** 40], strides: [0, 0] },
      'it has 1.2089258196146292e+24 elements',
    ],
    ['a negative size', { shape: [-2] }, 'its shape is no list of sizes'],
    ['a size that is no number', { shape: ['2'] }, 'its shape is no list of sizes'],
    ['a size beyond 2^53', { shape: [2n ** 60n] }, 'its shape is no list of sizes'],
    ['a broken size', { shape: [1.5] }, 'its shape is no list of sizes'],
    ['negative strides', { strides: [-1] }, 'its strides are no list of non-negative numbers'],
    ['too few strides', { shape: [1, 2] }, 'it has 2 axes but 1 strides'],
    ['a negative offset', { offset: -1 }, 'its storage offset is -1'],
    [
      'a hundred axes',
      { shape: new Array<number>(100).fill(1), strides: new Array<number>(100).fill(1) },
      'its shape is no list of sizes',
    ],
    ['a storage that is not there', { key: '7' }, 'its storage 7 is missing'],
    ['a storage by another path', { key: '../data.pkl' }, 'its storage ../data.pkl is missing'],
    ['a storage that is too short', { length: 100 }, 'its storage 0 should have 400 bytes, but has 8'],
    ['a storage of negative length', { length: -1 }, 'its storage is a persistent id'],
    ['a view that begins nowhere', { view: ['v', -1, 2] }, 'its storage 0 should have 8 bytes, but has 8'],
  ])('refuses %s, and names the tensor', async (_, change, what) => {
    const error = await failure(
      open(writeTorchZip(stateDict(tensorCall({ ...pair, ...change })), { 0: floats(1, 2) })),
    );
    expect(error.message).toBe(`f: tensor "layer.weight" cannot be right: ${what}. Is the file damaged?`);
    expect([error.code, error.tensor]).toEqual(['tensor', 'layer.weight']);
  });

  it('refuses a tensor whose storage is something else', async () => {
    const rebuild = new PickleGlobal('torch._utils', '_rebuild_tensor_v2');
    const error = await failure(open(writeTorchZip(stateDict(new Call(rebuild, ['0', 0, [2], [1]])), {})));
    expect(error.message).toContain('tensor "layer.weight" cannot be right: its storage is a string.');
  });

  it('lets no name of the file command a terminal or fill it', async () => {
    const evil = `\x1b[2J\n\x9d\u202e${'x'.repeat(1000)}`;
    const bad = tensorCall({ ...pair, shape: [9] });
    const error = await failure(open(writeTorchZip(new Map([[evil, bad]]), { 0: floats(1, 2) })));
    expect(error.message).toBe(
      `f: tensor "?[2J???${'x'.repeat(112)}…" cannot be right: shape [9] with strides [1] reaches to byte 36 of its storage, ` +
        'which has 8. Is the file damaged?',
    );
    expect(error.tensor).toBe(evil);
    const twice = { name: evil, data: new Uint8Array(1) };
    expect((await failure(open(writeZip([twice, twice])))).message).toBe(
      `f: damaged archive: ?[2J???${'x'.repeat(112)}… is there twice. Load the file again.`,
    );
  });

  it('cares only for the tensors of the root', async () => {
    const bad = tensorCall({ ...pair, shape: [9] });
    const entries = new Map<string, TestValue>([
      ['state_dict', stateDict(tensorCall(pair))],
      ['optimizer', new Map([['m', bad]])],
    ]);
    const file = await open(writeTorchZip(entries, { 0: floats(1, 2) }));
    expect(await file.read('layer.weight')).toEqual(floats(1, 2));
    expect((await failure(open(writeTorchZip(entries, { 0: floats(1, 2) }), { root: 'optimizer' }))).tensor).toBe('m');
  });

  it('does not follow a shape that is changed after it was checked', async () => {
    // The shape is a list in the memo, to which the pickle appends once the tensor is made.
    const text = Buffer.from(writePickle(stateDict(tensorCall(pair)))).toString('latin1');
    const shape = ']\x94(K\x02e'; // not in this writer's output: the shape is written as ](…e and memoised after
    expect(text).not.toContain(shape);
    const at = text.indexOf('](K\x02e\x94'); // [2], then memo n
    const memo = [...text.slice(0, at)].filter((c) => c === '\x94').length;
    const evil = `${text.slice(0, -1)}j${String.fromCharCode(memo, 0, 0, 0)}K\x63a0.`;
    const file = await open(writeTorchZip(Uint8Array.from(Buffer.from(evil, 'latin1')), { 0: floats(1, 2) }));
    expect(file.tensors.get('layer.weight')!.shape).toEqual([2]);
  });

  it('does not multiply one number into a tensor of TBs', async () => {
    const file = await open(
      writeTorchZip(stateDict(tensorCall({ ...pair, shape: [1e6, 1e6], strides: [0, 0] })), { 0: floats(1, 2) }),
    );
    const error = await failure(file.read('layer.weight'));
    expect([error.code, error.tensor]).toEqual(['too_large', 'layer.weight']);
    expect(error.message).toBe(
      'f: tensor "layer.weight": repeats elements of its storage and has 4000000000000 bytes, ' +
        'more than maxRepeatedBytes = 67108864. Save a contiguous copy of it.',
    );
  });

  it('does not walk through modules that have more names than the file has bytes', async () => {
    const type = new PickleGlobal('__torch__', 'M');
    // Each module has the one below it as two attributes: 2^40 paths to the last.
    const build = (level: number): number[] =>
      level === 0
        ? [...ops(type)]
        : [
            ...ops(type),
            0x7d,
            0x28,
            ...text('a'),
            ...build(level - 1),
            0x94,
            ...text('b'),
            0x6a,
            ...little(level - 1, 4),
            0x75,
            0x62,
          ];
    const script = [
      { name: 'm/data.pkl', data: Uint8Array.from([0x80, 2, ...build(40), 0x2e]) },
      { name: 'm/constants.pkl', data: new Uint8Array(1) },
    ];
    const start = performance.now();
    const error = await failure(open(writeZip(script)));
    expect(error.code).toBe('too_large');
    expect(performance.now() - start).toBeLessThan(5000);
  });
});

describe('openTorchFile: damaged archives', () => {
  const good = writeTorchZip(stateDict(tensorCall(pair)), { 0: floats(1, 2) });
  const items = (change: (items: ZipItem[]) => ZipItem[]): Segment[] =>
    writeTorchZip(stateDict(tensorCall(pair)), { 0: floats(1, 2) }, change);

  it('has tests whose file is right if it is not changed', async () => {
    expect(await (await open(good)).read('layer.weight')).toEqual(floats(1, 2));
  });

  it('says that an archive is cut off, wherever', async () => {
    const bytes = fixture('lightning.ckpt');
    for (let length = 4; length < bytes.length; length += 61) {
      const error = await failure(open(bytes.subarray(0, length)));
      expect(error.message).toBe(
        'f: starts like a zip archive, but has no directory at its end. Is it cut off? Load it again.',
      );
      expect(error.code).toBe('truncated');
    }
  });

  it('says that a legacy file is cut off, wherever', async () => {
    const bytes = fixture('lightning-legacy.ckpt');
    for (let length = 2; length < bytes.length; length += 61) {
      const error = await failure(open(bytes.subarray(0, length)));
      expect(error.code).toBe('truncated');
      expect(error.message).toMatch(/^f: .*Is it cut off\?/);
    }
  });

  it('checks the pickle by its checksum, unless told not to', async () => {
    const wrong = items(([first, ...rest]) => [{ ...first!, crc: 1 }, ...rest]);
    const error = await failure(open(wrong));
    expect([error.code, error.entry]).toEqual(['archive', 'archive/data.pkl']);
    expect(error.message).toMatch(/^f: damaged archive: archive\/data\.pkl .*CRC.*Load the file again\.$/i);
    expect((await open(wrong, { checkCrc: false })).tensors.size).toBe(1);
  });

  it('checks a tensor that fills its storage by its checksum, unless told not to', async () => {
    const whole = fixture('tensor.pt');
    const { read, tensors } = await open(whole);
    const [name] = tensors.keys();
    const values = await read(name!);
    const at = whole.findIndex((_, i) => values.every((byte, k) => whole[i + k] === byte)); // where its bytes are stored
    const flipped = whole.slice();
    flipped[at]! ^= 1;
    const error = await failure(open(flipped).then((file) => file.read(name!)));
    expect(error.code).toBe('archive');
    expect(error.message).toMatch(
      /^f: tensor "tensor": damaged archive: tensor\/data\/0 does not have the checksum that the archive says \(checkCrc: false, or --skip-checksums, reads archives made without\)\. Load the file again\.$/,
    );
    const trusting = await open(flipped, { checkCrc: false });
    expect((await trusting.read(name!))[0]).toBe(values[0]! ^ 1);
  });

  it('refuses a pickle beyond the limit before it reads it', async () => {
    const source = segmentSource(
      writeZip([{ name: 'a/data.pkl', data: { size: 80 * MIB, fill: () => undefined } }]),
      'f',
    );
    const error = await failure(openTorchFile(source));
    expect(source.stats.total).toBeLessThan(MIB);
    expect(error.message).toBe(
      'f: a/data.pkl has 83886080 bytes unpacked, the limit is 67108864. Raise the limit if you trust the file.',
    );
    expect([error.code, error.entry]).toEqual(['too_large', 'a/data.pkl']);
  });

  it.each([
    ['declares it', undefined, 'too_large', /has 268435456 bytes unpacked, the limit is 67108864\. It is compressed/],
    ['hides it', 1000, 'archive', /^f: damaged archive: a\/data\.pkl .*Load the file again\.$/],
  ] as const)('survives a zip bomb that %s', async (_, declaredSize, code, message) => {
    const bomb = writeZip([
      { name: 'a/data.pkl', data: new Uint8Array(256 * MIB), deflate: true, ...(declaredSize && { declaredSize }) },
    ]);
    const packed = joinSegments(bomb);
    const before = process.memoryUsage().rss;
    const error = await failure(open(packed));
    expect(error.code).toBe(code);
    expect(error.message).toMatch(message);
    expect(process.memoryUsage().rss - before).toBeLessThan(96 * MIB);
  });

  it('survives a bomb in a storage, and names the tensor', async () => {
    const tensor = tensorCall({ ...pair, length: 32 * MIB, shape: [2], strides: [1] });
    const bomb = (declaredSize?: number): Segment[] =>
      writeTorchZip(stateDict(tensor), { 0: new Uint8Array(128 * MIB) }, (all) =>
        all.map((item) =>
          item.name.endsWith('/0') ? { ...item, deflate: true, ...(declaredSize && { declaredSize }) } : item,
        ),
      );
    const error = await failure((await open(bomb())).read('layer.weight'));
    expect([error.code, error.tensor, error.entry]).toEqual(['too_large', 'layer.weight', 'archive/data/0']);
    expect(error.message).toContain(
      'It is compressed, which torch.save does not do: pack it again without compression.',
    );
    // One that declares less than its tensor needs is refused at once.
    expect((await failure(open(bomb(8)))).code).toBe('tensor');
  });

  it.each<[string, (items: ZipItem[]) => ZipItem[], string, RegExp]>([
    [
      'entries over each other',
      (all) => all.map((item) => (item.name.endsWith('/0') ? { ...item, offset: 0 } : item)),
      'archive',
      /overlaps/,
    ],
    ['a name twice', (all) => [...all, all[0]!], 'archive', /archive\/data\.pkl is there twice/],
    ['encrypted entries', (all) => all.map((item) => ({ ...item, flags: 0x801 })), 'archive', /is encrypted/],
    [
      'an entry beyond the end',
      (all) => all.map((item) => (item.name.endsWith('/0') ? { ...item, declaredSize: 1e6 } : item)),
      'archive',
      /reaches beyond the end/,
    ],
    ['no pickle', (all) => all.slice(1), 'not_torch', /has no data\.pkl/],
    [
      'big-endian values',
      (all) => all.map((item) => (item.name.endsWith('order') ? { ...item, data: Buffer.from('big') } : item)),
      'unsupported',
      /expected little-endian values, received "big"/,
    ],
    [
      'half a pickle',
      ([first, ...rest]) => [{ ...first!, data: (first!.data as Uint8Array).slice(0, 40) }, ...rest],
      'pickle',
      /it ends after 40 bytes/,
    ],
  ])('refuses %s', async (_, change, code, message) => {
    const error = await failure(open(items(change)));
    expect(error.message).toMatch(message);
    expect(error.code).toBe(code);
  });

  it('finds out that an entry is not where the directory says when it reads it', async () => {
    const moved = joinSegments(good);
    const at = Buffer.from(moved).lastIndexOf('PK\x03\x04');
    moved[at + 2] = 0;
    const error = await failure((await open(moved)).read('layer.weight'));
    expect([error.code, error.tensor, error.entry]).toEqual(['archive', 'layer.weight', 'archive/data/0']);
  });

  it('refuses an archive of too many entries, and a directory of too many bytes', async () => {
    const many = writeZip(Array.from({ length: 300 }, (_, i) => ({ name: `a/${i}`, data: new Uint8Array() })));
    const error = await failure(open(many, { maxEntries: 200 }));
    expect([error.code, error.message]).toEqual([
      'too_large',
      'f: the archive has more than maxEntries = 200 entries. Raise the limit if you trust the file.',
    ]);
    const long = writeZip(
      Array.from({ length: 100 }, (_, i) => ({ name: `${'x'.repeat(30_000)}${i}`, data: new Uint8Array() })),
    );
    expect((await failure(open(long, { maxEntries: 200 }))).message).toMatch(
      /its archive directory has \d+ bytes, expected at most 204800/,
    );
  });
});

describe('openTorchFile: damaged legacy files', () => {
  const entries = stateDict(tensorCall(pair));
  const storage = { key: '0', count: 2, data: floats(1, 2) };

  it('reads one that is right, also with a view of a storage', async () => {
    expect(await (await open(writeTorchLegacy(entries, [storage]))).read('layer.weight')).toEqual(floats(1, 2));
    const view = stateDict(tensorCall({ ...pair, length: 5, view: ['v', 2, 3], offset: 1 }));
    const file = await open(writeTorchLegacy(view, [{ key: '0', count: 5, data: floats(0, 1, 2, 3, 4) }]));
    expect(await file.read('layer.weight')).toEqual(floats(3, 4));
  });

  it.each<[string, Segment[], string, string]>([
    [
      'another version',
      [writePickle(0x1950a86a20f9469cfc6cn), writePickle(1002)],
      'unsupported',
      'f: expected version 1001 of the legacy form, received 1002.',
    ],
    [
      'big-endian values',
      writeTorchLegacy(entries, [storage], new Map([['little_endian', false]])),
      'unsupported',
      'f: expected little-endian values, received big-endian ones. Save it on a little-endian machine.',
    ],
    [
      'a wrong count',
      writeTorchLegacy(entries, [{ ...storage, count: 3 }]),
      'truncated',
      'f: expected 2 elements in storage 0, the file says 3. Is it damaged?',
    ],
    [
      'a short storage',
      writeTorchLegacy(entries, [{ ...storage, data: floats(1) }]),
      'truncated',
      /^f: storage 0 should end at byte \d+, but the file has \d+\. Is it cut off\? Load it again\.$/ as unknown as string,
    ],
    [
      'a storage of nobody',
      writeTorchLegacy(entries, [{ ...storage, key: '9' }]),
      'pickle',
      'f: storage 9 is of no tensor, so that what follows cannot be found.',
    ],
    [
      'a storage without a name',
      writeTorchLegacy(entries, [{ ...storage, key: 9 }]),
      'pickle',
      'f: storage a number is of no tensor, so that what follows cannot be found.',
    ],
    [
      'a storage that is not listed',
      writeTorchLegacy(entries, []),
      'tensor',
      'f: tensor "layer.weight" cannot be right: its storage 0 is missing. Is the file damaged?',
    ],
    [
      'a storage of unknown type',
      writeTorchLegacy(stateDict(tensorCall({ ...pair, storage: 'NewStorage' })), [storage]),
      'unsupported',
      'f: storage 0 is of type torch.NewStorage, whose size is not known, so that what follows cannot be found.',
    ],
  ])('refuses %s', async (_, segments, code, message) => {
    const error = await failure(open(segments));
    if (typeof message === 'string') expect(error.message).toBe(message);
    else expect(error.message).toMatch(message as RegExp);
    expect(error.code).toBe(code);
  });

  it('reads a pickle that is larger than the first look at it, up to the limit', async () => {
    const large = new Map<string, TestValue>([
      ['layer.weight', tensorCall(pair)],
      ['note', 'x'.repeat(3 * MIB)],
    ]);
    const bytes = joinSegments(writeTorchLegacy(large, [storage]));
    expect(await (await open(bytes)).read('layer.weight')).toEqual(floats(1, 2));
    const error = await failure(open(bytes, { maxPickleBytes: 2 * MIB }));
    expect([error.code, error.message]).toEqual([
      'too_large',
      'f: its pickle has more than maxPickleBytes = 2097152. Raise the limit if you trust the file.',
    ]);
  });
});

function ops(type: PickleGlobal): number[] {
  return [0x63, ...Buffer.from(`${type.module}\n${type.name}\n`), 0x29, 0x81];
}

function text(value: string): number[] {
  return [0x8c, value.length, ...Buffer.from(value)];
}
