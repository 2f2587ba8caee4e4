import { existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import { CliError } from './errors';
import { lockFolder, readUserText, requireWritableFolder, userPath, writeFileAtomic } from './files';
import { temporaryFolder } from './testing/temporary-folder';

const root = temporaryFolder();
let folder = root;

beforeEach(({ task }) => {
  folder = join(root, task.id);
  mkdirSync(folder);
  writeFileSync(join(folder, 'file'), 'old');
});

describe('writeFileAtomic', () => {
  it('replaces a file and leaves nothing else', () => {
    writeFileAtomic(join(folder, 'file'), 'new');
    writeFileAtomic(join(folder, 'a/b/c'), Uint8Array.of(1, 2));
    expect(readFileSync(join(folder, 'file'), 'utf8')).toBe('new');
    expect([...readFileSync(join(folder, 'a/b/c'))]).toEqual([1, 2]);
    expect(readdirSync(folder).sort()).toEqual(['a', 'file']);
    expect(readdirSync(join(folder, 'a/b'))).toEqual(['c']);
  });

  it('leaves nothing behind when it cannot write', () => {
    mkdirSync(join(folder, 'taken'));
    expect(() => writeFileAtomic(join(folder, 'taken'), 'x')).toThrow(
      /^Could not write .*taken: EISDIR: .* Is the folder writable, and is there space\?$/,
    );
    expect(readdirSync(folder).sort()).toEqual(['file', 'taken']);
    expect(() => writeFileAtomic(join(folder, 'file/x'), 'x')).toThrow(`Could not make the folder ${join(folder, 'file')}: `);
    expect(readFileSync(join(folder, 'file'), 'utf8')).toBe('old');
  });
});

describe('requireWritableFolder', () => {
  it('passes for folders that are there or can be made, and makes none', () => {
    requireWritableFolder(folder);
    requireWritableFolder(join(folder, 'a/b'));
    expect(readdirSync(folder)).toEqual(['file']);
  });

  it('refuses what is a link to nothing or lies below one', () => {
    const link = join(folder, 'link');
    symlinkSync(join(folder, 'nowhere'), link);
    for (const path of [link, join(link, 'a/b')]) {
      expect(() => requireWritableFolder(path)).toThrow(
        new CliError(`Cannot write to the folder ${path}: ${link} is a link to nothing. Choose another folder.`),
      );
    }
  });

  it('refuses what is a file or lies below one', () => {
    const file = join(folder, 'file');
    for (const path of [file, join(file, 'a/b')]) {
      expect(() => requireWritableFolder(path)).toThrow(
        new CliError(`Cannot write to the folder ${path}: ${file} is a file. Choose another folder.`),
      );
    }
  });
});

describe.runIf(process.platform === 'linux')('on Linux', () => {
  it('refuses a folder that not even root can write to', () => {
    expect(() => requireWritableFolder('/proc/sgdiff')).toThrow(/^Cannot write to the folder \/proc\/sgdiff: ENOENT: .* Choose another folder\.$/);
  });
});

describe('paths and texts of the user', () => {
  it('are taken from the folder the user stands in', () => {
    expect(userPath('/a/b')).toBe('/a/b');
    expect(userPath('b')).toBe(join(process.env['SGDIFF_CWD'] ?? process.cwd(), 'b'));
  });

  it('are refused when there is no such file', () => {
    const path = join(folder, 'none');
    expect(() => readUserText(path, 'The graph file')).toThrow(new CliError(`The graph file ${path} does not exist. Check the path.`));
    expect(existsSync(path)).toBe(false);
  });
});

describe('lockFolder', () => {
  it('keeps a folder from another process while that runs, and from none afterwards', () => {
    const folder = join(root, 'locked');
    const path = join(folder, 'lock');
    const release = lockFolder(folder);
    expect(readFileSync(path, 'utf8')).toBe(String(process.pid));
    release();
    expect(existsSync(path)).toBe(false);
    writeFileSync(path, String(process.ppid)); // one that runs
    expect(() => lockFolder(folder)).toThrow(
      new CliError(`${folder} is in use by another sgdiff (process ${process.ppid}). ` +
          `Wait for it, stop it, or take another --run. If that is no sgdiff, remove ${path}.`),
    );
    expect(readFileSync(path, 'utf8')).toBe(String(process.ppid));
    writeFileSync(path, '999999999'); // one that was killed
    lockFolder(folder)();
    expect(existsSync(path)).toBe(false);
  });
});
