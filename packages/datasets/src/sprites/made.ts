import { circle, inner, line, path, rect, type Shape } from '../shapes';
import type { Look } from './look';

/** Walls with a door and a window under a steep roof with a chimney. 25 x 25. */
export function house({ colour, form }: Look): Shape[] {
  const [wall, shade, roof, roofDark] = [
    ['#f6e3bf', '#e0c79c', '#c8402c', '#9e2c1e'],
    ['#f4c9c0', '#dfaaa0', '#7a4632', '#5a3122'],
    ['#d4e4f0', '#b4c8d8', '#b8352e', '#8e241f'],
    ['#fbeb9c', '#e4d07a', '#8a3d5c', '#682a44'],
  ][colour % 4];
  const door = ['#6a3b1c', '#2f6a4a', '#7c2630'][form % 3];
  return [
    rect(5, -23, 3.2, 8, '#8a5a44'),
    rect(-10, -14.4, 20, 14.4, wall),
    ...inner(rect(-10, -14.4, 20, 2, shade)),
    path('M0 -25L12.6 -13.4H-12.6Z', roof),
    ...inner(
      path('M-12.6 -13.4L-11 -14.9H11L12.6 -13.4Z', roofDark),
      circle(0, -18.2, 1.7, '#fff3c8'),
      rect(-7.6, -8.4, 5, 8.4, door),
      circle(-3.6, -4.2, 0.5, '#ffe08a'),
      rect(1.2, -10, 6.6, 5.8, '#ffffff'),
      rect(1.9, -9.3, 2.3, 2, '#7cc0e8'),
      rect(4.8, -9.3, 2.3, 2, '#7cc0e8'),
      rect(1.9, -6.8, 2.3, 2, '#7cc0e8'),
      rect(4.8, -6.8, 2.3, 2, '#7cc0e8'),
    ),
  ];
}

/** Pointed white pickets on two rails. 26 x 13. */
export function fence({ colour, form }: Look): Shape[] {
  const [board, rail] =
    form % 4 === 3
      ? ['#e6b877', '#b07c3e']
      : [
          ['#ffffff', '#9fa8ba'],
          ['#fff9ec', '#b0a48e'],
          ['#ffffff', '#9fa8ba'],
        ][colour % 3];
  const pickets = [-12.8, -8.4, -4, 0.4, 4.8, 9.2];
  return [
    rect(-13, -9, 26, 1.9, rail),
    rect(-13, -4.4, 26, 1.9, rail),
    ...pickets.map((x) => path(`M${x} 0V-10.8L${x + 1.7} -13.2L${x + 3.4} -10.8V0Z`, board)),
    ...inner(...pickets.map((x) => rect(x + 2.6, -10.8, 0.8, 10.8, rail))),
  ];
}

/** Wooden slats for back and seat on black legs. 22 x 13. */
export function bench({ colour }: Look): Shape[] {
  const [wood, dark] = [
    ['#b5662c', '#8a4818'],
    ['#a0551f', '#763a12'],
    ['#c4783a', '#965420'],
  ][colour % 3];
  const iron = '#2b2b30';
  return [
    rect(-9, -12.6, 1.8, 12.6, iron),
    rect(7.2, -12.6, 1.8, 12.6, iron),
    rect(-11, -13.2, 22, 2.5, wood, 0.6),
    rect(-11, -9.8, 22, 2.5, wood, 0.6),
    rect(-11.4, -5.9, 22.8, 2.6, dark, 0.6),
    ...inner(rect(-11, -11.4, 22, 0.7, dark), rect(-11, -8, 22, 0.7, dark), rect(-11.4, -5.9, 22.8, 0.9, wood)),
  ];
}

/** Striped dome on a pole. 24 x 24. */
export function umbrella({ colour }: Look): Shape[] {
  const [a, b] = [
    ['#e8262e', '#fff6e6'],
    ['#1f7ae0', '#ffe14a'],
    ['#ff8a1c', '#fff6e6'],
    ['#12a08a', '#ffd0e0'],
  ][colour % 4];
  return [
    line('M0 -22V-0.6', '#8a5a2c', 1.5),
    path(
      'M-12 -13Q-11 -23.4 0 -23.6Q11 -23.4 12 -13Q10 -14.8 8 -13Q6 -14.8 4 -13Q2 -14.8 0 -13Q-2 -14.8 -4 -13Q-6 -14.8 -8 -13Q-10 -14.8 -12 -13Z',
      a,
    ),
    ...inner(
      path('M0 -23.6Q-7.2 -21.4 -8 -13Q-6 -14.8 -4 -13Q-3.6 -20 0 -23.6Z', b),
      path('M0 -23.6Q7.2 -21.4 8 -13Q6 -14.8 4 -13Q3.6 -20 0 -23.6Z', b),
    ),
    line('M0 -23.4V-25', '#8a5a2c', 1.2),
  ];
}

