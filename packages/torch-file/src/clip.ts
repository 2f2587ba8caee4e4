/**
 * A text from a file for a message: at most 120 characters of it, and control characters, which could command a terminal, as
 * question marks.
 */
export function clip(text: string): string {
  const short = text.length <= 120 ? text : `${text.slice(0, 119)}…`;
  return short.replace(/\p{C}/gu, '?');
}
