/** Where a text stops being JSON; line and column count from 1. */
export type JsonError = {
  readonly line: number;
  readonly column: number;
  readonly expected: string;
  readonly received: string;
};

const NUMBER = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y;
const LITERAL = /true|false|null/y;
const BLANK = /[ \t\n\r]*/y;
// Stops before a bad escape or control character; the loop over pieces keeps the expression free of backtracking.
const STRING_PIECE = /[^"\\\u0000-\u001f]+|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})/y;

/**
 * The first place where a text is not JSON, or `undefined` where all of it is.
 *
 * `JSON.parse` says this differently in every engine, and often not at all. Runs in time linear in the text and without recursion.
 */
export function findJsonError(text: string): JsonError | undefined {
  const open: ('[' | '{')[] = [];
  let at = 0;
  const skip = (pattern: RegExp): boolean => {
    pattern.lastIndex = at;
    if (!pattern.test(text)) return false;
    at = pattern.lastIndex;
    return true;
  };
  const next = (): string | undefined => {
    skip(BLANK);
    return text[at];
  };
  const fail = (expected: string): JsonError => {
    let line = 1;
    let lineStart = 0;
    for (let end = text.indexOf('\n'); end >= 0 && end < at; end = text.indexOf('\n', lineStart)) {
      line++;
      lineStart = end + 1;
    }
    const found = text.codePointAt(at);
    return {
      line,
      column: at - lineStart + 1,
      expected,
      received: found === undefined ? 'the end of the text' : JSON.stringify(String.fromCodePoint(found)),
    };
  };
  const string = (): JsonError | undefined => {
    at++;
    while (skip(STRING_PIECE));
    if (text[at] === '\\') return fail('an escape such as \\n, \\" or \\u0041');
    if (text[at] !== '"') return fail('the closing " of a string');
    at++;
    return undefined;
  };
  const key = (): JsonError | undefined => {
    if (next() !== '"') return fail('a key in double quotes');
    const error = string();
    if (error !== undefined) return error;
    if (next() !== ':') return fail('":" after the key');
    at++;
    return undefined;
  };

  let wanted: 'value' | 'value or ]' | 'after value' = 'value';
  for (;;) {
    const char = next();
    let error: JsonError | undefined;
    if (wanted === 'after value') {
      const inside = open.at(-1);
      if (inside === undefined) return char === undefined ? undefined : fail('nothing after the value');
      if (char === (inside === '[' ? ']' : '}')) {
        at++;
        open.pop();
      } else if (char === ',') {
        at++;
        if (inside === '{') error = key();
        wanted = 'value';
      } else {
        return fail(inside === '[' ? '"," or "]"' : '"," or "}"');
      }
    } else if (char === ']' && wanted === 'value or ]') {
      at++;
      open.pop();
      wanted = 'after value';
    } else if (char === '[') {
      at++;
      open.push('[');
      wanted = 'value or ]';
    } else if (char === '{') {
      at++;
      if (next() === '}') {
        at++;
        wanted = 'after value';
      } else {
        open.push('{');
        error = key();
        wanted = 'value';
      }
    } else if (char === '"') {
      error = string();
      wanted = 'after value';
    } else if (skip(LITERAL) || skip(NUMBER)) {
      wanted = 'after value';
    } else {
      return fail(wanted === 'value' ? 'a value' : 'a value or "]"');
    }
    if (error !== undefined) return error;
  }
}
