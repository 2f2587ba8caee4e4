import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { initWasm, Resvg } from '@resvg/resvg-wasm';
import type { Rasterize } from '@sgdiff/datasets';

let started: Promise<void> | undefined;

/** resvg in WebAssembly: the same bytes on every platform. */
export async function createRasterizer(): Promise<Rasterize> {
  // It can be started once in a process.
  await (started ??= initWasm(readFileSync(createRequire(import.meta.url).resolve('@resvg/resvg-wasm/index_bg.wasm'))));
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
