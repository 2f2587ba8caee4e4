// `npm run bundle:gpu`: one archive that runs `sgdiff` on a Linux machine with a GPU and nothing else: this Node, Dawn,
// the command with all its packages, the model that ships. Made on Linux; equal sources give equal bytes.
import { spawnSync } from 'node:child_process';
import { chmodSync, copyFileSync, cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'tsup';
import { stripElf } from './strip-elf.mjs';
import { thirdParty } from './third-party.mjs';

const here = dirname(fileURLToPath(import.meta.url));
const root = join(here, '../..');
const app = join(root, 'apps/train');
const requireFromApp = createRequire(join(app, 'package.json'));

export const NAME = 'sgdiff-gpu-linux-x64';
export const LIMIT_BYTES = 55e6;

/**
 * Writes the archive.
 *
 * @param target Path of the `.tar.gz`.
 * @returns Its size in bytes.
 * @throws Error on another platform than linux-x64, with a Node in several files, or if the archive is larger than `LIMIT_BYTES`.
 */
export async function makeBundle(target) {
  const platform = `${process.platform}-${process.arch}`;
  if (platform !== 'linux-x64') throw new Error(`bundle:gpu: expected to run on linux-x64, whose Node goes into the archive, received ${platform}.`);
  if (process.config.variables.node_shared) {
    throw new Error(`bundle:gpu: expected a Node in one file, as nodejs.org has it, received ${process.execPath}, which needs a libnode beside it.`);
  }
  const work = mkdtempSync(join(tmpdir(), 'sgdiff-bundle-'));
  try {
    const folder = join(work, NAME);
    mkdirSync(join(folder, 'lib'), { recursive: true });
    addNode(folder);
    const inputs = await addCommand(join(folder, 'lib'));
    const packages = addPackages(join(folder, 'lib'));
    addFiles(folder, thirdParty(inputs, packages));
    pack(work, target);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
  const { size } = statSync(target);
  if (size > LIMIT_BYTES) throw new Error(`bundle:gpu: ${target} has ${size} bytes, more than ${LIMIT_BYTES}. What has grown?`);
  return size;
}

function addNode(folder) {
  const node = join(folder, 'node');
  copyFileSync(process.execPath, node);
  stripElf(node);
}

/** The command and all JavaScript it needs in one file. Returns the files it was made of. */
async function addCommand(lib) {
  await build({
    config: false,
    entry: { main: join(app, 'src/main.ts') },
    tsconfig: join(app, 'tsconfig.json'),
    outDir: lib,
    format: ['esm'],
    target: 'node20',
    platform: 'node',
    splitting: false,
    silent: true,
    metafile: true,
    noExternal: [/./],
    // tfjs brings it along for browsers.
    esbuildPlugins: [leftOut('@tensorflow/tfjs-backend-webgl')],
    // Parts of tfjs are CommonJS; its wasm backend looks for its binaries in `__dirname`.
    banner: {
      js: [
        "import { createRequire as createRequireOfBundle } from 'node:module';",
        "import { dirname as dirnameOfBundle } from 'node:path';",
        "import { fileURLToPath as fileURLToPathOfBundle } from 'node:url';",
        'const require = createRequireOfBundle(import.meta.url);',
        'const __filename = fileURLToPathOfBundle(import.meta.url);',
        'const __dirname = dirnameOfBundle(__filename);',
      ].join('\n'),
    },
    esbuildOptions(options) {
      options.absWorkingDir = root;
      options.conditions = ['@sgdiff/source', 'import', 'module', 'default'];
      options.minify = true;
      options.legalComments = 'none'; // THIRD-PARTY.txt has them all
    },
  });
  const metafile = join(lib, 'metafile-esm.json');
  const inputs = Object.keys(JSON.parse(readFileSync(metafile, 'utf8')).inputs).map((file) => join(root, file));
  rmSync(metafile);
  writeFileSync(join(lib, 'package.json'), '{ "type": "module" }\n');
  const wasm = packageFolder('@tensorflow/tfjs-backend-wasm');
  for (const name of ['simd', 'threaded-simd']) {
    copyFileSync(join(wasm, `dist/tfjs-backend-wasm-${name}.wasm`), join(lib, `tfjs-backend-wasm-${name}.wasm`));
  }
  return inputs;
}

/** An empty module in place of a package. */
function leftOut(name) {
  return {
    name: `without ${name}`,
    setup({ onResolve, onLoad }) {
      onResolve({ filter: new RegExp(`^${name}$`) }, () => ({ path: name, namespace: 'left-out' }));
      onLoad({ filter: /./, namespace: 'left-out' }, () => ({ contents: '' }));
    },
  };
}

/** What the command looks for by its package's name as it runs. Returns the folders of the packages. */
function addPackages(lib) {
  const needed = {
    webgpu: ['index.js', 'dist/linux-x64/dawn.node'],
    '@resvg/resvg-wasm': ['index_bg.wasm'],
    uplot: ['dist/uPlot.iife.min.js', 'dist/uPlot.min.css'],
    '@sgdiff/model-picture-book': ['.'],
  };
  for (const [name, files] of Object.entries(needed)) {
    for (const file of ['package.json', ...files]) {
      const to = join(lib, 'node_modules', name, file);
      mkdirSync(dirname(to), { recursive: true });
      cpSync(join(packageFolder(name), file), to, { recursive: true, dereference: true, filter: (from) => !/node_modules|\.reports/.test(relative(packageFolder(name), from)) });
    }
  }
  stripElf(join(lib, 'node_modules/webgpu/dist/linux-x64/dawn.node'));
  return Object.keys(needed).map(packageFolder);
}

function packageFolder(name) {
  for (const folder of requireFromApp.resolve.paths(name)) if (existsSync(join(folder, name, 'package.json'))) return join(folder, name);
  throw new Error(`bundle:gpu: the package "${name}" is not installed. npm install fetches optional packages too.`);
}

function addFiles(folder, licences) {
  copyFileSync(join(here, 'sgdiff.sh'), join(folder, 'sgdiff'));
  for (const file of ['sgdiff', 'node']) chmodSync(join(folder, file), 0o755);
  copyFileSync(join(here, 'README.md'), join(folder, 'README.md'));
  copyFileSync(join(root, 'LICENSE'), join(folder, 'LICENSE'));
  writeFileSync(join(folder, 'THIRD-PARTY.txt'), licences);
  mkdirSync(join(folder, 'examples'));
  cpSync(join(root, 'examples/graphs'), join(folder, 'examples/graphs'), { recursive: true });
}

function pack(work, target) {
  mkdirSync(dirname(target), { recursive: true });
  const part = `${target}.part`; // a bundle that is there stays until the new one is whole
  const plain = ['--sort=name', '--mtime=@0', '--owner=0', '--group=0', '--numeric-owner', '--mode=u+w,go-w'];
  const { status, stderr } = spawnSync('tar', [...plain, '--use-compress-program=gzip -9n', '-cf', part, NAME], { cwd: work, encoding: 'utf8' });
  if (status !== 0) {
    rmSync(part, { force: true });
    throw new Error(`bundle:gpu: ${target} could not be written. Give another path. ${(stderr ?? '').trim().split('\n')[0]}`);
  }
  renameSync(part, target);
}
