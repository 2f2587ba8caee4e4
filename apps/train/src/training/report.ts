import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { writeFileAtomic } from '../files';

type LogLine = { step: number; seconds: number } & Record<string, number>;

const NOT_PLOTTED = new Set(['step', 'seconds', 'tensors', 'bytes']);
const SHOWN_SAMPLES = 8;

/** Writes `report.html`: curves of the loss log and the newest sample grids, in one file that needs no network. */
export function writeReport(folder: string, title: string): void {
  const lines = readLog(join(folder, 'log.jsonl'));
  if (lines.length === 0) return;
  const names = Object.keys(lines[lines.length - 1]).filter((name) => !NOT_PLOTTED.has(name));
  const series = Object.fromEntries(names.map((name) => [name, smooth(lines.map((line) => line[name] ?? NaN))]));
  const last = lines[lines.length - 1];
  const require = createRequire(import.meta.url);
  const script = readFileSync(require.resolve('uplot/dist/uPlot.iife.min.js'), 'utf8');
  const style = readFileSync(require.resolve('uplot/dist/uPlot.min.css'), 'utf8');
  const samples = sampleFiles(join(folder, 'samples'));
  const html = `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>${title} · sgdiff</title>
<style>${style}
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 1100px; padding: 0 1rem; color: #222; }
#curves { display: flex; flex-wrap: wrap; gap: 1.5rem; }
figure { margin: 1rem 0; }
img { max-width: 100%; image-rendering: pixelated; border: 1px solid #ddd; }
td, th { padding: 0.1rem 1rem 0.1rem 0; text-align: left; font-variant-numeric: tabular-nums; }
</style>
<h1>${title}</h1>
<table>
<tr><th>step</th><td>${last.step}</td></tr>
<tr><th>training time</th><td>${Math.round(last.seconds)} s</td></tr>
${names.map((name) => `<tr><th>${name}</th><td>${series[name][lines.length - 1].toPrecision(4)}</td></tr>`).join('\n')}
</table>
<div id="curves"></div>
${samples.map(({ name, data }) => `<figure><figcaption>${name}</figcaption><img alt="samples at ${name}" src="data:image/png;base64,${data}"></figure>`).join('\n')}
<script>${script}</script>
<script>
const steps = ${JSON.stringify(lines.map((line) => line.step))};
const series = ${JSON.stringify(series)};
for (const [name, values] of Object.entries(series)) {
  const place = document.getElementById('curves').appendChild(document.createElement('div'));
  const positive = values.every((value) => value === null || value > 0);
  new uPlot({
    title: name, width: 500, height: 260,
    scales: { x: { time: false }, y: positive ? { distr: 3 } : {} },
    series: [{ label: 'step' }, { label: name, stroke: '#2a6fbb', width: 1.5 }],
  }, [steps, values], place);
}
</script>
</html>
`;
  writeFileAtomic(join(folder, 'report.html'), html);
}

function readLog(path: string): LogLine[] {
  if (!existsSync(path)) return [];
  const lines: LogLine[] = [];
  for (const line of readFileSync(path, 'utf8').split('\n')) {
    if (!line) continue;
    try {
      lines.push(JSON.parse(line) as LogLine);
    } catch {
      // A line torn by a crash: the curve does without it.
    }
  }
  return lines;
}

/** Exponential mean over about ten log lines; the raw curve of a diffusion loss shows nothing but noise. */
function smooth(values: number[]): number[] {
  let mean = NaN; // until a term that comes later in the run is there
  let count = 0;
  return values.map((value) => {
    if (Number.isNaN(value)) return mean;
    count += 1;
    mean = count === 1 ? value : mean + (value - mean) * Math.max(0.1, 1 / count);
    return Number(mean.toPrecision(6));
  });
}

function sampleFiles(folder: string): { name: string; data: string }[] {
  if (!existsSync(folder)) return [];
  return readdirSync(folder)
    .filter((file) => file.endsWith('.png'))
    .sort()
    .reverse()
    .slice(0, SHOWN_SAMPLES)
    .map((file) => ({ name: file.replace(/\.png$/, ''), data: readFileSync(join(folder, file)).toString('base64') }));
}
