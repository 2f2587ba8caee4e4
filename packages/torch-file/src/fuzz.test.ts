import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { openTorchFile, type OpenTorchFileOptions, TorchFileError } from '.';
import { Budget, PickleEnd, PickleReader } from './pickle';
import { segmentSource } from './testing/segments';
import { writeZip, type ZipItem } from './testing/write-zip';
import { torchHost } from './torch-globals';

const MIB = 1024 * 1024;
const folder = new URL('../fixtures/', import.meta.url);
const names = readdirSync(folder).filter((name) => name !== 'golden.json');
const bytesOf = (name: string): Uint8Array => new Uint8Array(readFileSync(new URL(name, folder)));

/** Small limits, so that a case that would run wild is seen at once. */
const LIMITS: OpenTorchFileOptions = {
  maxPickleBytes: 4 * MIB,
  maxValueBytes: 8 * MIB,
  maxInflatedBytes: MIB,
  maxRepeatedBytes: MIB,
};
const CASE_MS = 5000; // one that hangs; an honest case takes 5

type Random = (below: number) => number;

/** mulberry32 */
function randomOf(seed: number): Random {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return Math.floor((((t ^ (t >>> 14)) >>> 0) / 2 ** 32) * below);
  };
}

const INTERESTING = [0, 1, 0x7f, 0x80, 0xff, 0x28, 0x2e, 0x52, 0x62, 0x74, 0x75, 0x81, 0x8a, 0x95];

/** Flipped bits, odd bytes, cuts, doubled parts, and parts of another file. */
function mutate(bytes: Uint8Array, other: Uint8Array, random: Random): Uint8Array {
  let result = Array.from(bytes);
  for (let n = 1 + random(4); n > 0; n--) {
    const at = random(result.length + 1);
    const length = 1 + random(32);
    switch (random(7)) {
      case 0:
        if (at < result.length) result[at]! ^= 1 << random(8);
        break;
      case 1:
        if (at < result.length) result[at] = random(256);
        break;
      case 2:
        if (at < result.length) result[at] = INTERESTING[random(INTERESTING.length)]!;
        break;
      case 3:
        result.splice(at, length);
        break;
      case 4:
        result.splice(at, 0, ...result.slice(at, at + length));
        break;
      case 5: {
        const from = random(other.length);
        result.splice(at, random(2) * length, ...other.slice(from, from + length));
        break;
      }
      default:
        if (random(4) === 0) result = result.slice(0, at);
        else for (let i = at; i < Math.min(at + 8, result.length); i++) result[i] = 0xff;
    }
  }
  return Uint8Array.from(result);
}

type Outcome = 'read' | 'refused';

/** Opens and reads everything. Whatever is neither a value nor a TorchFileError fails the test, with the case that did it. */
async function attempt(file: Uint8Array, options: OpenTorchFileOptions, label: string): Promise<Outcome> {
  const start = performance.now();
  const source = segmentSource([file], 'f');
  try {
    const opened = await openTorchFile(source, { ...LIMITS, ...options });
    for (const name of opened.tensors.keys()) {
      const bytes = await opened.read(name);
      expect(bytes.length, label).toBeLessThanOrEqual(Math.max(file.length, MIB));
    }
    return 'read';
  } catch (error) {
    if (!(error instanceof TorchFileError)) throw new Error(`${label}: ${String(error)}`, { cause: error });
    expect(error.message.length, label).toBeLessThan(4000);
    return 'refused';
  } finally {
    expect(performance.now() - start, label).toBeLessThan(CASE_MS);
    expect(source.stats.largest, label).toBeLessThanOrEqual(file.length);
  }
}

async function campaign(
  cases: number,
  run: (random: Random, label: string) => Promise<Outcome>,
): Promise<Record<Outcome, number>> {
  const before = process.memoryUsage();
  const count = { read: 0, refused: 0 };
  for (let seed = 0; seed < cases; seed++) {
    count[await run(randomOf(seed), `seed ${seed}`)]++;
    if (seed % 100 === 0)
      expect(process.memoryUsage().rss - before.rss, `memory after seed ${seed}`).toBeLessThan(512 * MIB);
  }
  return count;
}

