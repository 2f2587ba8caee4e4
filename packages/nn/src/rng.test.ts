import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createRng, restoreRng } from './index';
import { philox4x32 } from './rng';

const address = fc.array(fc.oneof(fc.integer(), fc.string({ maxLength: 12 })), { maxLength: 3 });

describe('philox4x32', () => {
  it.each([
    // Known answers of the authors' Random123 library (kat_vectors, philox4x32 10).
    [
      [0, 0, 0, 0],
      [0, 0],
      [0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8],
    ],
    [
      [0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff],
      [0xffffffff, 0xffffffff],
      [0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd],
    ],
    [
      [0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344],
      [0xa4093822, 0x299f31d0],
      [0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1],
    ],
  ] as const)('gives the known answer for counter %j and key %j', (counter, key, answer) => {
    expect(philox4x32(counter, key)).toEqual(answer);
  });
});

describe('createRng', () => {
  it('keeps its stream: these numbers may never change, saved runs depend on them', () => {
    const rng = createRng('picture', 7, 0.5);
    expect([rng.uint32(), rng.uint32(), rng.uint32()]).toEqual([3718014495, 3782061037, 1531960454]);
  });

  it('addresses a stream below by fork, whatever has been drawn', () => {
    fc.assert(
      fc.property(address, address, fc.nat(9), (a, b, drawn) => {
        const parent = createRng(...a);
        for (let i = 0; i < drawn; i++) parent.uint32();
        expect(parent.fork(...b).uint32()).toBe(createRng(...a, ...b).uint32());
      }),
    );
  });

  it('gives different addresses different streams, also 1 and "1", "ab" and "a", "b"', () => {
    const addresses = [
      [],
      [1],
      ['1'],
      ['ab'],
      ['a', 'b'],
      ['a'],
      [0],
      [-1],
      [1.5],
      ['a\0'],
      ['12345678'],
      ['123456789'],
    ];
    const firsts = addresses.map((key) => createRng(...key).uint32());
    expect(new Set(firsts).size).toBe(addresses.length);
  });

  it('continues from a saved state', () => {
    fc.assert(
      fc.property(fc.nat(20), (drawn) => {
        const rng = createRng('state');
        for (let i = 0; i < drawn; i++) rng.uint32();
        const copy = restoreRng(JSON.parse(JSON.stringify(rng.state())));
        expect([copy.normal(), copy.uint32(), copy.state()]).toEqual([rng.normal(), rng.uint32(), rng.state()]);
      }),
    );
  });

  it('draws integers in [0, n) without bias', () => {
    const counts = new Array<number>(6).fill(0);
    const rng = createRng('die');
    for (let i = 0; i < 60_000; i++) counts[rng.int(6)]!++;
    // Standard deviation 91; five of them.
    for (const count of counts) expect(Math.abs(count - 10_000)).toBeLessThan(460);
  });

  it('draws standard normals and uniforms with the right moments', () => {
    const n = 50_000;
    const normals = createRng('n').fillNormal(new Float32Array(n));
    const mean = normals.reduce((a, b) => a + b, 0) / n;
    const square = normals.reduce((a, b) => a + b * b, 0) / n;
    const fourth = normals.reduce((a, b) => a + b ** 4, 0) / n;
    expect(Math.abs(mean)).toBeLessThan(0.02);
    expect(Math.abs(square - 1)).toBeLessThan(0.03);
    expect(Math.abs(fourth - 3)).toBeLessThan(0.25);
    const uniforms = createRng('u').fillUniform(new Float32Array(n));
    expect(uniforms.every((u) => u >= 0 && u < 1)).toBe(true);
    expect(Math.abs(uniforms.reduce((a, b) => a + b, 0) / n - 0.5)).toBeLessThan(0.01);
  });

  it('shuffles to a permutation and picks an element', () => {
    fc.assert(
      fc.property(fc.array(fc.integer(), { minLength: 1 }), fc.integer(), (xs, seed) => {
        const rng = createRng(seed);
        expect([...rng.shuffle(xs)].sort()).toEqual([...xs].sort());
        expect(xs).toContain(rng.pick(xs));
      }),
    );
  });

  it('says what is wrong with its arguments', () => {
    const rng = createRng();
    expect(() => rng.int(0)).toThrow('Rng.int: expected an integer from 1 to 2^32, received 0.');
    expect(() => rng.pick([])).toThrow('Rng.pick: expected at least one element, received none.');
  });
});
