/**
 * What sprites are made of. Coordinates are pixels of a 64-pixel picture; a sprite's origin is the middle of its base
 * line, y grows downwards (so a sprite lies in negative y), and it looks to the right.
 */

/** One filled or stroked outline. `inner` marks paint that never leaves the silhouette of the shapes before it. */
export type Shape = {
  readonly element: 'path' | 'ellipse' | 'rect';
  readonly geometry: string;
  readonly fill?: string;
  readonly stroke?: string;
  readonly strokeWidth?: number;
  readonly inner?: boolean;
};

/** A closed outline given by an SVG path. */
export function path(d: string, fill: string): Shape {
  return { element: 'path', geometry: `d="${d}"`, fill };
}

/** A stroke with round ends along an SVG path. */
export function line(d: string, stroke: string, strokeWidth: number): Shape {
  return { element: 'path', geometry: `d="${d}"`, stroke, strokeWidth };
}

export function ellipse(cx: number, cy: number, rx: number, ry: number, fill: string): Shape {
  return { element: 'ellipse', geometry: `cx="${n(cx)}" cy="${n(cy)}" rx="${n(rx)}" ry="${n(ry)}"`, fill };
}

export function circle(cx: number, cy: number, r: number, fill: string): Shape {
  return ellipse(cx, cy, r, r, fill);
}

export function rect(x: number, y: number, width: number, height: number, fill: string, radius = 0): Shape {
  const corner = radius > 0 ? ` rx="${n(radius)}"` : '';
  return {
    element: 'rect',
    geometry: `x="${n(x)}" y="${n(y)}" width="${n(width)}" height="${n(height)}"${corner}`,
    fill,
  };
}

/** Marks shapes as paint inside the silhouette: drawn in pictures, left out of masks. */
export function inner(...shapes: readonly Shape[]): Shape[] {
  return shapes.map((shape) => ({ ...shape, inner: true }));
}

/** SVG of shapes in their own colours. */
export function paint(shapes: readonly Shape[]): string {
  return shapes.map((shape) => element(shape, shape.fill, shape.stroke)).join('');
}

/** SVG of the silhouette of shapes in one flat colour. */
export function silhouette(shapes: readonly Shape[], colour: string): string {
  return shapes
    .filter((shape) => !shape.inner)
    .map((shape) => element(shape, shape.fill && colour, shape.stroke && colour))
    .join('');
}

/** A number as SVG text: at most two decimals, so that the same scene gives the same bytes everywhere. */
export function n(value: number): string {
  return String(Math.round(value * 100) / 100);
}

function element(shape: Shape, fill: string | undefined, stroke: string | undefined): string {
  const fillText = fill === undefined ? ' fill="none"' : ` fill="${fill}"`;
  const strokeText =
    stroke === undefined
      ? ''
      : ` stroke="${stroke}" stroke-width="${n(shape.strokeWidth ?? 1)}" stroke-linecap="round"`;
  return `<${shape.element} ${shape.geometry}${fillText}${strokeText}/>`;
}
