import { fromLayout, shapeInLayout, type StateDict } from '@sgdiff/nn';
import { clipForm, clipSource, clipTensors, type ClipVisionConfig } from '../index';

/** CLIP's weights from a file in either form, by our paths and in our layout: what an importer does. */
export async function readClip(
  file: StateDict,
  config: ClipVisionConfig,
): Promise<Map<string, { readonly shape: readonly number[]; readonly values: Float32Array }>> {
  const { form, prefix } = clipForm(file.tensors.keys())!;
  const weights = new Map<string, { readonly shape: readonly number[]; readonly values: Float32Array }>();
  for (const { path, shape } of clipTensors(config)) {
    const { name, layout, rows } = clipSource(path, config, form, prefix);
    const all = new Float32Array((await file.read(name)).slice().buffer);
    const size = shapeInLayout(shape, layout).reduce((a, b) => a * b, 1);
    const rowSize = rows ? size / (rows[1] - rows[0]) : size;
    const own = rows ? all.subarray(rows[0] * rowSize, rows[1] * rowSize) : all;
    weights.set(path, { shape, values: fromLayout(own, shape, layout) });
  }
  await file.close();
  return weights;
}
