import type { Terminal } from '../terminal';

/** A terminal that keeps what is said. */
export function silentTerminal(): Terminal & { readonly lines: readonly string[] } {
  const lines: string[] = [];
  return {
    json: true,
    lines,
    say: (line) => void lines.push(line),
    note: (line) => void lines.push(line),
    result: () => undefined,
    progress: () => ({ update: () => undefined, stop: () => undefined }),
  };
}
