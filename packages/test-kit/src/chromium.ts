import { spawnSync } from 'node:child_process';

const PLACES = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'];

/**
 * The Chromium that is installed here: the one in `CHROMIUM_PATH`, else the first in the usual places. It must tell its
 * version: Ubuntu's `chromium-browser` may be a script that only asks for the snap of that name.
 */
export function findChromium(): string | undefined {
  return [process.env['CHROMIUM_PATH'], ...PLACES].find(
    (path) => path && spawnSync(path, ['--version'], { timeout: 10_000 }).status === 0,
  );
}

/** Quiet and without asking anybody anything. */
export const CHROMIUM_FLAGS = [
  '--no-sandbox',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--no-first-run',
];

/** WebGPU on SwiftShader, which computes it without a GPU. */
export const SWIFTSHADER_FLAGS = ['--enable-unsafe-webgpu', '--use-webgpu-adapter=swiftshader'];
