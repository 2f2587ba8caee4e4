/** Words longer than this get no suggestions: nobody mistypes them, and comparing them costs time. */
const LONGEST_WORD = 64;

/**
 * The words that a mistyped word may stand for: at most three, nearest first.
 *
 * Distance is the number of inserted, deleted, replaced and swapped letters, without regard to case. How far a suggestion may
 * be grows with the word: 1 up to three letters, 2 up to six, 3 above.
 */
export function nearestWords(word: string, words: readonly string[]): string[] {
  if (word.length > LONGEST_WORD) return [];
  const wanted = word.trim().toLowerCase();
  const limit = wanted.length <= 3 ? 1 : wanted.length <= 6 ? 2 : 3;
  const near: { candidate: string; distance: number }[] = [];
  for (const candidate of words) {
    const distance = editDistance(wanted, candidate.toLowerCase(), limit);
    if (distance <= limit) near.push({ candidate, distance });
  }
  near.sort((a, b) => a.distance - b.distance);
  return near.slice(0, 3).map(({ candidate }) => candidate);
}

/**
 * Optimal string alignment distance: Levenshtein's, with the swap of two neighbours as one step. `Infinity` where it exceeds `limit`.
 * Only the cells within `limit` of the diagonal are visited.
 */
export function editDistance(a: string, b: string, limit: number): number {
  if (Math.abs(a.length - b.length) > limit) return Infinity;
  const newRow = (): number[] => new Array<number>(b.length + 2).fill(Infinity);
  let beforeLast = newRow();
  let last = newRow();
  let row = newRow();
  let lastSmallest = 0;
  for (let j = 0; j <= Math.min(limit, b.length); j++) last[j] = j;
  for (let i = 1; i <= a.length; i++) {
    const from = Math.max(1, i - limit);
    const to = Math.min(b.length, i + limit);
    row[from - 1] = from === 1 ? i : Infinity;
    row[to + 1] = Infinity;
    let smallest = row[from - 1]!;
    for (let j = from; j <= to; j++) {
      const same = a[i - 1] === b[j - 1];
      let steps = Math.min(last[j - 1]! + (same ? 0 : 1), last[j]! + 1, row[j - 1]! + 1);
      const swapped = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1];
      if (swapped) steps = Math.min(steps, beforeLast[j - 2]! + 1);
      row[j] = steps;
      smallest = Math.min(smallest, steps);
    }
    // A swap reaches back two rows, so both must be past the limit before it is certain.
    if (smallest > limit && lastSmallest > limit) return Infinity;
    lastSmallest = smallest;
    [beforeLast, last, row] = [last, row, beforeLast];
  }
  const distance = last[b.length]!;
  return distance <= limit ? distance : Infinity;
}
