import { circle, inner, line, path, rect, type Shape } from '../shapes';
import type { Look } from './look';

function wheel(x: number, radius: number): Shape[] {
  return [circle(x, -radius, radius, '#1d1d22'), ...inner(circle(x, -radius, radius * 0.48, '#c9ccd2'))];
}

/** A small hatchback in red, blue or turquoise. 25 x 14. */
export function car({ colour }: Look): Shape[] {
  const [body, dark] = [
    ['#e4202a', '#a81019'],
    ['#1f5fe0', '#1440a8'],
    ['#14a8b8', '#0b7884'],
    ['#e4202a', '#a81019'],
  ][colour % 4];
  return [
    path('M-9 -8.4L-5.8 -13.8Q-5.2 -14.4 -4 -14.4H3Q4.2 -14.4 5 -13.4L8.4 -8.4Z', body),
    path('M-12.4 -7Q-12.4 -8.8 -10 -8.8H9Q12.6 -8.2 12.6 -5.4V-3Q12.6 -2.4 12 -2.4H-11.8Q-12.4 -2.4 -12.4 -3Z', body),
    ...inner(
      path('M-6.6 -8.6L-4.4 -12.9H-0.8V-8.6Z', '#c4ecff'),
      path('M0.6 -8.6V-12.9H3L6 -8.6Z', '#c4ecff'),
      rect(-12.4, -4.2, 25, 1.8, dark),
      rect(10.6, -7.2, 2, 1.8, '#fff2a0', 0.6),
    ),
    ...wheel(-7, 3),
    ...wheel(7, 3),
  ];
}

/** Long and tall, yellow or green, with a row of windows. 31 x 18. */
export function bus({ colour }: Look): Shape[] {
  const [body, dark] = [
    ['#ffc21a', '#c8860a'],
    ['#ffb414', '#b87406'],
    ['#3cb043', '#237a2a'],
  ][colour % 3];
  return [
    rect(-15.4, -18, 30.8, 15.6, body, 2.4),
    ...inner(
      ...[-13.2, -7.8, -2.4, 3].map((x) => rect(x, -15.4, 4.2, 5, '#bfe6fa', 0.6)),
      rect(8.6, -15.4, 5, 10.6, '#bfe6fa', 0.6),
      rect(-15.4, -8.4, 23, 1.6, dark),
      rect(-15.4, -3.8, 30.8, 1.4, dark),
      rect(13.6, -6.6, 1.8, 1.8, '#fff8c0'),
    ),
    ...wheel(-9, 3.1),
    ...wheel(8.6, 3.1),
  ];
}

/** White sails over a brown hull. 23 x 24. */
export function boat({ colour, form }: Look): Shape[] {
  const sail = ['#ffffff', '#fff6e0', '#ffffff'][colour % 3];
  const shade = ['#d4dcea', '#e6d4b0', '#ccd8e8'][colour % 3];
  const pennant = ['#e8262e', '#ffb81c', '#e8262e'][form % 3];
  return [
    line('M0 -23V-5', '#5c3a1e', 1.2),
    path('M1 -21.4Q9.4 -15 10.2 -7.4H1Z', sail),
    path('M-1 -19.4Q-7.6 -13 -8.6 -7.4H-1Z', shade),
    path('M0.2 -24.2L5 -22.8L0.2 -21.4Z', pennant),
    path('M-11.4 -6.2H11.8Q10.4 0 7 0H-6.4Q-10.2 0 -11.4 -6.2Z', '#8a4a1e'),
    ...inner(path('M-11.4 -6.2H11.8L11.4 -4.4H-11Z', '#d8903e'), line('M1 -12.4L8.2 -12.4', shade, 0.8)),
  ];
}

/** A white jet with a coloured fin, belly stripe and swept wing. 27 x 13. */
export function plane({ colour }: Look): Shape[] {
  const [accent, dark] = [
    ['#e4202a', '#a41019'],
    ['#1c48b8', '#12307c'],
    ['#ff8a14', '#b85a06'],
  ][colour % 3];
  return [
    path('M-8.4 -7.6L-12.6 -13.4H-8.6L-3.8 -8Z', accent),
    path('M-12 -8Q-13 -5 -9 -3.8H8Q13 -4 13.6 -5.6Q12.4 -8.6 7 -8.8H-8Z', '#f4f6fa'),
    path('M1.6 -8.4L-1.4 -12.2H1L6.4 -8.4Z', '#8a94a6'),
    ...inner(
      path('M-11 -4.8Q-10.4 -4 -9 -3.8H8Q11.8 -3.9 13 -4.9Z', accent),
      ...[-6.4, -3.2, 0, 3.2].map((x) => rect(x, -7.5, 1.7, 1.5, '#33506e', 0.4)),
      path('M8 -8.4Q11 -8.2 12.2 -7H8.4Z', '#33506e'),
    ),
    path('M3.6 -5.6L-4.4 0H-0.8L8 -5.2Z', '#8a94a6'),
    ...inner(path('M-4.4 0H-0.8L0.4 -0.8H-3.2Z', dark)),
  ];
}
