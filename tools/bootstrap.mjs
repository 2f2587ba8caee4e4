// The way in from a fresh clone: needs Node and npm only. Installs with the pinned pnpm when the lockfile
// or a manifest changed, builds what the task needs, then runs it. The npm scripts start check-node.cjs before it.
import { spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
// Under `npm run -s` npx and pnpm would fail without a word.
const outspoken = { npm_config_loglevel: 'warn' };

const userFolder = process.env.INIT_CWD ?? process.cwd();
const [task, ...args] = process.argv.slice(2);
const tasks = { demo, test, sgdiff, web, build, bench, benchSamplers, bundle };
if (!(task in tasks)) fail(`unknown task "${task}", expected one of: ${Object.keys(tasks).join(', ')}.`);
await tasks[task]();

async function demo() {
  await command('demo', ...args);
}

async function sgdiff() {
  await command(...args);
}

async function bench() {
  await app('bench', ...args);
}

/** Measures the samplers, and writes the table and the plot of docs/samplers.md: of a part of the table, or of another model, beside the cells. */
async function benchSamplers() {
  const own = args.find((arg) => /^--(out|cells)\b/.test(arg));
  if (own) fail(`${own}: the files of this benchmark are where it keeps them. "npm run -s sgdiff -- evaluate-samplers" has the option.`);
  await install();
  const program = buildApp('train');
  const kept = '.reports/bench-samplers';
  const results = join(root, kept, 'results.json');
  rmSync(results, { force: true });
  const code = await run(process.execPath, [program, 'evaluate-samplers', ...args, '--cells', join(root, kept, 'cells.json'), '--out', results]);
  if (code !== 0 || !existsSync(results)) exit(code);
  const intoDocument = !args.some((arg) => /^--(only|steps|model|count|split|seed)\b/.test(arg));
  const [document, image] = intoDocument ? ['docs/samplers.md', 'docs/images/samplers.svg'] : [`${kept}/table.md`, `${kept}/plot.svg`];
  const { writeSamplersDocs } = await import('./samplers-docs.mjs');
  try {
    await writeSamplersDocs({ results, document: join(root, document), image: join(root, image), intoDocument });
  } catch (error) {
    fail(`${document}: ${error.message}`);
  }
  process.stderr.write(`Wrote ${document} and ${image}\n`);
}

/** Goes on as the command. */
async function command(...argv) {
  await app('train', ...argv);
}

/** Goes on as a program of apps/, in this process: a signal to npm reaches the one that has to save. */
async function app(name, ...argv) {
  await install();
  const program = buildApp(name);
  process.argv.splice(1, Infinity, program, ...argv);
  process.env.SGDIFF_CWD = userFolder;
  process.chdir(root);
  await import(pathToFileURL(program).href);
}

async function web() {
  await install();
  exit(await run(pnpmCommand(), pnpmArgs(['--filter', '@sgdiff/web-demo', 'run', 'dev', ...args])));
}

async function test() {
  await exec('node', 'tools/test.mjs');
}

async function build() {
  await exec('nx', 'run-many', '-t', 'build');
}

/** The archive for GPU machines: in out/, or where the user says. */
async function bundle() {
  if (args.length > 1 || args[0]?.startsWith('-')) {
    fail(`expected the path of the archive or nothing, received "${args.join(' ')}": npm run bundle:gpu -- server.tar.gz`);
  }
  await install();
  const target = args[0] === undefined ? join(root, 'out/sgdiff-gpu-linux-x64.tar.gz') : resolve(userFolder, args[0]);
  const { makeBundle } = await import('./bundle-gpu/bundle.mjs');
  process.stderr.write(`Making ${target} …\n`);
  try {
    const size = await makeBundle(target);
    process.stdout.write(`${target}  ${(size / 1e6).toFixed(1)} MB\n`);
  } catch (error) {
    fail(error.message);
  }
}

/** Runs a command of the workspace. Through pnpm, so that nx finds it on the path. */
async function exec(...command) {
  await install();
  exit(await run(pnpmCommand(), pnpmArgs(['exec', ...command, ...args])));
}

/** Installs once per state of the lockfile and the manifests. */
async function install() {
  const stamp = join(root, 'node_modules/.sgdiff-installed');
  const state = installState();
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === state) return;
  process.stderr.write('Installing packages …\n');
  const command = pnpmArgs(['install', '--frozen-lockfile', '--loglevel=info']);
  const done = await run(pnpmCommand(), command, { toStderr: true, env: outspoken });
  if (done !== 0) fail('installing the packages failed (see above). Is the npm registry reachable?', done);
  mkdirSync(dirname(stamp), { recursive: true });
  writeFileSync(stamp, state);
}

