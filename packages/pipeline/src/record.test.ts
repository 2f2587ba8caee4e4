import { describe, expect, it } from 'vitest';
import { parseRecord, type RequestRecord } from './record';

const record: RequestRecord = {
  format: 1,
  graph: { objects: ['sky', 'grass'], relationships: [[0, 'above', 1]] },
  model: { name: 'tiny', sha256: 'ab'.repeat(32) },
  seed: 7,
  sampler: 'ddim',
  steps: 20,
  spacing: 'leading',
  sigmas: 'schedule',
  guidanceScale: 2,
  eta: 0.5,
  backend: 'wasm',
  versions: { '@sgdiff/pipeline': '0.1.0' },
};

describe('parseRecord', () => {
  it('gives back what a record holds, and nothing else', () => {
    expect(parseRecord(JSON.parse(JSON.stringify({ ...record, note: 'mine' })))).toEqual(record);
  });

  it('takes a record from before there was a choice of spacing or sigmas for one with those of then', () => {
    const { spacing, sigmas, ...older } = record;
    expect(parseRecord(older)).toEqual({ ...record, spacing: 'trailing', sigmas: 'schedule' });
    expect(parseRecord({ ...older, spacing })).toEqual(record);
    expect([spacing, sigmas]).toEqual(['leading', 'schedule']);
  });

  const REMEDY = 'Take the record that @sgdiff/pipeline gave with the picture.';
  it.each([
    ['null', null, `Request record: expected an object, received null. ${REMEDY}`],
    ['a list', [], `Request record: expected an object, received []. ${REMEDY}`],
    [
      'another format',
      { ...record, format: 2 },
      'Request record: format: expected 1, received 2. Use the version of @sgdiff/pipeline that wrote it.',
    ],
    [
      'no model',
      { ...record, model: { name: 'tiny' } },
      `Request record: model: expected an object with name and sha256, received {"name":"tiny"}. ${REMEDY}`,
    ],
    [
      'no backend',
      { ...record, backend: undefined },
      `Request record: backend: expected a string, received nothing. ${REMEDY}`,
    ],
    [
      'versions that are numbers',
      { ...record, versions: { tfjs: 4 } },
      `Request record: versions: expected package names to versions, received {"tfjs":4}. ${REMEDY}`,
    ],
    [
      'a seed in words',
      { ...record, seed: '7' },
      'Request record: seed: expected a whole number from 0 to 2^53 - 1, received "7".',
    ],
    [
      'no steps',
      { ...record, steps: 0 },
      'Request record: steps: expected a whole number from 1, received 0. Leave it out for the model’s own.',
    ],
    [
      'an unknown sampler',
      { ...record, sampler: 'dpm++' },
      'Request record: Unknown sampler "dpm++", expected one of: dpm-solver++2m, ddim, ddpm, plms, euler, euler-ancestral, heun, dpm2, lms, ' +
        'dpm-solver++2m-sde, dpm-solver++3m-sde, dpm-solver++2s-ancestral, unipc, deis, lcm.',
    ],
    [
      'an unknown spacing',
      { ...record, spacing: 'karras' },
      'Request record: Unknown spacing "karras", expected one of: trailing, leading, linspace, published.',
    ],
    [
      'an unknown list of sigmas',
      { ...record, sigmas: 'leading' },
      'Request record: Unknown sigma list "leading", expected one of: schedule, karras, exponential, beta.',
    ],
    [
      'a list of sigmas beside a spacing',
      { ...record, sigmas: 'karras' },
      'Request record: spacing: expected "trailing" with sigmas "karras", which stand in its place, received "leading". Leave one of them out.',
    ],
    [
      'guidance from JSON that could not hold it',
      { ...record, guidanceScale: null },
      'Request record: guidanceScale: expected a number from 0, received null. 1 is without guidance; leave it out for the model’s own.',
    ],
  ])('refuses %s', (_, value, message) => {
    expect(() => parseRecord(value)).toThrow(expect.objectContaining({ name: 'RequestError', message }));
  });

  it('refuses a graph that is none, with its path', () => {
    const value = { ...record, graph: { objects: ['sky'], relationships: [[0, 'above', 1]] } };
    expect(() => parseRecord(value)).toThrow(
      expect.objectContaining({
        name: 'SceneGraphError',
        message:
          'parseSceneGraph: relationships[0][2]: expected the position of an object, which is 0, received 1; ' +
          'correct the position or add the object that it should point to.',
      }),
    );
  });
});
