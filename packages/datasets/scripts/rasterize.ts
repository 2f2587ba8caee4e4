import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { initWasm, Resvg } from '@resvg/resvg-wasm';
import type { Rasterize } from '../src/index';

/** A rasteriser on resvg's WebAssembly build. Run from the package's folder. */
export async function createRasterize(): Promise<Rasterize> {
  const require = createRequire(`${process.cwd()}/package.json`);
  await initWasm(readFileSync(require.resolve('@resvg/resvg-wasm/index_bg.wasm')));
  return (svg, widthPx) => {
    const resvg = new Resvg(svg, { fitTo: { mode: 'width', value: widthPx } });
    const picture = resvg.render();
    const pixels = picture.pixels;
    picture.free();
    resvg.free();
    return pixels;
  };
}
