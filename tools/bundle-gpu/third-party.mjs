import { existsSync, readdirSync, readFileSync, realpathSync } from 'node:fs';
import { dirname, join } from 'node:path';

/** Names, versions and licences of everything that is not ours: Node itself, and the packages that files and folders belong to. */
export function thirdParty(files, folders) {
  const found = new Map();
  for (const folder of [...new Set([...files.map(packageOf), ...folders.map((folder) => realpathSync(folder))])]) {
    if (folder === undefined) continue;
    const { name, version, license } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
    if (!name.startsWith('@sgdiff/')) found.set(`${name} ${version}`, `${license ?? ''}\n\n${licenceText(folder)}`);
  }
  const entries = [[`Node.js ${process.version}`, nodeLicence()], ...[...found].sort(([a], [b]) => (a < b ? -1 : 1))];
  return entries.map(([name, licence]) => `${name}\n${licence}`.trim()).join(`\n\n${'-'.repeat(80)}\n\n`) + '\n';
}

/** Comes with Node as it is published; some distributions leave it out. */
function nodeLicence() {
  const places = [join(dirname(process.execPath), '../LICENSE'), '/usr/share/doc/nodejs/LICENSE'];
  const file = places.find((path) => existsSync(path) && readFileSync(path, 'utf8').startsWith('Node.js is licensed'));
  return file === undefined ? `MIT and others: https://github.com/nodejs/node/blob/${process.version}/LICENSE` : readFileSync(file, 'utf8');
}

/** The folder of the package that a file of node_modules belongs to. */
function packageOf(file) {
  if (!file.includes('node_modules') || !existsSync(file)) return undefined;
  const within = realpathSync(file).split('node_modules/');
  const [scope, name] = within.pop().split('/');
  return join(within.join('node_modules/'), 'node_modules', scope, scope.startsWith('@') ? name : '');
}

function licenceText(folder) {
  const file = readdirSync(folder).find((name) => /^licen[cs]e/i.test(name));
  return file === undefined ? '' : readFileSync(join(folder, file), 'utf8').trim();
}
