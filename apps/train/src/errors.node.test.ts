import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ImportError } from '@sgdiff/published-models';
import { describe, expect, it } from 'vitest';
import { CliError, describeError, USER_ERRORS } from './errors';

const packages = join(import.meta.dirname, '../../../packages');

/** Names of the error classes in the sources of all packages, as they show in `error.name`. */
function errorNames(): string[] {
  const folders = readdirSync(packages).filter((name) => name !== 'test-kit' && existsSync(join(packages, name, 'src')));
  const sources = folders.flatMap((name) =>
    readdirSync(join(packages, name, 'src'), { recursive: true, encoding: 'utf8' })
      .filter((file) => file.endsWith('.ts') && !file.includes('.test.'))
      .map((file) => join(packages, name, 'src', file)),
  );
  return sources.flatMap((file) => {
    const text = readFileSync(file, 'utf8');
    return [...text.matchAll(/class (\w+) extends \w*Error\b[^]*?\bname = '(\w+)'/g)].map(([, , name]) => name);
  });
}

describe('describeError', () => {
  it('knows the errors of all packages, whose messages are for the user', () => {
    const names = errorNames();
    expect(names).toContain('SceneGraphError');
    expect(names.length).toBeGreaterThan(10);
    expect(names.filter((name) => !USER_ERRORS.has(name))).toEqual([]);
  });

  it('shows a message alone, without a stack', () => {
    expect(describeError(new CliError('No such graph.'), false)).toEqual({ message: 'No such graph.', exitCode: 1 });
    expect(describeError(new CliError('Stopped.', { exitCode: 130 }), false)).toEqual({ message: 'Stopped.', exitCode: 130 });
  });

  it('shows no stack of an unexpected error either, but says how to see it', () => {
    expect(describeError(new TypeError('x is undefined'), false)).toEqual({
      message: 'unexpected TypeError: x is undefined\nRepeat with --verbose to see where it came from.',
      exitCode: 1,
    });
    expect(describeError('a string', false)).toEqual({ message: 'a string', exitCode: 1 });
  });

  it('lists all names that a message leaves out when asked, and says that it can', () => {
    const details = { code: 'mismatch', missing: ['a', 'b'], unexpected: [], misshapen: ['"c" is [1], expected [2]'] } as const;
    const abridged = new ImportError('2 missing: "a" and 1 more.', { ...details, abridged: true });
    expect(describeError(abridged, false).message).toBe('2 missing: "a" and 1 more.\n--verbose lists all names.');
    expect(describeError(abridged, true).message).toMatch(
      /^ImportError: 2 missing: "a" and 1 more\.\n {4}at [^]*\n2 missing:\n {2}a\n {2}b\n1 misshapen:\n {2}"c" is \[1\], expected \[2\]$/,
    );
    const whole = new ImportError('1 missing: "a".', { ...details, abridged: false });
    expect(describeError(whole, false).message).toBe('1 missing: "a".');
  });

  it('shows where an error came from when asked', () => {
    expect(describeError(new TypeError('x is undefined'), true).message).toMatch(/^TypeError: x is undefined\n {4}at .*errors\.node\.test\.ts/);
    expect(describeError(new CliError('No such graph.'), true).message).toMatch(/^CliError: No such graph\.\n {4}at /);
  });
});
