import { existsSync } from 'node:fs';
import { constants } from 'node:os';
import { join } from 'node:path';
import { messageOf } from './errors';

/** Keeps a library loaded that Node finds to be no add-on; missing in Node's constants. */
const RTLD_NODELETE = 0x1000;

/** Where Chromium lies, which brings a Vulkan loader and the software adapter SwiftShader. */
const CHROMIUM_FOLDERS = [
  '/usr/lib/chromium',
  '/usr/lib/chromium-browser',
  '/usr/lib64/chromium-browser',
  '/opt/google/chrome',
  '/opt/microsoft/msedge',
];

/**
 * Lets Dawn find Vulkan on Linux, before it is asked for an adapter: the system's loader and drivers, else those of a
 * Chromium. A driver named in `VK_DRIVER_FILES` or `VK_ICD_FILENAMES` stands alone.
 *
 * @returns what is missing, if anything.
 */
export function prepareVulkan(): string | undefined {
  if (process.platform !== 'linux') return undefined;
  const loaders = [
    'libvulkan.so.1',
    ...CHROMIUM_FOLDERS.map((folder) => join(folder, 'libvulkan.so.1')).filter(existsSync),
  ];
  if (!loaders.some(staysLoaded)) return 'there is no Vulkan loader (libvulkan.so.1)';
  const software = CHROMIUM_FOLDERS.map((folder) => join(folder, 'vk_swiftshader_icd.json')).find(existsSync);
  if (software !== undefined) process.env['VK_ADD_DRIVER_FILES'] ??= software;
  return undefined;
}

/** Dawn opens the loader by its bare name, which also finds what is loaded already, from wherever it came. */
function staysLoaded(library: string): boolean {
  try {
    process.dlopen({ exports: {} }, library, constants.dlopen.RTLD_NOW | RTLD_NODELETE);
    return true;
  } catch (error) {
    return !/cannot open shared object/.test(messageOf(error)); // loaded, though no add-on
  }
}
