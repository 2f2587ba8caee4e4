import { expect, it } from 'vitest';
import { createOwner } from './owner';

it('frees what it owns once, the newest first', () => {
  const freed: number[] = [];
  const owner = createOwner();
  const things = [1, 2].map((number) => ({ number, dispose: () => void freed.push(number) }));
  expect(things.map(owner.own)).toEqual(things);
  owner.dispose();
  owner.dispose();
  expect(freed).toEqual([2, 1]);
});
