// Four numbers of a row, or the one to three that are left at its end.

/** The next `left` numbers, at most four; zeros behind them. */
@inline export function load4(p: usize, left: i32): v128 {
  return left >= 4 ? v128.load(p) : loadFew(p, left);
}

@inline export function store4(p: usize, v: v128, left: i32): void {
  if (left >= 4) v128.store(p, v);
  else storeFew(p, v, left);
}

function loadFew(p: usize, left: i32): v128 {
  let v = v128.load32_zero(p);
  if (left > 1) v = v128.load_lane<f32>(p + 4, v, 1);
  if (left > 2) v = v128.load_lane<f32>(p + 8, v, 2);
  return v;
}

function storeFew(p: usize, v: v128, left: i32): void {
  v128.store_lane<f32>(p, v, 0);
  if (left > 1) v128.store_lane<f32>(p + 4, v, 1);
  if (left > 2) v128.store_lane<f32>(p + 8, v, 2);
}
