import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { initWasm, Resvg } from '@resvg/resvg-wasm';
import type { Rasterize } from '@sgdiff/datasets';

/** resvg in WebAssembly: the same bytes on every platform. */
export async function createRasterizer(): Promise<Rasterize> {
  const wasm = createRequire(import.meta.url).resolve('@resvg/resvg-wasm/index_bg.wasm');
  await initWasm(readFileSync(wasm));
  return (svg, widthPx) => {
    const resvg = new Resvg(svg, { fitTo: { mode: 'width', value: widthPx }, font: { loadSystemFonts: false } });
    try {
      const rendered = resvg.render();
      try {
        return rendered.pixels.slice();
      } finally {
        rendered.free();
      }
    } finally {
      resvg.free();
    }
  };
}
