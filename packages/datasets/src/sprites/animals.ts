import { circle, ellipse, inner, line, path, rect, type Shape } from '../shapes';
import type { Look } from './look';

/** Four straight legs at these x, from y to the base line. */
function legs(xs: readonly number[], top: number, width: number, fill: string): Shape[] {
  return xs.map((x) => rect(x - width / 2, top, width, -top, fill, 0.5));
}

/** White fleece in lobes, dark face and legs. 20 x 15. */
export function sheep({ colour }: Look): Shape[] {
  const fleece = ['#fbf8f0', '#f6efe0', '#ffffff'][colour % 3];
  const shade = ['#d6d0cc', '#d8ccb8', '#cdd3dc'][colour % 3];
  const dark = ['#2f2a2c', '#3b302a', '#242830'][colour % 3];
  return [
    ...legs([-6, -3, 2.6, 5.4], -5, 1.9, dark),
    circle(-7, -8, 3.2, fleece),
    circle(-4.5, -11.4, 3.1, fleece),
    circle(-0.3, -12.2, 3.2, fleece),
    circle(3.8, -11.2, 3.1, fleece),
    ellipse(-0.4, -7.8, 8.6, 4.4, fleece),
    ...inner(
      ellipse(-0.6, -5.2, 7.2, 1.7, shade),
      line('M-5.5 -9.5q1.2 1.4 2.4 0M-0.6 -10q1.2 1.4 2.4 0M-3 -7q1.2 1.4 2.4 0', shade, 0.6),
    ),
    ellipse(7.6, -10.2, 2.9, 3.3, dark),
    path('M5.6 -11.6L3.4 -10.4L5.6 -9.6Z', dark),
    circle(6.3, -13, 1.9, fleece),
    ...inner(circle(8.4, -10.8, 0.65, '#ffffff')),
  ];
}

/** White with brown patches, pink muzzle, horns. 25 x 16. */
export function cow({ colour, form }: Look): Shape[] {
  const patch = ['#8a4422', '#6e3418', '#a35a2a'][colour % 3];
  const hide = '#fff6ea';
  return [
    line('M-10.4 -13q-1.8 2.5 -1.2 7', patch, 1),
    ...legs([-8.4, -5.6, 3, 5.8], -6, 2.2, hide),
    rect(-10.8, -14, 18.6, 9, hide, 3),
    ...inner(
      form % 2 === 0
        ? path('M-10.8 -11q3 -4.6 6.4 -2.6t1.4 6.6q-5 2.4 -7.8 -1z', patch)
        : path('M-8.6 -14h6.6q1.4 5.4 -2 6.4q-5 -1 -4.6 -6.4z', patch),
      path('M1.2 -14h5.4q0.8 3.4 -1.4 6.2q-4.6 0.6 -4 -6.2z', patch),
      path('M-3.4 -5h4q-0.2 1.4 -2 1.4t-2 -1.4z', '#f3a6a6'),
    ),
    path('M7 -16.4q-1 -1.6 0.2 -2.6M10.8 -16.4q1 -1.6 -0.2 -2.6', '#d9c9a0'),
    line('M7.2 -15.6L6.6 -17.6M10.4 -15.6L11.2 -17.6', '#d8c48e', 1),
    rect(6, -16, 6, 8.4, patch, 2),
    rect(6.2, -10.8, 6.6, 3.8, '#f4aaa6', 1.8),
    ...inner(rect(8, -16, 1.8, 5, hide, 0.8), circle(7.4, -12.8, 0.6, '#1e1614'), circle(10.8, -12.8, 0.6, '#1e1614')),
  ];
}

