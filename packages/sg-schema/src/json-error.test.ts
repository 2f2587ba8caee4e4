import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { findJsonError } from './json-error';

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

describe('findJsonError', () => {
  it('agrees with JSON.parse on what is JSON', () => {
    const value = fc.json();
    const broken = fc
      .tuple(
        value,
        fc.nat(),
        fc.nat({ max: 2 }),
        fc.constantFrom('', '{', '}', '[', ']', ',', ':', '"', '\\', '0', '-', '.', 'e', '\n', 'x'),
      )
      .map(([json, at, removed, inserted]) => {
        const place = at % (json.length + 1);
        return json.slice(0, place) + inserted + json.slice(place + removed);
      });
    fc.assert(
      fc.property(fc.oneof(value, broken), (text) => {
        expect(findJsonError(text) === undefined).toBe(isJson(text));
      }),
      { numRuns: 3000 },
    );
  });

  it.each([
    ['', 1, 1, 'a value', 'the end of the text'],
    ['sheep on grass', 1, 1, 'a value', '"s"'],
    ['{"objects": ["sheep",]}', 1, 22, 'a value', '"]"'],
    ['{\n  "objects": ["sheep"],\n}', 3, 1, 'a key in double quotes', '"}"'],
    ['{\n  "objects" ["sheep"]}', 2, 13, '":" after the key', '"["'],
    ['[0, "on" 1]', 1, 10, '"," or "]"', '"1"'],
    ['{"a": 1 "b": 2}', 1, 9, '"," or "}"', '"\\""'],
    ["{'a': 1}", 1, 2, 'a key in double quotes', '"\'"'],
    ['["sheep', 1, 8, 'the closing " of a string', 'the end of the text'],
    ['["a\nb"]', 1, 4, 'the closing " of a string', '"\\n"'],
    ['["\\x"]', 1, 3, 'an escape such as \\n, \\" or \\u0041', '"\\\\"'],
    ['[1] [2]', 1, 5, 'nothing after the value', '"["'],
    ['[01]', 1, 3, '"," or "]"', '"1"'],
    ['[NaN]', 1, 2, 'a value or "]"', '"N"'],
  ])('finds the place in %j', (text, line, column, expected, received) => {
    expect(isJson(text)).toBe(false);
    expect(findJsonError(text)).toEqual({ line, column, expected, received });
  });
});
