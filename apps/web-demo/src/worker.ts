// All tensor work of the app. The page gets pixels and progress.
import { loadPipeline } from '@sgdiff/pipeline';
import { startBackend } from './backend';
import { serveDrawing } from './drawing-service';
import type { FromWorker, Port, ToWorker } from './protocol';

serveDrawing(self as unknown as Port<FromWorker, ToWorker>, async ({ modelUrl, ...asked }, onProgress) => {
  onProgress({ stage: 'backend' });
  const backend = await startBackend(asked);
  const drawer = await loadPipeline(modelUrl, { onProgress: (bytes) => onProgress({ stage: 'model', ...bytes }) });
  return { backend, drawer };
});