describe('openTorchFile: thousands of damaged files', () => {
  const others = bytesOf('zoo.pt');

  it.each(names)('%s: a value or a TorchFileError, whatever is changed', async (name) => {
    const bytes = bytesOf(name);
    const count = await campaign(250, (random, label) =>
      attempt(mutate(bytes, others, random), { checkCrc: random(2) === 0 }, label),
    );
    expect(count.refused).toBeGreaterThan(20);
  });

  it.each(names.filter((name) => !name.includes('legacy') && !name.endsWith('.pkl')))(
    '%s: the same with a pickle changed in a right archive, which no checksum stops',
    async (name) => {
      const { pickle, rest } = await unpack(name);
      const count = await campaign(250, (random, label) =>
        attempt(zipBytes([{ name: 'm/data.pkl', data: mutate(pickle, others, random) }, ...rest]), {}, label),
      );
      expect(count.refused).toBeGreaterThan(20);
      expect(count.read).toBeGreaterThan(0);
    },
  );

  it('any sequence of opcodes is a value, a TorchFileError, or not complete', () => {
    const opcodes = [...'.(012FIJKLMNPQRSTUVXabcd}eghijl]opqrstu)G'].map((c) => c.charCodeAt(0));
    for (let code = 0x80; code <= 0x98; code++) opcodes.push(code);
    const globals = [
      'collections\nOrderedDict\n',
      'torch._utils\n_rebuild_tensor_v2\n',
      'builtins\nset\n',
      'os\nsystem\n',
      'torch\nFloatStorage\n',
      '_codecs\nencode\n',
      'torch._tensor\n_rebuild_from_type_v2\n',
    ];
    let values = 0;
    for (let seed = 0; seed < 20_000; seed++) {
      const random = randomOf(seed);
      const bytes: number[] = [];
      for (let n = random(60); n > 0; n--) {
        const opcode = opcodes[random(opcodes.length)]!;
        bytes.push(opcode);
        if (opcode === 0x63) bytes.push(...Buffer.from(globals[random(globals.length)]!));
        else if ('KhqU\x8c\x80'.includes(String.fromCharCode(opcode))) bytes.push(random(3));
        else if ('FILPgpSV'.includes(String.fromCharCode(opcode))) bytes.push(0x30 + random(10), 0x0a);
        else if (random(3) === 0) bytes.push(0x4e);
      }
      bytes.push(0x2e);
      try {
        new PickleReader('f', Uint8Array.from(bytes), torchHost, new Budget('f', MIB)).load();
        values++;
      } catch (error) {
        if (!(error instanceof TorchFileError || error instanceof PickleEnd))
          throw new Error(`seed ${seed}`, { cause: error });
      }
    }
    expect(values).toBeGreaterThan(100);
  });
});

/** The pickle of an archive and its other entries, under a folder of one name. */
async function unpack(name: string): Promise<{ pickle: Uint8Array; rest: ZipItem[] }> {
  const { openZipArchive } = await import('./zip-archive');
  const { DEFAULT_LIMITS } = await import('./limits');
  const archive = await openZipArchive(segmentSource([bytesOf(name)]), DEFAULT_LIMITS);
  const items = await Promise.all(
    [...archive.sizes.keys()].map(async (entry) => ({
      name: `m/${entry.slice(entry.indexOf('/') + 1)}`,
      data: await archive.readAll(entry, MIB, true),
    })),
  );
  const at = items.findIndex((item) => item.name === 'm/data.pkl');
  return { pickle: items[at]!.data, rest: items.filter((_, i) => i !== at) };
}

function zipBytes(items: readonly ZipItem[]): Uint8Array {
  return new Uint8Array(Buffer.concat(writeZip(items) as Uint8Array[]));
}
