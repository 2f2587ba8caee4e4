import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { loadPipeline, type RequestRecord } from '@sgdiff/pipeline';
import { expectNoLeak } from '@sgdiff/test-kit';
import { decode } from 'fast-png';
import { describe, expect, it } from 'vitest';
import type { EditKind } from '../data/picture-book-edits';
import { modelSource } from '../model';
import { useShippedModel } from '../testing/shipped-model';
import { silentTerminal } from '../testing/silent-terminal';
import { temporaryFolder } from '../testing/temporary-folder';
import { writeTinyModel } from '../testing/tiny-model';
import { evaluateEdits, type EditsOptions } from './evaluate-edits';
import { change, outsideBoxes, regionOf } from './edit-results';

const folder = temporaryFolder();
const shipped = useShippedModel();
const TIMEOUT = 240_000;

type Entry = {
  readonly kind: EditKind;
  readonly text: string;
  readonly seed: number;
  readonly holds: boolean;
  readonly others: { readonly there: number; readonly kept: number; readonly keptRedrawn: number };
  readonly area: number;
  readonly outsideRegion: number;
  readonly outsideBoxes: number;
  readonly outsideBoxesRedrawn: number;
};
type Results = {
  readonly edits: Omit<Entry, 'kind' | 'text' | 'seed' | 'holds'> & { readonly count: number; readonly holds: number };
  readonly kinds: Record<EditKind, { readonly tried: number; readonly startShown: number; readonly count: number }>;
  readonly protocol: Record<string, unknown>;
  readonly list: readonly Entry[];
};

async function run(out: string, over: Partial<EditsOptions> = {}): Promise<{ readonly text: string; readonly results: Results }> {
  const terminal = silentTerminal();
  const options = { count: 2, split: 'validation', seed: 0, steps: 6, kinds: ['replace', 'remove'], own: false, out: join(folder, out), ...over } as const;
  await evaluateEdits(shipped.source, shipped.pipeline, options, shipped.backend, terminal);
  return { text: terminal.lines.join('\n'), results: JSON.parse(readFileSync(join(folder, out, 'edits.json'), 'utf8')) as Results };
}

