import { createHash } from 'node:crypto';
import { closeSync, existsSync, fsyncSync, lstatSync, mkdirSync, openSync, readFileSync, renameSync, rmSync, statSync, writeSync } from 'node:fs';
import { dirname, isAbsolute, join, resolve } from 'node:path';
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

/**
 * Fails early, before any work, when nothing can be written to the folder. Does not make it: what fails later leaves
 * no empty folder behind.
 */
export function requireWritableFolder(path: string): void {
  let there = path;
  let below: string | undefined;
  while (!existsSync(there) && dirname(there) !== there) [below, there] = [there, dirname(there)];
  if (!statSync(there).isDirectory()) {
    throw new CliError(`Cannot write to the folder ${path}: ${there} is a file. Choose another folder.`);
  }
  if (below !== undefined && lstatSync(below, { throwIfNoEntry: false })) {
    throw new CliError(`Cannot write to the folder ${path}: ${below} is a link to nothing. Choose another folder.`);
  }
  const probe = join(there, `.sgdiff-write-test-${process.pid}`);
  try {
    closeSync(openSync(probe, 'w'));
  } catch (error) {
    throw new CliError(`Cannot write to the folder ${path}: ${messageOf(error)}. Choose another folder.`, { cause: error });
  } finally {
    rmSync(probe, { force: true });
  }
}

/**
 * Keeps the folder for this process until the result is called. A lock that a killed process left does not count.
 *
 * @throws CliError if another process that still runs has it.
 */
export function lockFolder(folder: string): () => void {
  ensureFolder(folder);
  const path = join(folder, 'lock');
  const holder = existsSync(path) ? Number(readFileSync(path, 'utf8')) : undefined;
  if (holder !== undefined && holder !== process.pid && isRunning(holder)) {
    throw new CliError(`${folder} is in use by another sgdiff (process ${holder}). Wait for it, stop it, or take another --run. If that is no sgdiff, remove ${path}.`);
  }
  writeFileAtomic(path, String(process.pid));
  return () => rmSync(path, { force: true });
}

export function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

/** The text of a file the user named. */
export function readUserText(path: string, what: string): string {
  if (!existsSync(path)) throw new CliError(`${what} ${path} does not exist. Check the path.`);
  if (statSync(path).isDirectory()) throw new CliError(`${what} ${path} is a folder, expected a file.`);
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    throw new CliError(`Could not read ${path}: ${messageOf(error)}. Is it readable?`, { cause: error });
  }
}

/** JSON that this command wrote itself. */
export function readOwnJson(path: string, remedy: string): unknown {
  try {
    return JSON.parse(readFileSync(path, 'utf8'));
  } catch (error) {
    throw new CliError(`${path} cannot be read: ${messageOf(error)}. ${remedy}`, { cause: error });
  }
}

export function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
