// Who may import whom, read from the `nx.tags` of every manifest. Used by the lint rules and by their test.
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');

/** Every package and app: folder, npm name, layer (0 lowest), runtime (any, node, browser), scope. */
export function readProjects() {
  return ['packages', 'apps'].flatMap((group) =>
    readdirSync(join(root, group))
      .filter((name) => existsSync(join(root, group, name, 'package.json')))
      .map((name) => readProject(`${group}/${name}`)),
  );
}

export function readProject(folder) {
  const manifest = JSON.parse(readFileSync(join(root, folder, 'package.json'), 'utf8'));
  const tags = Object.fromEntries((manifest.nx?.tags ?? []).map((tag) => tag.split(':')));
  return { folder, name: manifest.name, layer: Number(tags.layer), runtime: tags.runtime, scope: tags.scope, manifest };
}

/** Packages whose names a project may not import, and why; test-kit is for tests alone, node-backends for them and for apps. */
export function forbiddenImports(project, projects, { test = false } = {}) {
  const forbidden = [];
  for (const other of projects) {
    if (other.name === project.name) continue;
    if ((other.scope === 'test' || other.scope === 'backend') && test) continue;
    if (other.scope === 'test') {
      forbidden.push({ name: other.name, message: `${other.name} is for tests.` });
    } else if (other.scope === 'backend' && project.layer < 4 && project.scope !== 'test') {
      forbidden.push({ name: other.name, message: `Only apps (and tests) bring a backend up: ${other.name} is not for libraries.` });
    } else if (other.layer >= project.layer && other.scope !== 'data') {
      forbidden.push({
        name: other.name,
        message: `Imports go to a lower layer only: ${project.name} is on layer ${project.layer}, ${other.name} on layer ${other.layer}.`,
      });
    } else if (other.runtime !== 'any' && other.runtime !== project.runtime) {
      forbidden.push({ name: other.name, message: `${other.name} runs in ${other.runtime} only, ${project.name} in ${project.runtime}.` });
    }
  }
  return forbidden;
}