describe('evaluateEdits', () => {
  it(
    'edits pictures that show what the edit starts from, sums up what it lists, and leaves no tensor behind',
    async () => {
      await expectNoLeak(() => run('leaks'));
      const { results, text } = await run('first');
      const { edits, kinds, list, protocol } = results;
      expect(list).toHaveLength(2);
      expect(list.map(({ kind }) => kind)).toContain('remove');
      expect(kinds.replace.tried).toBeGreaterThan(0);
      const mean = (key: keyof typeof edits & keyof Entry): number => list.reduce((sum, entry) => sum + Number(entry[key]), 0) / list.length;
      expect(edits.count).toBe(list.length);
      expect(edits.holds).toBe(list.filter(({ holds }) => holds).length);
      for (const key of ['there', 'kept', 'keptRedrawn'] as const) expect(edits.others[key]).toBe(list.reduce((sum, { others }) => sum + others[key], 0));
      expect(edits.others.there).toBeGreaterThan(0);
      for (const key of ['area', 'outsideRegion', 'outsideBoxes', 'outsideBoxesRedrawn'] as const) expect(edits[key]).toBeCloseTo(mean(key), 12);
      for (const { area, outsideRegion, outsideBoxes: kept, outsideBoxesRedrawn } of list) {
        expect(area > 0 && area <= 1).toBe(true);
        expect(outsideRegion).toBeLessThan(0.02); // what the decoder carries over the edge of the region
        expect(kept).toBeLessThan(outsideBoxesRedrawn);
        expect(outsideBoxesRedrawn).toBeGreaterThan(0);
      }
      for (const { tried, startShown, count } of Object.values(kinds)) expect(tried >= startShown && startShown >= count).toBe(true);
      expect(protocol).toMatchObject({ split: 'validation', seeds: '0 + index', steps: 6, model: 'picture-book' });
      expect(text).toMatch(/^all +\d of 2 /m);
      const sheet = decode(readFileSync(join(folder, 'first', 'edits.png')));
      expect(sheet.width).toBeGreaterThan(8 * 2 * 64); // two edits of four pictures, twice as large

      expect((await run('again')).results.list).toEqual(list);
      const other = (await run('other', { seed: 7 })).results.list;
      expect(other.map(({ seed }) => seed)).not.toEqual(list.map(({ seed }) => seed));
    },
    TIMEOUT,
  );

  it(
    'edits true renders as pictures of one’s own',
    async () => {
      const { results } = await run('own', { own: true, count: 1, kinds: ['remove'] });
      expect(results.list).toHaveLength(1);
      expect(results.edits.outsideRegion).toBeLessThan(0.02);
      expect(results.edits.outsideBoxes).toBeLessThan(results.edits.outsideBoxesRedrawn / 2);
      expect(results.protocol).toMatchObject({ pictures: 'true renders' });
    },
    TIMEOUT,
  );

  it(
    'tells what was done when it is stopped, and that it was',
    async () => {
      const lines: string[] = [];
      let stop = (): void => undefined;
      const progress = () => ({ update: () => stop(), stop: () => undefined });
      const terminal = { ...silentTerminal(), say: (line: string) => void lines.push(line), progress };
      stop = () => void process.emit('SIGINT');
      const options = { count: 9, split: 'validation', seed: 0, steps: 6, kinds: ['remove'], own: false } as const;
      await expectNoLeak(() => evaluateEdits(shipped.source, shipped.pipeline, options, shipped.backend, terminal), {
        throws: 'Stopped. What is told counts the edits that were done.',
      });
      expect(lines.join('\n')).toMatch(/^all +\d of 1 /m);
    },
    TIMEOUT,
  );

  it('refuses a model that has no detector', async () => {
    await writeTinyModel(join(folder, 'tiny'));
    const tiny = await loadPipeline(modelSource(join(folder, 'tiny')));
    try {
      const options = { count: 2, split: 'test', seed: 0, kinds: ['replace'], own: false } as const;
      await expect(evaluateEdits(shipped.source, tiny, options, shipped.backend, silentTerminal())).rejects.toThrow(/carries no/);
    } finally {
      tiny.dispose();
    }
  });
});

describe('what is measured', () => {
  const record = (region?: readonly string[]): Pick<RequestRecord, 'edits'> =>
    ({ edits: [{ region: ['9'] }, region ? { region } : {}] }) as unknown as Pick<RequestRecord, 'edits'>;

  it('regionOf: every pixel of a cell that the last edit drew in, at all; all of them where it drew everything', () => {
    const region = regionOf({ record: record(['01', '90']), width: 4, height: 4 });
    expect(Array.from(region)).toEqual([0, 0, 1, 1, 0, 0, 1, 1, 1, 1, 0, 0, 1, 1, 0, 0]);
    expect(Array.from(regionOf({ record: record(), width: 2, height: 1 }))).toEqual([1, 1]);
  });

  it('outsideBoxes: pixels beyond the boxes of these words and a margin of 1/16 of the side', () => {
    const outside = outsideBoxes(
      [
        { category: 'sheep', score: 1, box: [0.25, 0.25, 0.5, 0.5] },
        { category: 'tree', score: 1, box: [0, 0, 1, 1] },
      ],
      ['sheep'],
      16,
    );
    const row = (y: number): number[] => Array.from({ length: 16 }, (_, x) => (outside(16 * y + x) ? 1 : 0));
    expect(row(2).every((pixel) => pixel === 1)).toBe(true);
    expect(row(3)).toEqual([1, 1, 1, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1]);
    expect(row(8)).toEqual(row(3));
    expect(row(9)).toEqual(row(2));
  });

  it('change: the mean over pixels and channels chosen, of 1', () => {
    const before = Uint8Array.from([0, 0, 0, 255, 255, 255]);
    const after = Uint8Array.from([51, 0, 0, 0, 0, 0]);
    expect(change(before, after, (pixel) => pixel === 0)).toBeCloseTo(0.2 / 3, 12);
    expect(change(before, after, () => true)).toBeCloseTo((0.2 + 3) / 6, 12);
    expect(change(before, after, () => false)).toBeNaN();
  });
});
