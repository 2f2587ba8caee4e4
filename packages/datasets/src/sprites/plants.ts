import { circle, ellipse, inner, line, path, rect, type Shape } from '../shapes';
import type { Look } from './look';

/** A round crown (forms 0, 1), or a fir (form 2), on a brown trunk. 21 x 29. */
export function tree({ colour, form }: Look): Shape[] {
  const [leaf, light, dark] = [
    ['#3f9b35', '#63bb4a', '#2c7628'],
    ['#58a82e', '#82c94a', '#3f8420'],
    ['#2f8c4c', '#53ae68', '#206a38'],
  ][colour % 3];
  const trunk = '#7a4a24';
  if (form % 3 === 2) {
    return [
      rect(-1.7, -6, 3.4, 6, trunk),
      path('M0 -20.5L9.4 -4.6Q0 -2.4 -9.4 -4.6Z', '#1f6b40'),
      path('M0 -25L7.8 -10.8Q0 -8.6 -7.8 -10.8Z', '#27804c'),
      path('M0 -29.4L5.8 -17.4Q0 -15.6 -5.8 -17.4Z', '#319659'),
      ...inner(line('M-6.6 -6.6L-2.4 -12M-5 -12.6L-1.8 -17.4', '#4fb878', 0.9)),
    ];
  }
  const fruit = form % 3 === 1;
  return [
    path('M-2.2 0L-1.6 -12H1.6L2.4 0Z', trunk),
    ...inner(rect(0.5, -10, 1.2, 10, '#5c3618')),
    circle(-5.6, -15, 5.2, dark),
    circle(5.6, -14.8, 5.2, dark),
    circle(-4.4, -20.6, 5.2, leaf),
    circle(4.8, -20.2, 5.2, leaf),
    circle(0, -16.2, 6.4, leaf),
    circle(0.2, -23.4, 5.2, leaf),
    ...inner(
      circle(-2, -23.2, 3.2, light),
      circle(-5.4, -18.6, 2.4, light),
      circle(3.4, -17.6, 2, light),
      ...(fruit
        ? [
            circle(-4, -14, 1.1, '#e8352c'),
            circle(3.6, -21.4, 1.1, '#e8352c'),
            circle(6.2, -14.6, 1.1, '#e8352c'),
            circle(0, -18.8, 1.1, '#e8352c'),
          ]
        : []),
    ),
  ];
}

/** A low, dark round bush with bright berries. 20 x 13. */
export function bush({ colour, form }: Look): Shape[] {
  const [leaf, dark] = [
    ['#1f6a3a', '#124a26'],
    ['#2a6b2c', '#194a1b'],
    ['#17604a', '#0d4232'],
  ][colour % 3];
  const berry = ['#ff3d4d', '#ff6fb0', '#ff3d4d'][form % 3];
  return [
    ellipse(0, -3.6, 9.6, 3.6, dark),
    circle(-5.6, -5.6, 4.6, leaf),
    circle(5.6, -5.4, 4.6, leaf),
    circle(0, -8, 5.2, leaf),
    ...inner(
      ellipse(0, -2, 7.6, 1.6, dark),
      ...[
        [-6.4, -6.4],
        [-2.6, -9.6],
        [2, -6.4],
        [5.8, -7.2],
        [-2.8, -4.4],
        [7, -3.4],
        [1.4, -10.4],
      ].map(([x, y]) => circle(x, y, 1.05, berry)),
    ),
  ];
}

/** One big bright blossom on a stem with two leaves. 11 x 18. */
export function flower({ colour, form }: Look): Shape[] {
  const [petal, heart] = [
    ['#ff4fa0', '#ffe04a'],
    ['#ffcf1f', '#8a4a14'],
    ['#ff5a3c', '#ffe04a'],
    ['#b04ff0', '#ffe04a'],
  ][colour % 4];
  const stem = '#2f9a3a';
  if (form % 3 === 2) {
    return [
      line('M0 -9V-0.8', stem, 1.7),
      path('M0 -0.6Q-6 -2 -4.8 -8.4Q-0.4 -6 0 -0.6Z', stem),
      path('M0 -0.6Q6 -2 4.8 -8.4Q0.4 -6 0 -0.6Z', stem),
      path(
        'M-5.2 -17.6Q-2.8 -16.8 -2.4 -15.2L0 -18.4L2.4 -15.2Q2.8 -16.8 5.2 -17.6Q6.4 -8.4 0 -8.2Q-6.4 -8.4 -5.2 -17.6Z',
        petal,
      ),
      ...inner(
        path('M0 -18.4L2 -15.4Q2.4 -10.6 0 -8.4Q-2.4 -10.6 -2 -15.4Z', heart === '#8a4a14' ? '#ffe88a' : '#ffffff55'),
      ),
    ];
  }
  const around: [number, number][] = [
    [0, -4],
    [3.8, -1.24],
    [2.35, 3.24],
    [-2.35, 3.24],
    [-3.8, -1.24],
  ];
  return [
    line('M0 -8V-0.8', stem, 1.7),
    path('M0 -1Q-5.4 -1.2 -5.4 -5.4Q-1 -5.4 0 -1Z', stem),
    path('M0 -1Q5.4 -1.2 5.4 -5.4Q1 -5.4 0 -1Z', stem),
    ...around.map(([x, y]) => circle(x * 0.86, -12.4 + y * 0.86, 2.75, petal)),
    circle(0, -12.4, 2.6, heart),
  ];
}

/** Grey facets, light from above. 19 x 12. */
export function rock({ colour, form }: Look): Shape[] {
  const [face, light, dark] = [
    ['#8d8a88', '#b5b2ae', '#66625f'],
    ['#7f8488', '#a8adb1', '#585c60'],
    ['#958c80', '#bdb4a6', '#6c645a'],
  ][colour % 3];
  return form % 2 === 0
    ? [
        path('M-9.4 0L-8.6 -5L-4.4 -10.6L1.8 -12L7.2 -8L9.4 0Z', face),
        ...inner(path('M-8.6 -5L-4.4 -10.6L1.8 -12L0 -7.4L-5 -4.6Z', light), path('M9.4 0L7.2 -8L3.6 -4.6L2 0Z', dark)),
      ]
    : [
        path('M-9.6 0L-8 -6.4L-3 -8.4L0.6 -12.4L6.4 -10L9.6 -3L9 0Z', face),
        ...inner(
          path('M-3 -8.4L0.6 -12.4L6.4 -10L3 -7Z', light),
          path('M-9.6 0L-8 -6.4L-5.4 -3L-5 0ZM9.6 -3L9 0H3.4L5.4 -5Z', dark),
        ),
      ];
}