/** Chestnut, dark flowing mane and tail, raised neck. 24 x 20. */
export function horse({ colour }: Look): Shape[] {
  const [hide, shade, mane] = [
    ['#9c4f22', '#7c3b17', '#33190c'],
    ['#7a3a1a', '#5d2a11', '#1f120c'],
    ['#a5451b', '#7f3310', '#2a1108'],
  ][colour % 3];
  return [
    path('M-8.6 -13.4q-4 0.6 -3.8 9.2q2.8 -1.6 3 -5z', mane),
    ...legs([-7.6, -4.8], -8, 1.9, shade),
    ...legs([3.2, 6], -8, 1.9, hide),
    ...inner(...[-7.6, -4.8, 3.2, 6].map((x) => rect(x - 1, -1.4, 2, 1.4, '#2a1c16'))),
    ellipse(-1.2, -10.6, 8.2, 4, hide),
    path('M2.4 -12.6L6.4 -20L10.2 -18.2L7.8 -9.2Z', hide),
    path('M6.2 -20.4L9.6 -19.6L13 -15.4L11.6 -13.2L7.4 -15.8Z', hide),
    path('M6.6 -21.6L8.2 -19.2L6 -19.4Z', shade),
    path('M6.6 -20.6Q2 -18.4 0.8 -12.4L3.6 -11.6Q4 -16.2 7.2 -18.8Z', mane),
    ...inner(circle(9.2, -17.8, 0.7, '#120c0a'), ellipse(-1.4, -8, 6, 1.2, shade)),
  ];
}

/** White with broad black stripes and an upright mane. 23 x 19. */
export function zebra({ form }: Look): Shape[] {
  const ink = '#16151a';
  const hide = '#ffffff';
  const lean = form % 2 === 0 ? 0.7 : -0.5;
  const stripe = (x: number) => path(`M${x} -14h1.7l${lean} 8h-1.7z`, ink);
  return [
    line('M-9.6 -12.6L-11 -6', ink, 1.3),
    ...legs([-7.4, -4.6, 3, 5.8], -7, 2.1, hide),
    rect(-9.8, -14, 17.8, 8, hide, 3.2),
    path('M3 -12L6 -19.4L10 -17.8L8 -9Z', hide),
    path('M5.8 -19.8L9.4 -19.2L13 -15L11.6 -12.8L7.4 -15.2Z', hide),
    path('M6.4 -20.6L5 -20.4L1.8 -13.4L4 -13Z', ink),
    path('M11 -16.4L13.4 -14.6L11.6 -12.4L10 -13.8Z', ink),
    ...inner(
      ...[-8.2, -4.9, -1.6, 1.7, 4.8].map(stripe),
      line('M4.4 -15.6L8.8 -13.6M5.6 -17.8L8.2 -16.6', ink, 1),
      ...[-7.4, -4.6, 3, 5.8].flatMap((x) => [rect(x - 1.1, -5.2, 2.2, 1.2, ink), rect(x - 1.1, -1.4, 2.2, 1.4, ink)]),
    ),
  ];
}

/** Yellow-orange with brown spots on very long legs and neck. 18 x 32. */
export function giraffe({ colour }: Look): Shape[] {
  const hide = ['#f5b83d', '#f0a93a', '#fac85a'][colour % 3];
  const spot = ['#a3541a', '#8f4a1c', '#b06420'][colour % 3];
  return [
    line('M-7.6 -15L-8.6 -8.4', spot, 1),
    ...legs([-6, -3.6, 2.2, 4.6], -11, 1.8, hide),
    path('M-8 -15.4Q-7 -18.4 -1 -18.2L5 -19.4L6.4 -11.4Q-1 -8.6 -7 -10.6Z', hide),
    path('M1.4 -17L4 -30L7.2 -30L7 -15Z', hide),
    path('M3.6 -31.4L7.2 -31.8L11.4 -28.6L10.6 -26.8L5 -27.4Z', hide),
    line('M4.4 -31L4 -33.2M6.4 -31.4L6.6 -33.4', spot, 0.9),
    ...inner(
      rect(-6.2, -16.6, 3, 2.8, spot, 0.8),
      rect(-2.4, -17, 2.8, 2.6, spot, 0.8),
      rect(-4.4, -13, 2.8, 2.4, spot, 0.8),
      rect(-0.6, -13.4, 2.8, 2.6, spot, 0.8),
      rect(2.8, -16.6, 2.6, 2.6, spot, 0.8),
      rect(3.4, -20.4, 2.2, 2.2, spot, 0.6),
      rect(3.9, -24, 2.2, 2.2, spot, 0.6),
      rect(4.4, -27.4, 1.8, 1.8, spot, 0.6),
      ...[-6, -3.6, 2.2, 4.6].map((x) => rect(x - 0.9, -1.3, 1.8, 1.3, '#5a3312')),
      circle(7, -29.6, 0.6, '#20140c'),
    ),
  ];
}

