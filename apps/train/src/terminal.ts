import cliProgress from 'cli-progress';

/**
 * What a command says. People read standard error; standard output holds results: text lines, or with
 * `--json` exactly one JSON object.
 */
export type Terminal = {
  readonly json: boolean;
  /** A line for people (standard error with --json, else standard output). */
  say(line: string): void;
  /** A line for people that never belongs to the result (standard error). */
  note(line: string): void;
  /** The result object; printed only with --json. */
  result(value: unknown): void;
  progress(label: string, total: number): Progress;
};

export type Progress = {
  update(done: number, text?: string): void;
  stop(): void;
};

export function createTerminal(options: { json: boolean }): Terminal {
  const { json } = options;
  return {
    json,
    say: (line) => (json ? process.stderr : process.stdout).write(`${line}\n`),
    // What a progress bar left of its line goes first.
    note: (line) => process.stderr.write(`${process.stderr.isTTY ? '\r\x1b[K' : ''}${line}\n`),
    result: (value) => {
      if (json) process.stdout.write(`${JSON.stringify(value)}\n`);
    },
    progress: (label, total) => (process.stderr.isTTY ? barProgress(label, total) : lineProgress(label, total)),
  };
}

function barProgress(label: string, total: number): Progress {
  const bar = new cliProgress.SingleBar({
    format: `${label} {bar} {value}/{total} · {rate} · left {left} {text}`,
    stream: process.stderr,
    hideCursor: true,
    clearOnComplete: false,
    etaBuffer: 50,
  });
  const clock = createClock(total);
  bar.start(total, 0, { text: '', rate: '', left: '' });
  return {
    update: (done, text = '') => bar.update(done, { text, ...clock(done) }),
    stop: () => bar.stop(),
  };
}

/** For logs and pipes: a line at most every ten seconds, and one at the end. */
function lineProgress(label: string, total: number): Progress {
  const clock = createClock(total);
  let shown = performance.now();
  let last = '';
  return {
    update(done, text = '') {
      const { rate, left } = clock(done);
      last = `${label} ${done}/${total} · ${rate} · left ${left} ${text}`.trimEnd();
      if (performance.now() - shown < 10_000) return;
      shown = performance.now();
      process.stderr.write(`${last}\n`);
      last = '';
    },
    stop() {
      if (last) process.stderr.write(`${last}\n`);
      last = '';
    },
  };
}

/** Throughput and time left, from the steps done since this process began. */
function createClock(total: number): (done: number) => { rate: string; left: string } {
  const begun = performance.now();
  let first: number | undefined;
  return (done) => {
    first ??= Math.max(0, done - 1);
    const seconds = (performance.now() - begun) / 1000;
    const perSecond = (done - first) / Math.max(seconds, 1e-3);
    const rate = perSecond >= 1 ? `${perSecond.toFixed(1)}/s` : `${(1 / Math.max(perSecond, 1e-6)).toFixed(1)} s each`;
    return { rate, left: formatDuration((total - done) / Math.max(perSecond, 1e-6)) };
  };
}

/** `75` → `1 min 15 s`. */
export function formatDuration(seconds: number): string {
  if (!Number.isFinite(seconds)) return '?';
  const whole = Math.max(0, Math.round(seconds));
  const h = Math.floor(whole / 3600);
  const min = Math.floor((whole % 3600) / 60);
  if (h > 0) return `${h} h ${min} min`;
  return min > 0 ? `${min} min ${whole % 60} s` : `${whole} s`;
}
