import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CHROMIUM_FLAGS, findChromium, SWIFTSHADER_FLAGS } from '@sgdiff/test-kit';
import { chromium, type Browser } from 'playwright-core';
import { build, defaultClientConditions, preview, type InlineConfig, type PreviewServer } from 'vite';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ISOLATION } from '../vite.config';
import type { PageReport } from './testing/contract-page/main';

const executablePath = findChromium();
const title = executablePath
  ? 'the operations keep their contract in Chromium'
  : 'the operations keep their contract in Chromium (skipped: none is installed; set CHROMIUM_PATH, or apt-get install chromium)';

// Emulated GPUs and busy machines take their time.
const TIMEOUT = 600_000;

describe.skipIf(!executablePath)(title, () => {
  const outDir = mkdtempSync(join(tmpdir(), 'sgdiff-contract-'));
  let server: PreviewServer;
  let browser: Browser;

  beforeAll(async () => {
    const config: InlineConfig = {
      configFile: false,
      root: join(import.meta.dirname, 'testing/contract-page'),
      logLevel: 'warn',
      resolve: { conditions: ['@sgdiff/source', ...defaultClientConditions] },
      build: { target: 'es2022', outDir, emptyOutDir: true, chunkSizeWarningLimit: 2000 },
      preview: { headers: ISOLATION, host: '127.0.0.1', port: 0 },
    };
    await build(config);
    server = await preview(config);
    browser = await chromium.launch({
      executablePath: executablePath!,
      args: [...CHROMIUM_FLAGS, ...SWIFTSHADER_FLAGS],
      timeout: 120_000,
    });
  });

  afterAll(async () => {
    await browser?.close();
    await server?.close();
    rmSync(outDir, { recursive: true, force: true });
  });

  it.each([
    ['wasm', 1, 'all'],
    ['wasm', 2, 'all'],
    ['webgpu', 1, 'small'],
  ])(
    'on %s, threads: %i, cases: %s',
    async (backend, threads, size) => {
      const page = await browser.newPage();
      await page.goto(server.resolvedUrls!.local[0]!);
      await page.waitForFunction('globalThis.runContractOn');
      const report = await page.evaluate<PageReport>(`runContractOn('${backend}', ${threads}, '${size}')`);
      expect(report.failures).toEqual([]);
      expect(report).toMatchObject({ backend, threads });
      expect(report.checks).toBeGreaterThan(1000);
      await page.close();
    },
    TIMEOUT,
  );
});