/** Big and blue-grey: trunk, ear, tusk, thick legs. 28 x 21. */
export function elephant({ colour }: Look): Shape[] {
  const [hide, shade, ear] = [
    ['#8fa0b8', '#74849c', '#a9b7ca'],
    ['#8793a6', '#6c788c', '#a2adbf'],
    ['#9a9db8', '#7d809c', '#b5b7cd'],
  ][colour % 3];
  return [
    line('M-12 -14L-13.2 -8', shade, 1),
    ...legs([-8.6, 0.4], -8, 3.4, shade),
    ...legs([-5, 4], -8, 3.6, hide),
    ellipse(-3, -12, 9.6, 7.4, hide),
    circle(7.2, -14.4, 5.6, hide),
    path('M9.6 -16Q13.6 -14 13.4 -8Q13.4 -4.6 15.2 -3.4L13.6 -1.8Q10.4 -3.4 10.6 -8Q10.4 -11 8 -11.4Z', hide),
    ellipse(3.6, -13.6, 4, 5.2, shade),
    ...inner(ellipse(3.4, -13.8, 3, 4.2, ear), circle(9.2, -16, 0.75, '#1c2028')),
    line('M9.8 -11.2Q11.4 -9.2 13 -9.6', '#fffdf0', 1.3),
    ...inner(...[-5, 4].map((x) => rect(x - 1.7, -1.1, 3.4, 1.1, '#e8e4da', 0.4))),
  ];
}

/** Tan, dark floppy ear, red collar, raised tail. 20 x 15. */
export function dog({ colour }: Look): Shape[] {
  const [hide, dark] = [
    ['#dca45a', '#6f4120'],
    ['#cf9148', '#4d2d18'],
    ['#e8bd7c', '#8a5426'],
  ][colour % 3];
  return [
    line('M-7.2 -8.6Q-10.4 -10.4 -9.6 -14', hide, 2),
    ...legs([-6, -3.6, 2.2, 4.6], -6, 2, hide),
    rect(-8, -10.4, 14.4, 6, hide, 2.6),
    ...inner(path('M-6.4 -10.4h6.4q0.4 3.4 -3.2 3.6t-3.2 -3.6z', dark)),
    path('M2.6 -9L3.4 -14.6L8 -14L7.2 -6.8Z', hide),
    rect(3, -16, 6.6, 6.2, hide, 2.2),
    rect(7.6, -13.2, 4.6, 3.2, hide, 1.4),
    path('M2.4 -15.4Q4.6 -16.6 5.4 -14.6Q5.4 -10.4 3.4 -9.4Q1.4 -11.6 2.4 -15.4Z', dark),
    circle(11.8, -12.4, 0.95, '#1a1210'),
    ...inner(circle(7.4, -13.6, 0.7, '#1a1210'), line('M3.6 -8.4L7 -8', '#e0262e', 1.5)),
  ];
}

