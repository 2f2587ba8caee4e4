import { appendFileSync, existsSync, mkdirSync, readdirSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expectNoLeak, setupBackend } from '@sgdiff/test-kit';
import * as tf from '@tensorflow/tfjs-core';
import fc from 'fast-check';
import { beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { silentTerminal } from '../testing/silent-terminal';
import { temporaryFolder } from '../testing/temporary-folder';
import { toyLoss, toyStage, type ToyParams } from '../testing/toy-stage';
import { runStage, type RunOptions, type Stage } from './loop';
import { learningRateAt, type OptimiserConfig } from './optimiser';

const root = temporaryFolder();
let folder = root;

beforeAll(() => setupBackend('cpu'));
beforeEach(({ task }) => {
  folder = join(root, task.id);
});

function options(over: Partial<RunOptions> = {}): RunOptions {
  return { folder, resume: false, terminal: silentTerminal(), backend: 'cpu, 1 thread', checkpointMinutes: 60, ...over };
}

/** Trains and gives the numbers of the weights. */
async function numbersAfter(stage: Stage<ToyParams>, run: RunOptions = options()): Promise<{ weights: number[]; step: number; finished: boolean }> {
  const { params, step, finished } = await runStage(stage, run);
  const weights = [...params.weight.dataSync(), ...params.bias.dataSync()];
  tf.dispose([params.weight, params.bias]);
  return { weights, step, finished };
}

/** As Ctrl-C does, in the middle of a step. */
function stoppingIn(step: number): Stage<ToyParams> {
  return toyStage({ prepare: (now) => void (now === step && process.emit('SIGINT')) });
}

/** The error of a call that must fail. */
async function messageOf(work: () => Promise<unknown>): Promise<string> {
  return work().then(
    () => 'no error',
    (error: Error) => error.message,
  );
}

const logOf = (path: string): Record<string, number>[] =>
  readFileSync(join(path, 'log.jsonl'), 'utf8')
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line) as Record<string, number>);

describe('learningRateAt', () => {
  const config: OptimiserConfig = { ...toyStage().optimiser, learningRate: 1, warmupSteps: 10, decayShare: 0.5, finalShare: 0.1 };

  it('rises over the warm-up, stays, and falls on half a cosine', () => {
    const rates = [0, 4, 9, 10, 50, 75, 100].map((step) => learningRateAt(config, step, 100));
    expect(rates[0]).toBeCloseTo(0.1, 12);
    expect(rates[1]).toBeCloseTo(0.5, 12);
    expect(rates.slice(2, 5)).toEqual([1, 1, 1]);
    expect(rates[5]).toBeCloseTo(0.55, 12); // half-way: the mean of 1 and 0.1
    expect(rates[6]).toBeCloseTo(0.1, 12);
  });

  it('starts at the full rate without a warm-up', () => {
    expect(learningRateAt({ ...config, warmupSteps: 0 }, 0, 100)).toBe(1);
  });

  it('falls right after the warm-up when all of the run decays', () => {
    const all = { ...config, decayShare: 1 };
    expect(learningRateAt(all, 10, 100)).toBe(1);
    expect(learningRateAt(all, 55, 100)).toBeCloseTo(0.55, 12);
  });

  it('is constant after the warm-up when nothing decays', () => {
    expect(learningRateAt({ ...config, decayShare: 0 }, 99, 100)).toBe(1);
  });

  it('never exceeds the rate, never rises after the warm-up and never falls below the final share', () => {
    const settings = fc.record({
      warmupSteps: fc.integer({ min: 0, max: 200 }),
      decayShare: fc.double({ min: 0, max: 1, noNaN: true }),
      finalShare: fc.double({ min: 0, max: 1, noNaN: true }),
    });
    fc.assert(
      fc.property(settings, fc.integer({ min: 1, max: 150 }), (setting, steps) => {
        const rates = Array.from({ length: steps }, (_, step) => learningRateAt({ ...config, ...setting }, step, steps));
        const afterWarmup = rates.slice(setting.warmupSteps);
        const slack = 1e-12; // of adding and multiplying doubles
        expect(rates.filter((rate) => rate <= 0 || rate > 1 + slack).filter((rate) => rate !== 0 || setting.finalShare > 0)).toEqual([]);
        expect(afterWarmup.filter((rate) => rate < setting.finalShare - slack)).toEqual([]);
        expect(afterWarmup.filter((rate, i) => i > 0 && rate > afterWarmup[i - 1] + slack)).toEqual([]);
      }),
    );
  });
});

