import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { SAMPLERS } from '@sgdiff/pipeline';
import { expectNoLeak } from '@sgdiff/test-kit';
import { describe, expect, it } from 'vitest';
import { useShippedModel } from '../testing/shipped-model';
import { silentTerminal } from '../testing/silent-terminal';
import { temporaryFolder } from '../testing/temporary-folder';
import { evaluateSamplers, type SamplerCell, type SamplersOptions, type SamplersProtocol, type Yardsticks } from './evaluate-samplers';

const folder = temporaryFolder();
const cells = join(folder, 'cells.json');
const out = join(folder, 'results.json');
const shipped = useShippedModel();
const TIMEOUT = 120_000;

type Results = { readonly protocol: SamplersProtocol; readonly yardsticks: Yardsticks; readonly cells: readonly SamplerCell[] };

async function run(over: Partial<SamplersOptions> = {}): Promise<{ readonly text: string; readonly results: Results }> {
  const terminal = silentTerminal();
  const options = { count: 2, split: 'validation', seed: 0, steps: [2], only: /^(ddim|heun)$/, cells, fresh: false, out, ...over } as const;
  await evaluateSamplers(shipped.source, shipped.pipeline, options, shipped.backend, terminal);
  return { text: terminal.lines.join('\n'), results: JSON.parse(readFileSync(out, 'utf8')) as Results };
}

describe('evaluateSamplers', () => {
  it(
    'measures each sampler in each number of steps beside its yardsticks, once, and leaves no tensor behind',
    async () => {
      await expectNoLeak(() => run({ cells: join(folder, 'leaks.json') }));
      const first = await run();
      const { protocol, yardsticks } = first.results;
      expect(first.results.cells.map(({ sampler, steps, calls }) => [sampler, steps, calls])).toEqual([
        ['ddim', 2, 2],
        ['heun', 2, 3],
      ]);
      for (const { entity, relation, frechet } of first.results.cells) {
        for (const share of [entity, relation]) expect(share >= 0 && share <= 1).toBe(true);
        expect(frechet > 0 && frechet < 4).toBe(true); // vectors of length 1
      }
      expect(protocol).toMatchObject({ count: 2, split: 'validation', sigmas: 'schedule', guidanceScale: 3, backend: 'wasm' });
      expect(yardsticks.ceiling.entity).toBeGreaterThan(yardsticks.floor.entity);
      expect(yardsticks.frechetOfOtherGraphs).toBeGreaterThan(0);
      expect(first.text).toMatch(/^heun +2 +3 +0\.\d{3} +0\.\d{3} +\d\.\d{3}$/m);

      // What is in the file is not measured again: a cell that was changed there comes back as it is.
      const kept = JSON.parse(readFileSync(cells, 'utf8')) as { runs: { cells: { entity: number }[] }[] };
      kept.runs[0].cells[0].entity = 0.125;
      writeFileSync(cells, JSON.stringify(kept));
      const second = await run({ steps: [1, 2] });
      expect(second.text).toContain('2 of 4 cells are measured already');
      expect(second.results.cells.map(({ entity }) => entity)[2]).toBe(0.125);
      const anew = await run({ fresh: true });
      expect(anew.results.cells).toEqual(first.results.cells);
    },
    TIMEOUT,
  );

  it(
    'keeps the cells of other graphs or seeds apart',
    async () => {
      await run({ only: /^ddim$/, seed: 5 });
      expect((await run({ only: /^ddim$/, seed: 6 })).text).not.toContain('measured already');
      expect((await run({ only: /^ddim$/, seed: 5 })).text).toContain('1 of 1 cells are measured already');
    },
    TIMEOUT,
  );

  it('refuses a name that no sampler has, more steps than there are, and a file that holds no cells', async () => {
    await expect(run({ only: /^k$/ })).rejects.toThrow(`--only: no sampler has a name that matches ^k$. There are: ${SAMPLERS.join(', ')}.`);
    await expect(run({ steps: [5, 1001] })).rejects.toThrow('--steps 1001: expected at most 1000, which this model was trained with.');
    const other = join(folder, 'other.json');
    writeFileSync(other, '{"format":2}');
    await expect(run({ cells: other })).rejects.toThrow(`${other}: expected cells measured by this command, received something else. Choose another file with --cells.`);
    writeFileSync(other, '{');
    await expect(run({ cells: other })).rejects.toThrow(`The cells in ${other} could not be read: `);
  });
});
