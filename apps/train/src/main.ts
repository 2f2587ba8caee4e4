#!/usr/bin/env node
import { buildProgram } from './program';
import { describeError } from './errors';
import { isTrainingWorker, serveAsWorker } from './training/data-parallel';

// `sgdiff … | head` closes the pipe early: whoever reads has seen enough.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (!process.stdout.isTTY) process.exit(error.code === 'EPIPE' ? 0 : 1);
});
// A terminal that was closed takes no more text, and what is under way must still save or clean up.
process.stderr.on('error', () => undefined);

if (isTrainingWorker()) await serveAsWorker();
else await runCommand();

async function runCommand(): Promise<void> {
  try {
    await buildProgram().parseAsync(process.argv);
    finish(Number(process.exitCode ?? 0)); // a command may have found something wrong
  } catch (error) {
    const { message, exitCode } = describeError(error, process.argv.includes('--verbose'));
    process.stderr.write(`sgdiff: ${message}\n`);
    finish(exitCode);
  }
}

/** Ends the process even while a backend keeps worker threads, after what was printed has gone out. */
function finish(code: number): void {
  process.stdout.write('', () => process.stderr.write('', () => process.exit(code)));
}
