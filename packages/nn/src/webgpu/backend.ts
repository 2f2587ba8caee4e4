// The webgpu backend of tfjs from within: compute programs of our own run in its queue. They reach it through the running
// backend, so that no backend is imported here.
import * as tf from '@tensorflow/tfjs-core';

/** What is used of tfjs' `WebGPUBackend` (4.22). */
export type WebgpuBackend = {
  readonly device: {
    readonly limits: { readonly maxComputeWorkgroupsPerDimension: number };
    createShaderModule(descriptor: { code: string; label: string }): object;
    createComputePipeline(descriptor: {
      compute: { module: object; entryPoint: string };
      layout: 'auto';
      label: string;
    }): object;
  };
  makeTensorInfo(shape: number[], dtype: 'float32'): tf.TensorInfo;
  uploadToGPU(dataId: object): void;
  /** Binds the output, the inputs and the uniforms, in this order, and dispatches. */
  recordAndSubmit(
    program: { readonly pipeline: object; readonly dispatch: readonly [number, number, number] },
    output: tf.TensorInfo,
    inputs: readonly tf.TensorInfo[],
    uniforms: readonly { readonly type: 'int32' | 'float32'; readonly data: number[] }[],
  ): void;
  disposeData(dataId: object): boolean;
};

type Inputs = Record<string, tf.TensorInfo>;

/** A kernel: borrows its inputs, hands over its outputs. */
export type WebgpuKernel<Attrs> = (backend: WebgpuBackend, inputs: Inputs, attrs: Attrs) => tf.TensorInfo[];

/** Whether the running backend is webgpu. */
export function hasWebgpu(): boolean {
  return tf.getBackend() === 'webgpu';
}

/** Runs a kernel by the name under which profiles show it. No gradient. The caller disposes the outputs. */
export function runKernel<Attrs extends object>(
  name: string,
  kernel: WebgpuKernel<Attrs>,
  inputs: Record<string, tf.Tensor>,
  attrs: Attrs,
): tf.Tensor[] {
  if (!tf.getKernel(name, 'webgpu')) {
    tf.registerKernel({
      kernelName: name,
      backendName: 'webgpu',
      kernelFunc: ({ inputs: infos, backend, attrs: values }) =>
        kernel(backend as unknown as WebgpuBackend, infos as Inputs, values as unknown as Attrs),
    });
  }
  const outputs: unknown = tf.engine().runKernel(name, inputs, attrs as unknown as tf.NamedAttrMap);
  return outputs as tf.Tensor[];
}
