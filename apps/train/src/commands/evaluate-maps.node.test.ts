import type { Picture } from '@sgdiff/pipeline';
import { expectNoLeak } from '@sgdiff/test-kit';
import { describe, expect, it } from 'vitest';
import { useShippedModel } from '../testing/shipped-model';
import { silentTerminal } from '../testing/silent-terminal';
import { evaluateMaps, hitsOf, type MapsReport } from './evaluate-maps';

const TIMEOUT = 120_000;

describe('evaluateMaps', () => {
  const shipped = useShippedModel();

  it(
    'finds that the maps of the shipped model point at things, beside what chance would hit, and leaves no tensor behind',
    async () => {
      const results: unknown[] = [];
      const terminal = { ...silentTerminal(), result: (result: unknown) => void results.push(result) };
      await expectNoLeak(() => evaluateMaps(shipped.source, shipped.pipeline, { count: 6, split: 'validation', seed: 0 }, shipped.backend, terminal));
      const { maps, protocol } = results[0] as { maps: Record<'things' | 'backgrounds', MapsReport>; protocol: Record<string, unknown> };
      expect(maps.things.objects).toBeGreaterThan(3);
      expect(maps.things.peakInBox).toBeGreaterThan(maps.things.otherPeakInBox);
      expect(maps.things.boxArea).toBeLessThan(maps.backgrounds.boxArea);
      expect(protocol).toMatchObject({ split: 'validation', count: 6, seeds: '0 + index', backend: 'wasm' });
    },
    TIMEOUT,
  );
});

describe('hitsOf', () => {
  it('asks of objects named once whether their map points into the box found with most certainty', () => {
    const peakAt = (at: number): Float32Array => new Float32Array(16).fill(0.1).fill(0.5, at, at + 1);
    const maps = { objects: [peakAt(0), peakAt(15), peakAt(3), peakAt(3), null], relationships: [] };
    const detections = [
      { category: 'sheep', score: 0.4, box: [0.5, 0.5, 1, 1] as const },
      { category: 'sheep', score: 0.9, box: [0, 0, 0.5, 0.5] as const },
      { category: 'tree', score: 0.9, box: [0, 0, 0.5, 1] as const },
      { category: 'dog', score: 0.9, box: [0, 0, 1, 1] as const },
      { category: 'boat', score: 0.9, box: [0, 0, 1, 1] as const },
    ];
    const picture = { width: 4, maps, record: { graph: { objects: ['sheep', 'tree', 'dog', 'dog', 'boat'], relationships: [] } } } as unknown as Picture;
    const hits = hitsOf(picture, detections);
    expect(hits).toEqual([
      { word: 'sheep', peakInBox: 1, otherPeakInBox: 0, boxArea: 0.25, massInBox: expect.closeTo(0.8 / 2, 6), centreInBox: 1 },
      { word: 'tree', peakInBox: 0, otherPeakInBox: expect.closeTo(1 / 3, 6), boxArea: 0.5, massInBox: expect.closeTo(0.8 / 2, 6), centreInBox: 0 },
    ]);
  });
});