function installState() {
  const hash = createHash('sha256');
  const files = ['pnpm-lock.yaml', 'pnpm-workspace.yaml', 'package.json', 'tools/package.json'];
  for (const group of ['packages', 'apps'])
    for (const name of readdirSync(join(root, group)).sort()) files.push(`${group}/${name}/package.json`);
  for (const file of files) if (existsSync(join(root, file))) hash.update(file).update(readFileSync(join(root, file)));
  return hash.digest('hex');
}

/** The program of an app, bundled from the sources when any of them is newer than the bundle. */
function buildApp(name) {
  const program = join(root, 'apps', name, 'dist/main.js');
  const newest = Math.max(...['packages', `apps/${name}`, 'tools'].map((folder) => newestSource(join(root, folder))));
  if (existsSync(program) && statSync(program).mtimeMs > newest) return program;
  process.stderr.write(`Building apps/${name} …\n`);
  const built = spawnSync(pnpmCommand(), pnpmArgs(['--filter', `@sgdiff/${name}`, 'run', 'build']), {
    cwd: root,
    encoding: 'utf8',
    shell: process.platform === 'win32',
    env: { ...process.env, ...outspoken },
  });
  if (built.status !== 0) {
    process.stderr.write(`${built.stdout ?? ''}${built.stderr ?? ''}`);
    fail(`building apps/${name} failed (see above).`, built.status ?? 1);
  }
  return program;
}

function newestSource(folder) {
  let newest = 0;
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    if (entry.name === 'node_modules' || entry.name === 'dist' || entry.name.startsWith('.')) continue;
    const path = join(folder, entry.name);
    if (entry.isDirectory()) newest = Math.max(newest, newestSource(path));
    else if (/\.(ts|mjs|json)$/.test(entry.name) && !/\.test\.(ts|mjs)$/.test(entry.name))
      newest = Math.max(newest, statSync(path).mtimeMs);
  }
  return newest;
}

function pnpmCommand() {
  return process.platform === 'win32' ? 'npx.cmd' : 'npx';
}

function pnpmArgs(rest) {
  return ['--yes', manifest.packageManager, ...rest];
}

function run(command, commandArgs, { toStderr = false, env = {} } = {}) {
  const child = spawn(command, commandArgs, {
    cwd: root,
    stdio: ['inherit', toStderr ? 2 : 'inherit', 'inherit'],
    shell: command.endsWith('.cmd'),
    env: {
      NX_DAEMON: 'false',
      NX_DEFAULT_OUTPUT_STYLE: 'static', // shows what the targets print, which is what a benchmark is for
      ...process.env,
      ...env,
      SGDIFF_CWD: userFolder,
    },
  });
  // Nothing is left running behind: the terminal sends Ctrl-C to the child as well, other signals are passed on.
  const wait = () => undefined;
  const forward = (signal) => child.kill(signal);
  process.on('SIGINT', wait).on('SIGTERM', forward).on('SIGHUP', forward);
  return new Promise((resolve) => {
    child.on('error', (error) => fail(`could not start ${command}: ${error.message}`));
    child.on('close', (code) => {
      process.off('SIGINT', wait).off('SIGTERM', forward).off('SIGHUP', forward);
      resolve(code ?? 1);
    });
  });
}

function fail(message, code = 1) {
  process.stderr.write(`sgdiff: ${message}\n`);
  process.exit(code);
}

function exit(code) {
  process.exit(code);
}