/** Sitting, seen from the front: pointed ears, stripes, tail up at the side. 15 x 16. */
export function cat({ colour }: Look): Shape[] {
  const [fur, dark, chest] = [
    ['#f58a1f', '#b8520c', '#fff0dc'],
    ['#6f747e', '#41454e', '#e6e8ec'],
    ['#f07a28', '#a8480e', '#ffe8d0'],
  ][colour % 3];
  return [
    line('M-3.6 -1.6Q-8.4 -1.2 -7.4 -6.4Q-6.6 -9.4 -8 -11.4', fur, 2),
    path('M-5 0Q-6 -8 0 -9Q6 -8 5 0Z', fur),
    ...inner(
      ellipse(0, -2.8, 2.2, 2.8, chest),
      line('M-4.4 -3.4h1.4M-4 -5.6h1.4M4.4 -3.4h-1.4M4 -5.6h-1.4', dark, 0.8),
    ),
    path('M-5 -11L-4.8 -17L-1.4 -14.4Z', fur),
    path('M5 -11L4.8 -17L1.4 -14.4Z', fur),
    ellipse(0, -11, 5.2, 4.2, fur),
    ...inner(
      path('M-4.2 -13.4L-4.2 -15.4L-2.8 -14.2Z', '#f4a0a0'),
      path('M4.2 -13.4L4.2 -15.4L2.8 -14.2Z', '#f4a0a0'),
      line('M-1.2 -14.6v1.6M1.2 -14.6v1.6', dark, 0.8),
      ellipse(0, -9, 2.2, 1.6, chest),
      ellipse(-2.2, -11.4, 0.9, 1.1, '#2b6b2a'),
      ellipse(2.2, -11.4, 0.9, 1.1, '#2b6b2a'),
      circle(0, -9.6, 0.6, '#e06a70'),
    ),
  ];
}

/** Red or violet with a yellow beak; wings spread in flight (odd form), standing otherwise. 19 x 14. */
export function bird({ colour, form }: Look): Shape[] {
  const [plume, dark, belly] = [
    ['#e0242c', '#97101c', '#ffd9a8'],
    ['#7c2fc0', '#4d1586', '#f3d0ff'],
    ['#ea3a16', '#a0200a', '#ffe2a0'],
  ][colour % 3];
  const beak = '#ffb300';
  if (form % 2 === 1) {
    return [
      path('M-4.4 -5.4L-10.4 -8.2L-10 -4.4Z', dark),
      path('M1.8 -6Q2.4 -12.4 -3 -14.6Q-2.8 -9 -3.6 -6Z', dark),
      ellipse(0, -5, 6.4, 3.3, plume),
      path('M1.6 -5.2Q-1.4 -13 -8 -13.8Q-7.6 -7.4 -3.4 -4Z', plume),
      circle(6.2, -6.6, 3, plume),
      path('M8.6 -7.6L12 -6L8.6 -5Z', beak),
      ...inner(
        ellipse(1, -3.4, 4.2, 1.5, belly),
        circle(7, -7.2, 0.75, '#ffffff'),
        circle(7.2, -7.2, 0.45, '#101010'),
        line('M-1 -6Q-3 -10 -6.2 -11.6', dark, 0.7),
      ),
    ];
  }
  return [
    line('M-0.6 -3.4V-0.4M2 -3.4V-0.4M-0.6 -0.4h1.4M2 -0.4h1.4', '#d88a00', 0.9),
    path('M-4 -6.4L-10 -9.6L-9.2 -4.8Z', dark),
    path('M-6 -8.4Q-1 -13 4 -11.4Q7 -9 5 -5.4Q1 -1.4 -4 -4Z', plume),
    circle(4.8, -11, 3.3, plume),
    path('M7.4 -12.2L11 -10.6L7.4 -9.4Z', beak),
    ...inner(
      ellipse(2.6, -5, 2.6, 2, belly),
      path('M-5.4 -8Q-1 -11 1.6 -7.6Q-1.6 -4.4 -5.4 -5Z', dark),
      circle(5.8, -11.6, 0.8, '#ffffff'),
      circle(6, -11.6, 0.5, '#101010'),
    ),
  ];
}
