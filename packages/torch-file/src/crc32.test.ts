import fc from 'fast-check';
import { expect, it } from 'vitest';
import { crc32 } from './crc32';

it('gives the check value of the standard', () => {
  expect(crc32(new TextEncoder().encode('123456789'))).toBe(0xcbf43926);
  expect(crc32(new Uint8Array(0))).toBe(0);
});

it('is the remainder taken bit by bit, for any length', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 70 }), (bytes) => {
      let expected = 0xffffffff;
      for (const byte of bytes) {
        expected ^= byte;
        for (let bit = 0; bit < 8; bit++) expected = expected & 1 ? (expected >>> 1) ^ 0xedb88320 : expected >>> 1;
      }
      expect(crc32(bytes)).toBe(~expected >>> 0);
    }),
  );
});
