import { circle, ellipse, inner, line, path, rect, type Shape } from '../shapes';
import type { Look } from './look';

const SKINS = ['#f3c39c', '#d99a6c', '#8a5634', '#fbd3b2'];

/** Short hair, blue shirt, dark trousers; one arm may be raised. 11 x 25. */
export function man({ colour, form }: Look): Shape[] {
  const skin = SKINS[colour % 4];
  const shirt = ['#2167dd', '#1b58c4', '#2f7df0'][colour % 3];
  const hair = ['#2a1a10', '#4a2c14', '#15110f'][form % 3];
  const raised = form % 2 === 1;
  return [
    rect(-3.4, -10, 3.1, 10, '#27304f', 0.6),
    rect(0.3, -10, 3.1, 10, '#2f3a5f', 0.6),
    ...inner(rect(-3.4, -1.5, 3.1, 1.5, '#16121a'), rect(0.3, -1.5, 3.1, 1.5, '#16121a')),
    line(raised ? 'M3.6 -16.4L6.4 -21' : 'M3.8 -16L5 -10.4', skin, 2),
    line('M-3.8 -16L-5 -10.4', skin, 2),
    rect(-4.2, -18.2, 8.4, 9, shirt, 1.8),
    line('M-4 -16.6L-4.6 -13.6', shirt, 2.2),
    line(raised ? 'M4 -16.6L5.2 -18.6' : 'M4 -16.6L4.6 -13.6', shirt, 2.2),
    circle(0, -21.4, 3.4, skin),
    path('M-3.7 -21.4Q-4 -25.6 0 -25.4Q4 -25.6 3.7 -21.8Q1.6 -23.8 -1 -23.2Z', hair),
    ...inner(circle(0.6, -21.2, 0.5, '#1c1410'), circle(2.4, -21.2, 0.5, '#1c1410'), rect(-4, -10, 8, 1.2, '#4a2c14')),
  ];
}

/** Long hair and a wide dress in pink, red or purple. 13 x 24. */
export function woman({ colour, form }: Look): Shape[] {
  const skin = SKINS[(colour + 1) % 4];
  const dress = ['#f0388f', '#e8286a', '#d94ad0'][colour % 3];
  const shade = ['#c01f6c', '#b5154a', '#a92fa2'][colour % 3];
  const hair = ['#5a2d12', '#f2c14a', '#23150e'][form % 3];
  return [
    path('M-4.2 -21Q-4.8 -25.4 0 -25.2Q4.8 -25.4 4.2 -21L4.6 -15.4H-4.6Z', hair),
    line('M-1.7 -5V-0.6M1.7 -5V-0.6', skin, 1.8),
    ...inner(line('M-1.7 -0.7h0.6M1.7 -0.7h0.6', shade, 1.4)),
    line('M-2.8 -16L-5.2 -10.8M2.8 -16L5.2 -10.8', skin, 1.7),
    path('M-2.8 -18H2.8L3 -13.4L6.6 -4H-6.6L-3 -13.4Z', dress),
    ...inner(path('M-6.6 -4L-5.8 -6H5.8L6.6 -4Z', shade), rect(-2.9, -13.6, 5.8, 1.3, shade)),
    ellipse(0, -20.8, 3, 3.3, skin),
    path('M-3.3 -20.6Q-3.4 -24.6 0 -24.6Q3.4 -24.6 3.3 -20.6Q2 -23.2 -0.6 -22.8Q-2.6 -22.6 -3.3 -20.6Z', hair),
    ...inner(
      circle(-1.1, -20.8, 0.5, '#1c1410'),
      circle(1.3, -20.8, 0.5, '#1c1410'),
      line('M-0.5 -19q0.6 0.5 1.2 0', '#c2334a', 0.5),
    ),
  ];
}
