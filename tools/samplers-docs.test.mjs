import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { replaceMeasured, samplersChart, samplersMarkdown, writeSamplersDocs } from './samplers-docs.mjs';

const cell = (sampler, steps, calls, share) => ({ sampler, steps, calls, entity: share, relation: share - 0.1, frechet: 1 - share });
const measured = {
  protocol: {
    model: { name: 'tiny', sha256: 'ab'.repeat(32) },
    count: 4,
    split: 'validation',
    seeds: '0 + index',
    guidanceScale: 3,
    spacing: 'trailing',
    sigmas: 'schedule',
    backend: 'wasm',
  },
  yardsticks: {
    ceiling: { entity: 0.97, relation: 0.95 },
    floor: { entity: 0.2, relation: 0.1 },
    frechetOfOtherGraphs: 0.4,
    objects: 20,
    relations: 25,
  },
  cells: [cell('ddim', 10, 10, 0.8), cell('heun', 10, 19, 0.85), cell('ddim', 5, 5, 0.7), cell('euler-ancestral', 5, 5, 0.6)],
};

it('has a table of each measure with a row per sampler, a column per number of steps, and gaps where nothing was measured', () => {
  const lines = samplersMarkdown(measured, 'plot.svg').split('\n');
  expect(lines[0]).toBe(
    'Model `tiny` (`model.json` abababababab), 4 graphs of the split `validation`, seeds 0 + index, guidance 3, levels `schedule` with ' +
      'spacing `trailing`, backend wasm. The graphs have 20 objects and 25 relations: differences of shares below 20 points say little.',
  );
  expect(lines.slice(1, 11)).toEqual([
    '',
    '![Shares of relations and objects drawn, and Fréchet distance, against network calls](plot.svg)',
    '',
    '**Relations drawn** (true renders: 0.950; by chance: 0.100)',
    '',
    '| sampler | 5 steps | 10 steps |',
    '| --- | ---: | ---: |',
    '| `ddim` | 0.600 | 0.700 |',
    '| `heun` |  | 0.750 |',
    '| `euler-ancestral` | 0.500 |  |',
  ]);
  expect(lines).toContain('**Fréchet distance** (true renders of other graphs: 0.400; lower is better)');
  expect(lines.slice(-5)).toEqual([
    '**Network calls**, where they are not as many as the steps',
    '',
    '| sampler | 5 steps | 10 steps |',
    '| --- | ---: | ---: |',
    '| `heun` |  | 19 |',
  ]);
});

it('plots every sampler in every panel, broken where it draws noise, the same for the same numbers', async () => {
  const svg = await samplersChart(measured);
  expect(svg).toMatch(/^<svg /);
  for (const text of ['ddim', 'heun', 'euler-ancestral', 'Relations drawn', 'Objects drawn', 'Fréchet distance', 'network calls'])
    expect(svg).toContain(`>${text}</text>`);
  expect(svg).not.toMatch(/NaN|undefined/);
  expect(svg.match(/stroke-dasharray="5,3"/g)).toHaveLength(4); // in three panels and in the legend
  expect(await samplersChart(measured)).toBe(svg);
  expect(svg).toMatch(/>true renders: 0\.950</);

  // One that falls apart does not press the others into a line, and is named.
  const { cells } = measured;
  const many = Array.from({ length: 9 }, (_, i) => ({ ...cells[0], steps: 5 + i, calls: 5 + i, relation: 0.6 + 0.01 * i }));
  const broken = await samplersChart({ ...measured, cells: [...many, { ...cells[0], sampler: 'plms', relation: 0 }] });
  expect(broken).toContain('partly outside the panel: plms');
  expect(broken).not.toContain('>0.0</text>');
});

const folder = mkdtempSync(join(tmpdir(), 'samplers-docs-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
beforeAll(() => writeFileSync(join(folder, 'results.json'), JSON.stringify(measured)));

it('puts the tables between the marks of the document, again and again, and leaves the rest', async () => {
  const marks = readFileSync(new URL('../docs/samplers.md', import.meta.url), 'utf8').match(/<!-- .* -->/g);
  const [document, image] = [join(folder, 'samplers.md'), join(folder, 'images/samplers.svg')];
  writeFileSync(document, `# Before\n\n${marks[0]}\n\nold\n\n${marks[1]}\n\nAfter\n`);
  const files = { results: join(folder, 'results.json'), document, image, intoDocument: true };
  await writeSamplersDocs(files);
  const once = readFileSync(document, 'utf8');
  expect(once).toBe(`# Before\n\n${marks[0]}\n\n${samplersMarkdown(measured, 'images/samplers.svg')}\n\n${marks[1]}\n\nAfter\n`);
  await writeSamplersDocs(files);
  expect(readFileSync(document, 'utf8')).toBe(once);
  expect(readFileSync(image, 'utf8')).toMatch(/^<svg /);
});

it('says which marks are missing', () => {
  expect(() => replaceMeasured('# No marks', '')).toThrow(/^expected the lines "<!-- measured by .*" and "<!-- end of .*"\. Put them/);
});
