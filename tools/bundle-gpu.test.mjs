// The archive for GPU machines as its user gets it: unpacked in an empty folder, run without Node on the path.
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { LIMIT_BYTES, makeBundle, NAME } from './bundle-gpu/bundle.mjs';

const linux = process.platform === 'linux' && process.arch === 'x64';
const folder = mkdtempSync(join(tmpdir(), 'sgdiff-bundle-test-'));
const archive = join(folder, 'bundle.tar.gz');
const cwd = join(folder, 'work');
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Runs the launcher with nothing in the environment but where to find a driver. Gives standard output. */
function sgdiff(...args) {
  const { VK_DRIVER_FILES = '', VK_ICD_FILENAMES = '' } = process.env;
  const drivers = Object.fromEntries(Object.entries({ VK_DRIVER_FILES, VK_ICD_FILENAMES }).filter(([, value]) => value));
  const env = { PATH: join(folder, 'path'), ...drivers };
  return execFileSync(join(folder, NAME, 'sgdiff'), args, { cwd, env, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
}

describe.skipIf(!linux)('the GPU bundle (made on linux-x64 only)', () => {
  let size;
  beforeAll(async () => {
    size = await makeBundle(archive);
    execFileSync('tar', ['-xzf', archive], { cwd: folder });
    mkdirSync(cwd);
    mkdirSync(join(folder, 'path'));
    for (const tool of ['dirname', 'readlink']) symlinkSync(`/usr/bin/${tool}`, join(folder, 'path', tool));
  }, 300_000);

  it('is small, and one folder that holds everything', () => {
    expect(size).toBeLessThanOrEqual(LIMIT_BYTES);
    const names = execFileSync('tar', ['-tzf', archive], { encoding: 'utf8' }).trim().split('\n');
    expect(names.filter((name) => !name.startsWith(`${NAME}/`))).toEqual([]);
    for (const file of ['sgdiff', 'node', 'README.md', 'LICENSE', 'lib/main.js', 'lib/node_modules/webgpu/dist/linux-x64/dawn.node']) {
      expect(names).toContain(`${NAME}/${file}`);
    }
    expect(readFileSync(join(folder, NAME, 'THIRD-PARTY.txt'), 'utf8')).toMatch(/^Node\.js v/);
  });

  it('shows which backends work, with its own Node, Dawn and packages', () => {
    const { backends } = JSON.parse(sgdiff('doctor', '--json'));
    const byName = Object.fromEntries(backends.map((backend) => [backend.name, backend]));
    expect(byName.wasm).toMatchObject({ available: true });
    expect(byName.webgpu.reason).not.toMatch(/not installed|does not load/);
  }, 120_000);

  it('prepares data, trains, draws', () => {
    const config = { data: { train: 8, validation: 4, test: 1, detector: 1 }, autoencoder: { steps: 1, batchSize: 2 } };
    writeFileSync(join(cwd, 'tiny.json'), JSON.stringify(config));
    sgdiff('prepare', 'picture-book', '--config', 'tiny.json');
    sgdiff('train', 'autoencoder', '--config', 'tiny.json', '--backend', 'wasm');
    expect(existsSync(join(cwd, '.runs/picture-book/autoencoder/weights.safetensors'))).toBe(true);
    sgdiff('generate', 'sheep standing on grass', '--steps', '1', '--backend', 'wasm');
    expect(existsSync(join(cwd, 'out/picture.png'))).toBe(true);
  }, 120_000);
});
