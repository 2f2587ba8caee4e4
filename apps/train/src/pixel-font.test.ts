import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { breakLines, LINE_HEIGHT, writeLine } from './pixel-font';

/** Rows of text as it stands in white. */
function written(text: string, width: number, left = 0): string[] {
  const data = new Uint8Array(width * LINE_HEIGHT * 3).fill(255);
  writeLine({ width, height: LINE_HEIGHT, data }, text, left, 0);
  return Array.from({ length: LINE_HEIGHT }, (_, y) =>
    Array.from({ length: width }, (__, x) => (data[(y * width + x) * 3] === 0 ? '#' : '.')).join(''),
  );
}

describe('breakLines', () => {
  it('breaks between words, and within one that is too long for a line', () => {
    expect(breakLines('man standing on sand 12%', 72)).toEqual(['man standing', 'on sand 12%']);
    expect(breakLines('', 72)).toEqual(['']);
    expect(breakLines('a thunderstorm', 36)).toEqual(['a', 'thunde', 'rstorm']);
  });

  it('keeps every letter and no line too long', () => {
    fc.assert(
      fc.property(fc.array(fc.stringMatching(/^[a-z]{1,12}$/), { minLength: 1 }), fc.integer({ min: 1, max: 200 }), (words, width) => {
        const lines = breakLines(words.join(' '), width);
        expect(lines.join('').replaceAll(' ', '')).toBe(words.join(''));
        for (const line of lines) expect(line.length).toBeLessThanOrEqual(Math.max(1, Math.floor(width / 6)));
      }),
    );
  });
});

describe('writeLine', () => {
  it('writes capitals, side by side', () => {
    expect(written('la', 12)).toEqual([
      '#......###..',
      '#.....#...#.',
      '#.....#...#.',
      '#.....#####.',
      '#.....#...#.',
      '#.....#...#.',
      '#####.#...#.',
      '............',
      '............',
      '............',
    ]);
  });

  it('has another form for each letter it knows, a box for others, and cuts off what does not fit', () => {
    const forms = [...'abcdefghijklmnopqrstuvwxyz0123456789%-.'].map((letter) => written(letter, 6).join('\n'));
    expect(new Set(forms).size).toBe(forms.length);
    expect(written('é', 6).slice(0, 2)).toEqual(['#####.', '#...#.']);
    expect(written('aa', 8)[3]).toBe('#####.##');
  });
});
