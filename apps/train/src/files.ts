import { createHash } from 'node:crypto';
import { closeSync, existsSync, fsyncSync, mkdirSync, openSync, readFileSync, renameSync, rmSync, statSync, writeSync } from 'node:fs';
import { dirname, isAbsolute, resolve } from 'node:path';
import { CliError } from './errors';

/** A path as the user typed it, resolved from the folder the user stands in. */
export function userPath(path: string): string {
  return isAbsolute(path) ? path : resolve(process.env['SGDIFF_CWD'] ?? process.cwd(), path);
}

/** Writes to a temporary name, flushes, renames: a reader sees the old file or the whole new one. */
export function writeFileAtomic(path: string, content: Uint8Array | string): void {
  ensureFolder(dirname(path));
  const temporary = `${path}.${process.pid}.tmp`;
  try {
    const file = openSync(temporary, 'w');
    try {
      const bytes = typeof content === 'string' ? Buffer.from(content) : content;
      let written = 0;
      while (written < bytes.length) written += writeSync(file, bytes, written);
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
    renameSync(temporary, path);
  } catch (error) {
    rmSync(temporary, { force: true });
    throw new CliError(`Could not write ${path}: ${messageOf(error)}. Is the folder writable, and is there space?`, { cause: error });
  }
}

export function ensureFolder(path: string): void {
  try {
    mkdirSync(path, { recursive: true });
  } catch (error) {
    throw new CliError(`Could not make the folder ${path}: ${messageOf(error)}. Choose another one.`, { cause: error });
  }
}

/** Fails early, before any work, when nothing can be written to the folder. */
export function requireWritableFolder(path: string): void {
  ensureFolder(path);
  const probe = `${path}/.write-test-${process.pid}`;
  try {
    closeSync(openSync(probe, 'w'));
  } catch (error) {
    throw new CliError(`Cannot write to the folder ${path}: ${messageOf(error)}. Choose another one with --out.`, { cause: error });
  } finally {
    rmSync(probe, { force: true });
  }
}

/** The text of a file the user named. */
export function readUserText(path: string, what: string): string {
  if (!existsSync(path)) throw new CliError(`${what} ${path} does not exist. Check the path.`);
  if (statSync(path).isDirectory()) throw new CliError(`${what} ${path} is a folder, expected a file.`);
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    throw new CliError(`Could not read ${path}: ${messageOf(error)}.`, { cause: error });
  }
}

export function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
