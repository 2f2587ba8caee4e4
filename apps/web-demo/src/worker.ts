// All tensor work of the app. The page gets pixels and progress.
import { DRAWING_FILES, loadPipeline, parseManifest, urlSource } from '@sgdiff/pipeline';
import { startBackend } from './backend';
import { serveDrawing } from './drawing-service';
import type { FromWorker, Port, ToWorker } from './protocol';

serveDrawing(self as unknown as Port<FromWorker, ToWorker>, async ({ modelUrl, ...asked }, onProgress) => {
  onProgress({ stage: 'backend' });
  const backend = await startBackend(asked);
  const drawer = await loadPipeline(
    urlSource(modelUrl, {
      fetch: countingFetch((loadedBytes, totalBytes) => onProgress({ stage: 'model', loadedBytes, totalBytes })),
    }),
  );
  return { backend, drawer };
});

/** Size of what drawing reads; 0 for something that is no manifest, which loadPipeline will say in its words. */
async function drawingBytes(manifest: Response): Promise<number> {
  try {
    const { files } = parseManifest(await manifest.text(), 'model.json');
    return DRAWING_FILES.reduce((sum, file) => sum + files[file]!.bytes, 0);
  } catch {
    return 0;
  }
}

/** `fetch` that tells how far the files of a model folder are; `model.json`, which comes first, tells how much there is. */
function countingFetch(report: (loadedBytes: number, totalBytes: number) => void): typeof fetch {
  let loadedBytes = 0;
  let totalBytes = 0;
  return async (input, init) => {
    const response = await fetch(input, init);
    if (!response.ok || !response.body) return response;
    if (String(input).endsWith('/model.json')) {
      totalBytes = await drawingBytes(response.clone());
      report(0, totalBytes);
      return response;
    }
    const counted = response.body.pipeThrough(
      new TransformStream<Uint8Array, Uint8Array>({
        transform(chunk, controller) {
          loadedBytes += chunk.byteLength;
          report(loadedBytes, totalBytes);
          controller.enqueue(chunk);
        },
      }),
    );
    return new Response(counted, response);
  };
}
