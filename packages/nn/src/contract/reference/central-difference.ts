/** Small enough for the square of it, large enough for the rounding of float64 divided by it. */
const STEP = 1e-5;

/** Slope of `f` at `x` along `direction`, which is zero but for some elements from `first` on. */
export function centralDifference(
  f: (x: Float64Array) => number,
  x: Float64Array,
  direction: Float64Array,
  first: number,
): number {
  const moved = (step: number): number => {
    const there = x.slice();
    direction.forEach((d, i) => (there[first + i] += step * d));
    return f(there);
  };
  return (moved(STEP) - moved(-STEP)) / (2 * STEP);
}