/** A beach ball in coloured wedges. 13 x 13. */
export function ball({ colour, form }: Look): Shape[] {
  const [a, b, c] = [
    ['#f0282e', '#ffffff', '#1f6fe8'],
    ['#ffd21f', '#f0282e', '#1f9e4a'],
    ['#1f6fe8', '#ffd21f', '#f0282e'],
  ][colour % 3];
  const tilt = form % 2 === 0 ? 1 : -1;
  return [
    circle(0, -6.4, 6.4, b),
    ...inner(
      path(`M0 -6.4L${-5.9 * tilt} -8.9A6.4 6.4 0 0 ${tilt > 0 ? 1 : 0} ${1 * tilt} -12.7Z`, a),
      path(`M0 -6.4L${5.9 * tilt} -8.9A6.4 6.4 0 0 ${tilt > 0 ? 1 : 0} ${4.4 * tilt} -1.75Z`, c),
      path(`M0 -6.4L${-4.4 * tilt} -1.75A6.4 6.4 0 0 ${tilt > 0 ? 0 : 1} ${1.2 * tilt} -0.1Z`, a),
      circle(0, -6.4, 1.4, '#ffffff'),
    ),
  ];
}

/** A grey pole with a two-coloured flag in the wind. 16 x 28. */
export function flag({ colour, form }: Look): Shape[] {
  const [a, b] = [
    ['#e3202c', '#ffffff'],
    ['#1653c8', '#ffd21f'],
    ['#0f9a48', '#ffffff'],
    ['#e3202c', '#ffd21f'],
  ][colour % 4];
  const cloth = 'M-4.4 -26.6Q0.4 -29 4.4 -26.4Q8 -24.4 11 -26.4V-15.8Q8 -13.8 4.4 -15.8Q0.4 -18.4 -4.4 -16Z';
  return [
    path(cloth, a),
    ...inner(
      form % 2 === 0
        ? path('M-4.4 -23Q0.4 -25.4 4.4 -22.8Q8 -20.8 11 -22.8V-19.4Q8 -17.4 4.4 -19.4Q0.4 -22 -4.4 -19.6Z', b)
        : path('M1.4 -27.8L4.8 -26.2V-15.6L1.4 -17.4Z', b),
    ),
    rect(-6, -27.6, 1.9, 27.6, '#6a6f7a'),
    ...inner(rect(-6, -27.6, 0.7, 27.6, '#a4aab4')),
    circle(-5.05, -28, 1.5, '#f2c230'),
  ];
}

/** A diamond in four colours with bows on its tail. 15 x 23. */
export function kite({ colour, form }: Look): Shape[] {
  const [a, b] = [
    ['#ff2f6e', '#ffd21f'],
    ['#7c2fe0', '#3fe0c0'],
    ['#ff7a1c', '#2f5ae0'],
    ['#1fae4a', '#ffe14a'],
  ][colour % 4];
  const sway = form % 2 === 0 ? 1 : -1;
  const bow = (x: number, y: number) => path(`M${x} ${y}l-2.2 -1.3v2.6zm0 0l2.2 -1.3v2.6z`, a);
  return [
    line(`M0 -8q${2.6 * sway} 2 0 4t${0.6 * sway} 3.6`, '#fff6e6', 0.9),
    bow(1 * sway, -5.6),
    bow(0, -2),
    path('M0 -23L7.6 -15.6L0 -7L-7.6 -15.6Z', a),
    ...inner(
      path('M0 -23L7.6 -15.6H0Z', b),
      path('M0 -7L-7.6 -15.6H0Z', b),
      line('M0 -23V-7M-7.6 -15.6H7.6', '#40304a', 0.6),
    ),
  ];
}
