// Letters of 5 × 7 pixels, for captions in pictures: where there is no font to rely on.
import type { Picture } from './png';

const LETTER_WIDTH = 6; // with the gap
/** Height of a line, with the gap. */
export const LINE_HEIGHT = 10;

/** Letters, and below them their rows side by side. */
const BANDS: readonly (readonly string[])[] = [
  [
    'ABCDEFGHIJKLM',
    '.###. ####. .###. ####. ##### ##### .###. #...# .###. ..### #...# #.... #...#',
    '#...# #...# #...# #...# #.... #.... #...# #...# ..#.. ...#. #..#. #.... ##.##',
    '#...# #...# #.... #...# #.... #.... #.... #...# ..#.. ...#. #.#.. #.... #.#.#',
    '##### ####. #.... #...# ####. ####. #.### ##### ..#.. ...#. ##... #.... #.#.#',
    '#...# #...# #.... #...# #.... #.... #...# #...# ..#.. ...#. #.#.. #.... #...#',
    '#...# #...# #...# #...# #.... #.... #...# #...# ..#.. #..#. #..#. #.... #...#',
    '#...# ####. .###. ####. ##### #.... .###. #...# .###. .##.. #...# ##### #...#',
  ],
  [
    'NOPQRSTUVWXYZ',
    '#...# .###. ####. .###. ####. .#### ##### #...# #...# #...# #...# #...# #####',
    '##..# #...# #...# #...# #...# #.... ..#.. #...# #...# #...# #...# #...# ....#',
    '#.#.# #...# #...# #...# #...# #.... ..#.. #...# #...# #...# .#.#. .#.#. ...#.',
    '#..## #...# ####. #...# ####. .###. ..#.. #...# #...# #.#.# ..#.. ..#.. ..#..',
    '#...# #...# #.... #.#.# #.#.. ....# ..#.. #...# #...# #.#.# .#.#. ..#.. .#...',
    '#...# #...# #.... #..#. #..#. ....# ..#.. #...# .#.#. ##.## #...# ..#.. #....',
    '#...# .###. #.... .##.# #...# ####. ..#.. .###. ..#.. #...# #...# ..#.. #####',
  ],
  [
    '0123456789%-.',
    '.###. ..#.. .###. ##### ...#. ##### ..##. ##### .###. .###. ##..# ..... .....',
    '#...# .##.. #...# ...#. ..##. #.... .#... ....# #...# #...# ##..# ..... .....',
    '#..## ..#.. ....# ..#.. .#.#. ####. #.... ...#. #...# #...# ...#. ..... .....',
    '#.#.# ..#.. ..##. ...#. #..#. ....# ####. ..#.. .###. .#### ..#.. ##### .....',
    '##..# ..#.. .#... ....# ##### ....# #...# .#... #...# ....# .#... ..... .....',
    '#...# ..#.. #.... #...# ...#. #...# #...# .#... #...# ...#. #..## ..... .##..',
    '.###. .###. ##### .###. ...#. .###. .###. .#... .###. .##.. #..## ..... .##..',
  ],
];

/** Stands for what the font has no letter for. */
const UNKNOWN = ['#####', '#...#', '#...#', '#...#', '#...#', '#...#', '#####'];

/** Text in lines of at most `width` px, broken between words where it can be. */
export function breakLines(text: string, width: number): string[] {
  const most = Math.max(1, Math.floor(width / LETTER_WIDTH));
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    const longer = line === '' ? word : `${line} ${word}`;
    if (longer.length <= most) {
      line = longer;
      continue;
    }
    if (line !== '') lines.push(line);
    line = word;
    while (line.length > most) {
      lines.push(line.slice(0, most));
      line = line.slice(most);
    }
  }
  return [...lines, line];
}

/** Writes a line of capitals into a picture, in black; what lies outside is cut off. */
export function writeLine({ width, height, data }: Picture, text: string, left: number, top: number): void {
  [...text.toUpperCase()].forEach((letter, i) => {
    rowsOf(letter).forEach((row, dy) => {
      [...row].forEach((dot, dx) => {
        const [x, y] = [left + i * LETTER_WIDTH + dx, top + dy];
        if (dot === '#' && x < width && y < height) data.fill(0, (y * width + x) * 3, (y * width + x + 1) * 3);
      });
    });
  });
}

function rowsOf(letter: string): readonly string[] {
  if (letter === ' ') return [];
  for (const [letters, ...rows] of BANDS) {
    const at = letters.indexOf(letter);
    if (at >= 0) return rows.map((row) => row.slice(at * LETTER_WIDTH, at * LETTER_WIDTH + 5));
  }
  return UNKNOWN;
}
