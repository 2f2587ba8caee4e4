// That the package runs in a page and in a web worker, with the numbers that Node has.
import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { CHROMIUM_FLAGS, findChromium, setupBackend } from '@sgdiff/test-kit';
import { build } from 'esbuild';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { runEverySampler, type RunReport } from './testing/run-every-sampler';

const chromium = findChromium();
const title = chromium
  ? 'in Chromium'
  : 'in Chromium (skipped: none is installed; set CHROMIUM_PATH, or apt-get install chromium)';

const RUN = `import '@tensorflow/tfjs'; import { runEverySampler } from './testing/run-every-sampler';
  const told = () => runEverySampler().catch((error) => ({ failed: String(error?.stack ?? error) }));`;
const WORKER = `${RUN} told().then((report) => postMessage(report));`;
const PAGE = `${RUN}
  const ofWorker = (options) => new Promise((resolve) => {
    const worker = new Worker('/worker.js', options);
    worker.onmessage = ({ data }) => resolve(data);
    worker.onerror = ({ message }) => resolve({ failed: message });
  });
  const reports = { page: await told(), worker: await ofWorker(), moduleWorker: await ofWorker({ type: 'module' }) };
  await fetch('/report', { method: 'POST', body: JSON.stringify(reports) });`;

describe.skipIf(!chromium)(title, () => {
  const profile = mkdtempSync(join(tmpdir(), 'sgdiff-sampler-'));
  let server: Server;
  let browser: ChildProcess;
  let reports: Record<'page' | 'worker' | 'moduleWorker', RunReport>;
  let want: RunReport;

  beforeAll(async () => {
    await setupBackend('cpu');
    want = await runEverySampler();
    const [page, worker] = await Promise.all([bundled(PAGE, 'esm'), bundled(WORKER, 'iife')]);
    const files: Record<string, [type: string, text: string]> = {
      '/': [
        'text/html',
        '<!doctype html><link rel="icon" href="data:,"><script type="module" src="/page.js"></script>',
      ],
      '/page.js': ['text/javascript', page],
      '/worker.js': ['text/javascript', worker],
    };
    const reported = new Promise<string>((resolve) => {
      server = createServer((request, response) => {
        const [type, text] = files[request.url ?? ''] ?? ['text/plain', ''];
        let body = '';
        request.on('data', (part) => (body += String(part)));
        request.on('end', () => {
          if (request.url === '/report') resolve(body);
          response.setHeader('content-type', type).end(text);
        });
      });
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as AddressInfo;
    const flags = [...CHROMIUM_FLAGS, '--headless=new', '--disable-gpu', `--user-data-dir=${profile}`];
    browser = spawn(chromium!, [...flags, `http://127.0.0.1:${port}/`], { stdio: 'ignore' });
    const ended = new Promise<never>((_, reject) => {
      browser.once('error', reject).once('exit', (code) => reject(new Error(`Chromium ended with ${code}.`)));
    });
    reports = JSON.parse(await Promise.race([reported, ended])) as typeof reports;
  }, 240_000);

  afterAll(async () => {
    const gone = new Promise((resolve) => browser?.once('exit', resolve) ?? resolve(undefined));
    browser?.kill();
    await gone;
    server?.close();
    server?.closeAllConnections();
    rmSync(profile, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 });
  });

  for (const where of ['page', 'worker', 'moduleWorker'] as const) {
    it(`every sampler runs in a ${where === 'moduleWorker' ? 'worker that is a module' : where}, with the numbers of Node, and leaves nothing behind`, () => {
      const { left, results } = reports[where];
      expect(reports[where]).not.toHaveProperty('failed');
      expect(left).toBe(0);
      expect(Object.keys(results)).toEqual(Object.keys(want.results));
      expect(Object.keys(results).length).toBeGreaterThanOrEqual(18);
      // The engines' logarithms and powers may differ in the last bit.
      for (const [name, values] of Object.entries(want.results)) {
        expect(results[name], name).toBeAllClose(values, { rtol: 1e-5, atol: 1e-6 });
      }
    });
  }
});

/** What `code` says, in a folder of the package's sources, as one file for browsers. */
async function bundled(code: string, format: 'esm' | 'iife'): Promise<string> {
  const { outputFiles } = await build({
    stdin: { contents: code, resolveDir: fileURLToPath(new URL('.', import.meta.url)) },
    bundle: true,
    format,
    platform: 'browser',
    target: 'es2022',
    logLevel: 'error',
    write: false,
  });
  return outputFiles[0]!.text;
}
