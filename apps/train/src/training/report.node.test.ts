import { mkdirSync, readFileSync, writeFileSync, existsSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import { temporaryFolder } from '../testing/temporary-folder';
import { encodePicture } from '../png';
import { writeReport } from './report';

const root = temporaryFolder();
let folder = root;

beforeEach(({ task }) => {
  folder = join(root, task.id);
  mkdirSync(folder);
});

function writeLog(lines: readonly object[], torn = ''): void {
  writeFileSync(join(folder, 'log.jsonl'), lines.map((line) => `${JSON.stringify(line)}\n`).join('') + torn);
}

function readReport(): string {
  return readFileSync(join(folder, 'report.html'), 'utf8');
}

/** The numbers that the page draws. */
function drawnData(html: string): { steps: number[]; series: Record<string, number[]> } {
  const [, steps] = /^const steps = (.*);$/m.exec(html)!;
  const [, series] = /^const series = (.*);$/m.exec(html)!;
  return { steps: JSON.parse(steps) as number[], series: JSON.parse(series) as Record<string, number[]> };
}

const line = (step: number, loss: number): object => ({ step, seconds: step * 2, rate: 0.001, loss, tensors: 99, bytes: 1e6 });

describe('the report', () => {
  it('holds the steps and the smoothed curve of every logged number, and nothing of the memory', () => {
    writeLog([line(1, 4), line(20, 2), line(40, 3)], '{"step":60,"lo');
    writeReport(folder, 'toy');
    const { steps, series } = drawnData(readReport());
    expect(steps).toEqual([1, 20, 40]);
    expect(Object.keys(series)).toEqual(['rate', 'loss']);
    expect(series.loss).toEqual([4, 3, 3]); // running means of 4; 4, 2; 4, 2, 3
    expect(series.rate).toEqual([0.001, 0.001, 0.001]);
    expect(readReport()).toContain('<tr><th>step</th><td>40</td></tr>');
    expect(readReport()).toContain('<tr><th>training time</th><td>80 s</td></tr>');
    expect(readReport()).toContain('<tr><th>loss</th><td>3.000</td></tr>');
  });

  it('begins the curve of a term that is only logged later where that term begins', () => {
    writeLog([line(1, 4), { ...line(20, 2), deceit: 5 }, { ...line(40, 3), deceit: 7 }]);
    writeReport(folder, 'toy');
    expect(drawnData(readReport()).series.deceit).toEqual([null, 5, 6]);
    expect(readReport()).toContain('<tr><th>deceit</th><td>6.000</td></tr>');
  });

  it('needs no network: what it shows and runs is inside', () => {
    writeLog([line(1, 4)]);
    mkdirSync(join(folder, 'samples'));
    const png = encodePicture({ width: 1, height: 1, data: Uint8Array.of(1, 2, 3) });
    writeFileSync(join(folder, 'samples/step-00000500.png'), png);
    writeReport(folder, 'toy');
    const html = readReport();
    expect(html).toContain(`src="data:image/png;base64,${Buffer.from(png).toString('base64')}"`);
    expect(html).toContain('uPlot=function');
    const addresses = [...html.matchAll(/(?:src|href)="([^"]*)"/g)].map(([, address]) => address);
    expect(addresses.filter((address) => !address.startsWith('data:'))).toEqual([]);
    expect(html).not.toMatch(/@import|url\(|fetch\(|XMLHttpRequest|<link|import\(/);
  });

  it('shows the newest eight samples, newest first', () => {
    writeLog([line(1, 4)]);
    mkdirSync(join(folder, 'samples'));
    for (let step = 1; step <= 10; step++) writeFileSync(join(folder, `samples/step-${String(step).padStart(8, '0')}.png`), 'x');
    writeReport(folder, 'toy');
    const shown = [...readReport().matchAll(/<figcaption>step-0*(\d+)</g)].map(([, step]) => Number(step));
    expect(shown).toEqual([10, 9, 8, 7, 6, 5, 4, 3]);
  });

  it('is not written while there is nothing to show', () => {
    writeReport(folder, 'toy');
    writeLog([]);
    writeReport(folder, 'toy');
    expect(existsSync(join(folder, 'report.html'))).toBe(false);
  });
});
