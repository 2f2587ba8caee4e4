import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DRAWING_FILES, type ModelManifest } from '@sgdiff/pipeline';
import { CHROMIUM_FLAGS, findChromium, setupBackend } from '@sgdiff/test-kit';
import { decode } from 'fast-png';
import { chromium, type Browser, type Page } from 'playwright-core';
import { build, preview, type PreviewServer } from 'vite';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { SERVED_FILES, webDemoConfig } from '../vite.config';
import { RECORD_KEYWORD } from './png';
import { writeRandomModel } from './testing/random-model';

const executablePath = findChromium();
const title = executablePath
  ? 'the app in Chromium'
  : 'the app in Chromium (skipped: none is installed; set CHROMIUM_PATH, or apt-get install chromium)';

describe.skipIf(!executablePath)(title, () => {
  const folder = mkdtempSync(join(tmpdir(), 'sgdiff-web-demo-'));
  const wrong: string[] = [];
  let server: PreviewServer;
  let browser: Browser;
  let url: string;
  let page: Page;

  beforeAll(async () => {
    await setupBackend('cpu');
    await writeRandomModel(join(folder, 'model'));
    const config = webDemoConfig({ modelFolder: join(folder, 'model'), outDir: join(folder, 'dist') });
    await build({ ...config, configFile: false, logLevel: 'warn' });
    server = await preview({
      ...config,
      configFile: false,
      logLevel: 'warn',
      preview: { ...config.preview, host: '127.0.0.1', port: 0 },
    });
    url = server.resolvedUrls!.local[0]!;
    browser = await chromium.launch({ executablePath: executablePath!, args: CHROMIUM_FLAGS, timeout: 120_000 });
  });

  afterAll(async () => {
    await browser?.close();
    await server?.close();
    rmSync(folder, { recursive: true, force: true });
  });

  beforeEach(() => void wrong.splice(0));
  afterEach(() => page.close());

  it('draws on wasm with previews on the way, and without a word on the console', async () => {
    await open();
    expect(await page.textContent('#status')).toMatch(/^Ready on wasm/);
    await watchPictures();
    await page.fill('#seed', '11');
    await page.click('#draw');
    await idle();
    expect(await page.locator('#facts li').allTextContents()).toEqual([
      expect.stringMatching(/^\d+\.\d s$/),
      expect.stringMatching(/^wasm(, \d+ threads)?$/),
      'seed 11',
      '4 steps',
      'guidance 2',
    ]);
    const picture = await pixels();
    expect(new Set(picture).size).toBeGreaterThan(20);
    expect(await page.evaluate('window.painted')).toBeGreaterThan(2); // 3 previews, the picture
    expect(wrong).toEqual([]);
  });

  it('keeps the seed when the graph changes, shows the picture before, and brings it back', async () => {
    await open();
    await page.click('#draw');
    await idle();
    const first = await pixels();
    await page.fill('#scene', 'sky above grass; sheep standing on grass; sheep 2 by sheep');
    expect(await page.locator('.node.new text').allTextContents()).toEqual(['sheep', 'sheep 2']);
    await page.keyboard.press('Control+Enter');
    await idle();
    const second = await pixels();
    expect(second).not.toEqual(first);
    expect(await page.textContent('#before-text')).toContain('same seed');
    await page.click('#before');
    expect(await pixels()).toEqual(first);
    expect(await page.inputValue('#scene')).toBe('sky above grass; zebra standing on grass');
    await page.click('#reroll');
    await idle();
    expect(await pixels()).not.toEqual(first);
    expect(wrong).toEqual([]);
  });

  it('suggests the word that a typo may stand for, and writes it', async () => {
    await open();
    await page.fill('#scene', 'shepe standing on grass; tree behind sheep');
    expect(await page.textContent('#problems li')).toContain(
      'clauses[0]: expected one of the 35 known objects, received "shepe"; perhaps "sheep" is meant.',
    );
    expect(await page.isDisabled('#draw')).toBe(true);
    await page.getByRole('button', { name: 'Write sheep instead' }).click();
    expect(await page.inputValue('#scene')).toBe('sheep standing on grass; tree behind sheep');
    expect(await page.locator('#problems li').count()).toBe(0);
    expect(await page.isDisabled('#draw')).toBe(false);
    expect(wrong).toEqual([]);
  });

  it('draws the series and is cancelled in the middle of it, ready for more', async () => {
    await open();
    await page.click('#draw-all');
    await page.waitForSelector('.tile.drawn');
    await setSteps(50);
    await page.click('#cancel');
    await idle();
    expect(await page.textContent('#caption')).toBe('Cancelled.');
    await setSteps(4);
    const drawn = await page.locator('.tile.drawn').count();
    expect(drawn).toBeGreaterThan(0);
    expect(drawn).toBeLessThan(7);
    await page.click('#draw-all');
    await idle();
    expect(await page.locator('.tile.drawn').count()).toBe(7);
    expect(wrong).toEqual([]);
  });

  it('hands out a PNG of the same pixels with the request record in it', async () => {
    await open();
    await page.click('.tile >> nth=1');
    await idle();
    const [file] = await Promise.all([page.waitForEvent('download'), page.click('#download')]);
    expect(file.suggestedFilename()).toBe('sky-grass-sheep-14.png');
    const png = decode(readFileSync(await file.path()));
    expect([...png.data]).toEqual(await pixels());
    expect(JSON.parse(png.text[RECORD_KEYWORD]!)).toMatchObject({
      format: 1,
      graph: { objects: ['sky', 'grass', 'sheep'] },
      model: { name: 'random' },
      seed: 14,
      steps: 4,
      backend: 'wasm',
    });
    expect(wrong).toEqual([]);
  });

  it('says what to do when the model is not there', async () => {
    page = await browser.newPage();
    await page.route('**/model/unet.safetensors', (route) => route.fulfill({ status: 404 }));
    await page.goto(url);
    await page.waitForSelector('#status[data-state=failed]');
    expect(await page.textContent('#unavailable')).toContain(
      'unet.safetensors could not be read: the server answered 404.',
    );
    expect(await page.isDisabled('#draw')).toBe(true);
  });

  it('says which relations got no token of their own', async () => {
    const manifest = join(folder, 'dist/model/model.json');
    const whole = readFileSync(manifest, 'utf8');
    const { parts, ...rest } = JSON.parse(whole) as ModelManifest;
    writeFileSync(
      manifest,
      JSON.stringify({ ...rest, parts: { ...parts, encoder: { ...parts.encoder, maxTriples: 3, overflow: 'first' } } }),
    );
    try {
      await open();
      await page.click('#draw'); // 2 relations, and 3 objects that are in the image
      await idle();
      const fact = page.locator('#facts li').last();
      expect(await fact.textContent()).toBe('2 relations without a token of their own');
      expect(await fact.getAttribute('title')).toMatch(/: \w+ __in_image__ __image__, \w+ __in_image__ __image__\.$/);
      expect(wrong).toEqual([]);
    } finally {
      writeFileSync(manifest, whole);
    }
  });

  it('fits a narrow screen without scrolling sideways', async () => {
    await open({ width: 390, height: 844 });
    await page.fill(
      '#scene',
      'elephant in front of umbrella; umbrella right of elephant 2; giraffe surrounding mountain; mountain; mountain 2',
    );
    expect(await page.evaluate('document.documentElement.scrollWidth')).toBe(390);
    expect(wrong).toEqual([]);
  });

  it('serves exactly the files that drawing reads', () => {
    expect(SERVED_FILES).toEqual(['model.json', ...DRAWING_FILES]);
  });

  it('has a thread per core, and draws the same with one', async () => {
    await open({ query: '?threads=1' });
    expect(await page.textContent('#status')).toBe('Ready on wasm');
    await setSteps(2);
    await page.click('#draw');
    await idle();
    const alone = await pixels();
    await page.close();
    await open();
    expect(await page.evaluate('crossOriginIsolated')).toBe(true);
    const cores = await page.evaluate('navigator.hardwareConcurrency');
    expect(await page.textContent('#status')).toBe(cores === 1 ? 'Ready on wasm' : `Ready on wasm, ${cores} threads`);
    await setSteps(2);
    await page.click('#draw');
    await idle();
    expect(await pixels()).toEqual(alone);
    expect(wrong).toEqual([]);
  });

  /** A fresh page, ready to draw with 4 steps. */
  async function open({ width = 1280, height = 900, query = '' } = {}): Promise<void> {
    page = await browser.newPage({ viewport: { width, height } });
    page.on('console', (message) => wrong.push(`${message.type()}: ${message.text()}`));
    page.on('pageerror', (error) => wrong.push(error.message));
    page.on('requestfailed', (request) => wrong.push(`${request.url()}: ${request.failure()?.errorText}`));
    await page.goto(url + query);
    await page.waitForSelector('#status:not([data-state=loading])', { timeout: 90_000 });
    expect(await page.textContent('#unavailable')).toBe('');
    await setSteps(4);
  }

  async function setSteps(steps: number): Promise<void> {
    await page.fill('#steps', String(steps));
  }

  async function idle(): Promise<void> {
    await page.waitForSelector('#picture-card[aria-busy=false]', { timeout: 90_000 });
  }

  /** RGB bytes of the picture on the page. */
  async function pixels(): Promise<number[]> {
    return page.evaluate<number[]>(`(() => {
      const canvas = document.getElementById('picture');
      const copy = new OffscreenCanvas(canvas.width, canvas.height).getContext('2d', { willReadFrequently: true });
      copy.drawImage(canvas, 0, 0);
      const { data } = copy.getImageData(0, 0, canvas.width, canvas.height);
      return [...data].filter((_, i) => i % 4 !== 3);
    })()`);
  }

  /** Counts in `window.painted` how often the picture is painted. */
  async function watchPictures(): Promise<void> {
    await page.evaluate(`(() => {
      window.painted = 0;
      const context = document.getElementById('picture').getContext('2d');
      const put = context.putImageData.bind(context);
      context.putImageData = (...args) => { window.painted++; put(...args); };
    })()`);
  }
});
