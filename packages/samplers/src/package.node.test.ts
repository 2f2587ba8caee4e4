// What whoever installs the package gets: its size, what it asks of where it runs, and that it runs there.
import { execFileSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import { gzipSync } from 'node:zlib';
import { build as bundle, type BuildResult } from 'esbuild';
import { build, type Options } from 'tsup';
import { beforeAll, describe, expect, it } from 'vitest';
import config from '../tsup.config';
import * as sampler from './index';

const HOME = fileURLToPath(new URL('..', import.meta.url));
const OUT = `${HOME}.reports/package`; // within the package, so that its imports resolve
const KB = 1000;

/** A bundle of what `code` takes from the package, TensorFlow.js left outside. */
function bundled(code: string): Promise<BuildResult<{ write: false; metafile: true }>> {
  return bundle({
    stdin: { contents: code, resolveDir: `${HOME}src` },
    bundle: true,
    minify: true,
    format: 'esm',
    target: 'es2022',
    external: ['@tensorflow/tfjs-core'],
    logLevel: 'error',
    write: false,
    metafile: true,
    absWorkingDir: HOME,
  });
}

async function gzipBytes(code: string): Promise<number> {
  return gzipSync((await bundled(code)).outputFiles[0]!.contents, { level: 9 }).length;
}

describe('size', () => {
  it('of the whole package: below 15 KB, minified and gzipped, without TensorFlow.js', async () => {
    expect(await gzipBytes("export * from './index'")).toBeLessThan(15 * KB);
  });

  it('of each sampler alone: below 4 KB', async () => {
    const names = Object.keys(sampler).filter((name) => name.startsWith('sample'));
    const sizes: Record<string, number> = {};
    for (const name of names) sizes[name] = await gzipBytes(`export { ${name} } from './index'`);
    expect(names.length).toBeGreaterThanOrEqual(15);
    expect(Object.entries(sizes).filter(([, bytes]) => bytes >= 4 * KB)).toEqual([]);
  });

  it('of a function that runs no sampler: without the samplers', async () => {
    expect(await gzipBytes("export { karrasSigmas } from './index'")).toBeLessThan(KB);
    expect(await gzipBytes("import './index'")).toBeLessThan(100); // an import alone costs nothing
  });
});

describe('what it asks for', () => {
  it('is TensorFlow.js and nothing else: no network, no files, no process, no other package', async () => {
    const { metafile, outputFiles } = await bundled("export * from './index'");
    const imports = Object.values(metafile.outputs).flatMap((output) => output.imports.map(({ path }) => path));
    expect([...new Set(imports)]).toEqual(['@tensorflow/tfjs-core']);
    expect(Object.keys(metafile.inputs).filter((path) => !/^(src\/[\w-]+\.ts|<stdin>)$/.test(path))).toEqual([]);
    const foreign =
      /\b(fetch|XMLHttpRequest|WebSocket|EventSource|importScripts|require|process|Buffer|document|window|localStorage|Date|eval)\b\s*[.(]|\bMath\.random\b|\bimport\s*\(/;
    expect(foreign.exec(outputFiles[0]!.text)).toBeNull();
  });
});

describe('the built package', () => {
  const RUN = `
    await tf.setBackend('cpu');
    const schedule = createSchedule({ kind: 'cosine', timesteps: 1000 });
    const sigmas = karrasSigmas(schedule.sigmas[0], schedule.sigmas.at(-1), 5);
    const noise = perItemNoise([1, 2]);
    const xT = initialNoise(noise, [2, 3], sigmas);
    const x = await sampleDdim((x, sigma) => tf.div(x, 1 + sigma * sigma), xT, sigmas, { noise, eta: 1 });
    const values = Array.from(x.dataSync());
  `;
  const NAMES = '{ createSchedule, initialNoise, karrasSigmas, perItemNoise, sampleDdim }';
  let want: string;

  beforeAll(async () => {
    mkdirSync(OUT, { recursive: true });
    const settings = { ...(config as Options), dts: false, sourcemap: false, clean: false, silent: true };
    await build({ ...settings, config: false, outDir: OUT });
    const files = {
      'run.mjs': `import * as tf from '@tensorflow/tfjs';\nimport ${NAMES} from './index.js';\n${RUN}\nconsole.log(JSON.stringify(values));`,
      'run.cjs':
        `const tf = require('@tensorflow/tfjs');\nconst ${NAMES} = require('./index.cjs');\n` +
        `(async () => {${RUN}\nconsole.log(JSON.stringify(values));})();`,
      'worker.mjs':
        `import { parentPort } from 'node:worker_threads';\nimport * as tf from '@tensorflow/tfjs';\n` +
        `import ${NAMES} from './index.js';\n${RUN}\nparentPort.postMessage(JSON.stringify(values));`,
    };
    for (const [name, code] of Object.entries(files)) writeFileSync(`${OUT}/${name}`, code);
    want = lastLine(execFileSync(process.execPath, [`${OUT}/run.mjs`], { encoding: 'utf8' }));
  });

  const lastLine = (text: string) => text.trim().split('\n').at(-1)!;

  it('runs in Node as ES module and as CommonJS, with the same numbers', () => {
    expect(JSON.parse(want)).toHaveLength(6);
    expect((JSON.parse(want) as number[]).every(Number.isFinite)).toBe(true);
    expect(lastLine(execFileSync(process.execPath, [`${OUT}/run.cjs`], { encoding: 'utf8' }))).toBe(want);
  });

  it('runs in a worker, with the same numbers', async () => {
    const worker = new Worker(`${OUT}/worker.mjs`, { stdout: true, stderr: true });
    const told = await new Promise((resolve, reject) => worker.once('message', resolve).once('error', reject));
    await worker.terminate();
    expect(told).toBe(want);
  });

  it('offers the same names as ES module, as CommonJS and as source', () => {
    const names = (code: string, kind: string) =>
      execFileSync(process.execPath, [`--input-type=${kind}`, '--eval', code], { encoding: 'utf8' }).trim();
    const source = Object.keys(sampler).sort().join();
    expect(
      names(
        `import * as s from ${JSON.stringify(`${OUT}/index.js`)}; console.log(Object.keys(s).sort().join())`,
        'module',
      ),
    ).toBe(source);
    expect(
      names(`console.log(Object.keys(require(${JSON.stringify(`${OUT}/index.cjs`)})).sort().join())`, 'commonjs'),
    ).toBe(source);
  });
});
