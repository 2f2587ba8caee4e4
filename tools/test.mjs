// `npm test`: build, types, lint with layer boundaries, checks of what would be published, and all tests of all packages,
// through nx (cached per project).
// Ends with one line that counts tests.
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { readProject, readProjects } from './layers.mjs';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const nx = join(root, 'node_modules/nx/dist/bin/nx.js');
const projects = [...readProjects(), readProject('tools')];
const reportOf = (project) => join(root, project.folder, '.reports/test.json');

for (const project of projects) rmSync(reportOf(project), { force: true });
const failedTargets = ['build', 'typecheck', 'lint', 'package-check', 'test'].filter((target) => {
  process.stdout.write(`\n== ${target} ==\n`);
  const { status } = spawnSync(process.execPath, [nx, 'run-many', '-t', target, '--parallel=2', '--outputStyle=static'], {
    cwd: root,
    stdio: 'inherit',
    env: { ...process.env, NX_DAEMON: 'false', NX_NO_CLOUD: 'true', NX_TUI: 'false' },
  });
  return status !== 0;
});

const counts = { passed: 0, failed: 0, skipped: 0 };
const silent = [];
for (const project of projects) {
  if (!project.manifest.scripts?.test) continue;
  if (!existsSync(reportOf(project))) {
    silent.push(project.name);
    continue;
  }
  const report = JSON.parse(readFileSync(reportOf(project), 'utf8'));
  counts.passed += report.numPassedTests;
  counts.failed += report.numFailedTests;
  counts.skipped += report.numPendingTests + report.numTodoTests;
}
if (silent.length > 0) process.stdout.write(`\nNo test report from: ${silent.join(', ')}\n`);
if (failedTargets.length > 0) process.stdout.write(`\nFailed: ${failedTargets.join(', ')}\n`);
process.stdout.write(`\n${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped\n`);
process.exit(failedTargets.length > 0 || silent.length > 0 ? 1 : 0);
