import { createReadStream, existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { defaultClientConditions, defineConfig, type Plugin, type UserConfig } from 'vite';

const root = dirname(fileURLToPath(import.meta.url));

/** The files of a model folder that drawing reads; `@sgdiff/pipeline` calls all but the first DRAWING_FILES. */
export const SERVED_FILES = [
  'model.json',
  'vocab.json',
  'encoder.safetensors',
  'autoencoder.safetensors',
  'unet.safetensors',
];

/** Headers under which a page gets shared memory, and wasm threads with it. */
export const ISOLATION = { 'Cross-Origin-Opener-Policy': 'same-origin', 'Cross-Origin-Embedder-Policy': 'require-corp' };

/**
 * How the app is built and served.
 *
 * @param options.modelFolder The model it draws with: the folder in `SGDIFF_MODEL`, else the package that ships.
 * @param options.outDir Where the build goes; `dist` unless given.
 */
export function webDemoConfig(options: { modelFolder?: string; outDir?: string } = {}): UserConfig {
  const modelFolder = options.modelFolder ?? givenModel() ?? shippedModel();
  return {
    root,
    base: './',
    appType: 'mpa', // so that a file that is not there is a 404, not the page
    plugins: [serveModel(modelFolder)],
    resolve: { conditions: ['@sgdiff/source', ...defaultClientConditions] },
    worker: { format: 'es' },
    build: { target: 'es2022', outDir: options.outDir ?? 'dist', emptyOutDir: true, chunkSizeWarningLimit: 2000 },
    server: { headers: ISOLATION },
    preview: { headers: ISOLATION },
    // Found by hand where Vite would find them late, inside the worker, and load the page again.
    optimizeDeps: {
      include: [
        '@tensorflow/tfjs-core',
        '@tensorflow/tfjs-backend-wasm',
        '@tensorflow/tfjs-backend-webgpu',
        '@sgdiff/pipeline > @noble/hashes/sha2.js',
        '@sgdiff/pipeline > @noble/hashes/utils.js',
        'fast-png',
      ],
    },
  };
}

export default defineConfig(webDemoConfig());

function givenModel(): string | undefined {
  const folder = process.env['SGDIFF_MODEL'];
  if (!folder) return undefined;
  const path = resolve(process.env['SGDIFF_CWD'] ?? process.cwd(), folder);
  if (existsSync(join(path, 'model.json'))) return path;
  throw new Error(`SGDIFF_MODEL: expected a model folder, received ${path}, which has no model.json. Check the path.`);
}

function shippedModel(): string {
  return dirname(createRequire(import.meta.url).resolve('@sgdiff/model-picture-book/package.json'));
}

/** Puts the model folder at `model/`: beside the page in a build, as it is on disk in the dev server. */
function serveModel(folder: string): Plugin {
  return {
    name: 'sgdiff-model',
    configureServer({ middlewares }) {
      middlewares.use((request, response, next) => {
        const file = /^\/model\/([\w.-]+)(?:\?|$)/.exec(request.url ?? '')?.[1];
        if (file === undefined) return next();
        const path = join(folder, file);
        if (!SERVED_FILES.includes(file) || !existsSync(path)) {
          response.statusCode = 404;
          response.end();
          return;
        }
        response.setHeader('Content-Type', file.endsWith('.json') ? 'application/json' : 'application/octet-stream');
        createReadStream(path).pipe(response);
      });
    },
    generateBundle() {
      for (const file of SERVED_FILES) {
        const path = join(folder, file);
        if (existsSync(path)) this.emitFile({ type: 'asset', fileName: `model/${file}`, source: readFileSync(path) });
        else
          this.warn(
            `No ${path}: the page will say that its model is missing. Train one or set SGDIFF_MODEL to a model folder.`,
          );
      }
    },
  };
}