describe('runStage', () => {
  it('learns, logs, and leaves a checkpoint and a report', async () => {
    const terminal = silentTerminal();
    const { step, finished } = await numbersAfter(toyStage({ steps: 100 }), options({ terminal }));
    expect({ step, finished }).toEqual({ step: 100, finished: true });
    const log = logOf(folder);
    expect(log.map((line) => line.step)).toEqual([1, 20, 40, 60, 80, 100]);
    expect(log.at(-1)!.loss).toBeLessThan(log[0].loss / 5);
    expect(log[0]).toEqual({
      step: 1,
      seconds: expect.any(Number) as number,
      rate: 0.05 / 3,
      loss: expect.any(Number) as number,
      gradientNorm: expect.any(Number) as number,
      squared: log[0].loss,
      tensors: expect.any(Number) as number,
      bytes: expect.any(Number) as number,
    });
    expect(readdirSync(join(folder, 'checkpoints'))).toEqual(['step-00000100.json', 'step-00000100.safetensors']);
    expect(existsSync(join(folder, 'report.html'))).toBe(true);
    expect(terminal.lines.at(-1)).toMatch(/^toy: finished at step 100, \d+ s in all on cpu, 1 thread\.$/);
  });

  it('gives the same numbers to the bit whether it was stopped in between or not', async () => {
    const unbroken = await numbersAfter(toyStage(), options({ folder: join(folder, 'unbroken') }));
    const listeners = process.listenerCount('SIGINT');
    const terminal = silentTerminal();
    const stopped = await numbersAfter(stoppingIn(16), options({ terminal }));
    expect(stopped).toMatchObject({ step: 17, finished: false });
    expect(process.listenerCount('SIGINT')).toBe(listeners);
    expect(terminal.lines[0]).toBe('\ntoy: stopping after this step, saving … (again to stop at once)');
    expect(terminal.lines.at(-1)).toMatch(/^toy: saved at step 17, /);

    const resumed = silentTerminal();
    const continued = await numbersAfter(toyStage(), options({ resume: true, terminal: resumed }));
    expect(resumed.lines[0]).toBe('toy: continuing at step 17 of 40.');
    expect(continued).toEqual(unbroken);
    const losses = (path: string): number[] => logOf(path).map(({ loss }) => loss);
    expect(losses(folder)).toEqual(losses(join(folder, 'unbroken')));
  });

  it('gives the same numbers after a crash that tore the newest checkpoint', async () => {
    const unbroken = await numbersAfter(toyStage(), options({ folder: join(folder, 'unbroken') }));
    await numbersAfter(stoppingIn(9));
    await numbersAfter(stoppingIn(24), options({ resume: true }));
    truncateSync(join(folder, 'checkpoints', 'step-00000025.safetensors'), 50);
    const terminal = silentTerminal();
    expect(await numbersAfter(toyStage(), options({ resume: true, terminal }))).toEqual(unbroken);
    expect(terminal.lines[0]).toContain('Skipping the checkpoint ');
    expect(terminal.lines[1]).toBe('toy: continuing at step 10 of 40.');
  });

  it('starts from the beginning when there is nothing to resume, and says so', async () => {
    const terminal = silentTerminal();
    await numbersAfter(toyStage({ steps: 1 }), options({ resume: true, terminal }));
    expect(terminal.lines[0]).toBe(`No checkpoint in ${join(folder, 'checkpoints')}: starting from the beginning.`);
  });

  it('is refused while another process trains in the folder', async () => {
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, 'lock'), String(process.ppid));
    await expectNoLeak(() => runStage(toyStage(), options()), { throws: `${folder} is in use by another sgdiff (process ${process.ppid}).` });
    expect(readdirSync(folder)).toEqual(['lock']);
  });

  it('ends after so many minutes, saved', async () => {
    const run = await numbersAfter(toyStage(), options({ maxMinutes: 1e-9 }));
    expect(run).toMatchObject({ step: 0, finished: false });
    expect(readdirSync(join(folder, 'checkpoints'))).toContain('step-00000000.json');
  });

  it('keeps the number of tensors and bytes flat over 100 steps, and leaves none', async () => {
    const stage = toyStage({
      steps: 100,
      sampleEverySteps: 50,
      sample: async (params) => Uint8Array.from(await params.bias.data()),
    });
    await expectNoLeak(async () => (await runStage(stage, options())).params);
    const log = logOf(folder);
    expect(log.map(({ step }) => step)).toEqual([1, 20, 40, 60, 80, 100]);
    const use = log.map(({ tensors, bytes }) => ({ tensors, bytes }));
    expect(use).toEqual(use.map(() => use[0]));
    expect(readdirSync(join(folder, 'samples'))).toEqual(['step-00000050.png', 'step-00000100.png']);
  });

  it('leaves no tensor when it continues a run', async () => {
    await numbersAfter(stoppingIn(5));
    await expectNoLeak(async () => (await runStage(toyStage(), options({ resume: true }))).params);
  });

  it('stops at a loss that is not a number, naming the step, before the weights take harm', async () => {
    const stage = toyStage({
      loss(params, step, part) {
        const { loss } = toyLoss(params, step, part);
        return { loss: step === 6 ? tf.mul(loss, NaN) : loss, terms: {} };
      },
    });
    const run = options({ checkpointMinutes: 1e-9 });
    await expectNoLeak(async () => {
      expect(await messageOf(() => runStage(stage, run))).toBe(
        'toy: at step 7 the loss is NaN and the gradient of "weight" is not finite. What was saved is sound: ' +
          'lower optimiser.learningRate or optimiser.clipNorm with --config, and continue with --resume.',
      );
    });
    const { weights, finished } = await numbersAfter(toyStage(), options({ resume: true }));
    expect(finished).toBe(true);
    expect(weights.every(Number.isFinite)).toBe(true);
  });

  it('leaves no tensor when the companion of a stage cannot be made', async () => {
    const stage = toyStage({
      companion() {
        throw new Error('no companion');
      },
    });
    await expectNoLeak(() => runStage(stage, options()), { throws: 'no companion' });
    await numbersAfter(stoppingIn(5), options({ folder: join(folder, 'resumed') }));
    await expectNoLeak(() => runStage(stage, options({ folder: join(folder, 'resumed'), resume: true })), { throws: 'no companion' });
  });

  it('stops at a gradient that is not finite though the loss is', async () => {
    const stage = toyStage({
      loss(params, step, part) {
        const { loss } = toyLoss(params, step, part);
        // The root has an infinite slope at 0.
        return { loss: tf.add(loss, tf.sum(tf.sqrt(tf.mul(params.bias, 0)))) as tf.Scalar, terms: {} };
      },
    });
    expect(await messageOf(() => runStage(stage, options()))).toMatch(/^toy: at step 1 the gradient of "bias" is not finite\. /);
  });

  it('does not start over a run that is there', async () => {
    await numbersAfter(toyStage({ steps: 2 }));
    const before = readdirSync(folder);
    await expectNoLeak(async () => {
      expect(await messageOf(() => runStage(toyStage(), options()))).toBe(
        `${folder} already holds a run of "toy". Add --resume to continue it, or remove the folder to start anew.`,
      );
    });
    expect(readdirSync(folder)).toEqual(before);
  });

  it('refuses to continue with another config, naming what differs', async () => {
    await numbersAfter(toyStage({ steps: 2 }));
    const other = toyStage({ config: { features: 4, data: { seed: 5, kind: 'new' }, steps: 40 } });
    await expectNoLeak(async () => {
      expect(await messageOf(() => runStage(other, options({ resume: true })))).toBe(
        `${join(folder, 'checkpoints')}: the checkpoint of "toy" was made with another config:\n` +
          '  toy.features: was 3, is 4\n' +
          '  toy.data.kind: was not there, is "new"\n' +
          'Only "steps" and "optimiser" may change when a run continues. Use the same config (and, for "frozen", the same weights of those stages), or another run folder.',
      );
    });
  });

  it('continues with more steps and another rate, in whatever order the config is written', async () => {
    await numbersAfter(toyStage({ steps: 2 }));
    const config = { steps: 4, optimiser: { learningRate: 0.01 }, data: { seed: 5 }, features: 3 };
    const terminal = silentTerminal();
    const { step, finished } = await numbersAfter(toyStage({ steps: 4, config }), options({ resume: true, terminal }));
    expect({ step, finished }).toEqual({ step: 4, finished: true });
    expect(terminal.lines[0]).toBe(
      'Other settings than before:\n  toy.steps: was 40, is 4\n  toy.optimiser: was not there, is {"learningRate":0.01}',
    );
  });

  it('continues with other values of the entries that the stage lets change, and of no others', async () => {
    const at = (rate: number, layers: number): Partial<Stage<ToyParams>> => ({
      config: { features: 3, adversarial: { rate, layers }, steps: 4 },
      changeable: ['adversarial.rate', 'feat'],
      steps: 4,
    });
    await numbersAfter(toyStage({ ...at(1, 2), steps: 2 }));
    expect(await messageOf(() => runStage(toyStage(at(0.5, 3)), options({ resume: true })))).toBe(
      `${join(folder, 'checkpoints')}: the checkpoint of "toy" was made with another config:\n  toy.adversarial.layers: was 2, is 3\n` +
        'Only "steps", "optimiser", "adversarial.rate" and "feat" may change when a run continues. ' +
        'Use the same config (and, for "frozen", the same weights of those stages), or another run folder.',
    );
    expect(await messageOf(() => runStage(toyStage({ ...at(1, 2), config: { features: 4, adversarial: { rate: 1, layers: 2 }, steps: 4 } }), options({ resume: true })))).toContain(
      '\n  toy.features: was 3, is 4\n',
    );
    const terminal = silentTerminal();
    await numbersAfter(toyStage(at(0.5, 2)), options({ resume: true, terminal }));
    expect(terminal.lines[0]).toBe('Other settings than before:\n  toy.adversarial.rate: was 1, is 0.5');
  });

  it('drops log lines past the checkpoint, so that no piece of the curve is doubled', async () => {
    await numbersAfter(stoppingIn(29));
    appendFileSync(join(folder, 'log.jsonl'), '{"step":40,"seconds":1,"loss":9}\n{"step":6');
    await numbersAfter(toyStage({ steps: 60 }), options({ resume: true }));
    expect(logOf(folder).map(({ step }) => step)).toEqual([1, 20, 40, 60]);
    expect(logOf(folder)[2].loss).toBeLessThan(9);
  });
});
