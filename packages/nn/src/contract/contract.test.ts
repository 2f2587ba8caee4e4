import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { setupBackend } from '@sgdiff/test-kit';
import { contractCases, runContract } from '../contract';
import * as nn from '../index';
import { kernelThreads, startKernelThreads } from '../index';

const ops = [...new Set(contractCases.map(({ op }) => op))];

const backends: readonly [name: string, start: () => Promise<unknown>][] = [
  ['cpu', () => setupBackend('cpu')],
  ['wasm', () => setupBackend('wasm', { shared: false })],
  ['wasm with two threads', () => setupBackend('wasm', { shared: true }).then(() => startKernelThreads(2))],
];

describe.each(backends)('on %s', (_, start) => {
  beforeAll(start);
  afterAll(async () => {
    if (kernelThreads() > 1) await startKernelThreads(1);
  });

  it.each(ops)('%s keeps its contract', async (op) => {
    const { failures } = await runContract({ ops: [op] });
    expect(failures).toEqual([]);
  });
});

/** What makes, holds or carries tensors but computes nothing on a backend that could be wrong. */
const NO_OPERATIONS = [
  ...[
    'ShapeError',
    'IndexError',
    'CheckpointError',
    'GradientError',
    'DisposedError',
    'KernelThreadsError',
    'expectShape',
  ],
  ...['flattenParams', 'mapParams', 'restoreParams', 'treeFromPaths', 'expectTensors', 'toTensor', 'countParams', 'disposeParams', 'cloneParams', 'toVariables'],
  ...[
    'createRng',
    'restoreRng',
    'initLinear',
    'initConv2d',
    'initGroupNorm',
    'initLayerNorm',
    'initEmbedding',
    'initGeglu',
    'initAttention',
  ],
  ...['createHostAdamW', 'createHostEma', 'toFloat16', 'fromFloat16'],
  ...['encodeSafetensors', 'decodeSafetensors', 'paramsToSafetensors', 'paramsFromSafetensors'],
  ...['openSafetensors', 'encodeSafetensorsHeader', 'streamSafetensors', 'fromLayout', 'shapeInLayout'],
  ...['startKernelThreads', 'kernelThreads'],
];

it('has cases for every operation of the package', () => {
  const offered = Object.keys(nn).filter((name) => !NO_OPERATIONS.includes(name));
  expect([...ops].sort()).toEqual(offered.sort());
});
