import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { BackendChoice } from '../backend';
import { CliError } from '../errors';
import { DEFAULT_MODEL, loadModel } from '../model';
import type { Terminal } from '../terminal';
import { drawGraphs, readGraphs, reportDrawing } from './generate';

/** One whose series is easy to follow; others draw other scenes. */
const SEED = 14;

/** Draws the series of sg2im's Figure 6 with the model that ships. */
export async function demo(out: string, backend: BackendChoice, terminal: Terminal): Promise<void> {
  const begun = performance.now();
  const file = exampleFile();
  terminal.note(`Drawing ${file} with the model "${DEFAULT_MODEL}" …`);
  const pipeline = await loadModel(DEFAULT_MODEL, terminal);
  try {
    const graphs = readGraphs(file, file, pipeline.vocabulary, pipeline.maxTriples);
    const names = graphs.map((_, i) => `figure-6-${i + 1}`);
    const drawn = await drawGraphs(pipeline, graphs, names, { out, strip: 'figure-6.png', seed: SEED }, terminal);
    reportDrawing(drawn, graphs, backend, (performance.now() - begun) / 1000, terminal);
  } finally {
    pipeline.dispose();
  }
  terminal.say('');
  terminal.say('Next:');
  terminal.say('  your own graph    npm run -s sgdiff -- generate "sheep standing on grass; tree behind sheep" --seed 79 --out out/');
  terminal.say('  change it         npm run -s sgdiff -- edit out/picture.png --change "sheep -> cow" --out out/edit.png');
  terminal.say('  in the browser    npm run web');
  terminal.say('  train your own    npm run -s sgdiff -- prepare picture-book   (then see docs/training.md)');
}

function exampleFile(): string {
  for (let folder = dirname(fileURLToPath(import.meta.url)); folder !== dirname(folder); folder = dirname(folder)) {
    const file = join(folder, 'examples/graphs/figure-6.json');
    if (existsSync(file)) return file;
  }
  throw new CliError('examples/graphs/figure-6.json was not found: run the demo from a clone of the repository.');
}
