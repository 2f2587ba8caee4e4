import type * as tf from '@tensorflow/tfjs-core';
import type { WebgpuBackend } from './backend';

/**
 * A compute program in WGSL. `code` defines `fn run(workgroup: i32, thread: i32)`, which finds the buffers under their
 * names, the numbers as `uniforms.name`, and workgroups in a row whatever the grid. Every buffer must be used in it.
 */
export type Program = {
  /** Says all that the code depends on: programs are compiled once per name. */
  readonly name: string;
  readonly threads: number;
  /** Names and WGSL types of the elements, written by the program. */
  readonly outputs: Readonly<Record<string, Element>>;
  readonly inputs: Readonly<Record<string, Element>>;
  readonly uniforms: readonly string[];
  readonly floatUniforms?: readonly string[];
  readonly code: string;
};

export type Element = 'f32' | 'vec2<f32>' | 'vec4<f32>';

export type Run = {
  readonly outputs: readonly tf.TensorInfo[];
  readonly inputs: readonly tf.TensorInfo[];
  /** One number for each name of the program. */
  readonly uniforms: Readonly<Record<string, number>>;
  readonly workgroups: number;
};

const pipelines = new WeakMap<object, Map<string, object>>();

/** Queues a program on tensors whose shapes the caller answers for. */
export function runProgram(backend: WebgpuBackend, program: Program, { outputs, inputs, uniforms, workgroups }: Run): void {
  if (workgroups === 0) return;
  const tensors = [...outputs, ...inputs];
  for (const { dataId } of tensors) backend.uploadToGPU(dataId);
  // tfjs passes shape and strides of each tensor ahead of our numbers: flat, they are two integers.
  const [output, ...others] = tensors.map(({ dataId, dtype }) => ({ dataId, dtype, shape: [1] }));
  const { floatUniforms = [] } = program;
  backend.recordAndSubmit(
    { pipeline: pipelineOf(backend, program), dispatch: grid(backend, workgroups) },
    output!,
    others,
    [
      { type: 'int32', data: [workgroups] },
      ...program.uniforms.map((name) => ({ type: 'int32' as const, data: [uniforms[name]!] })),
      ...floatUniforms.map((name) => ({ type: 'float32' as const, data: [uniforms[name]!] })),
    ],
  );
}

function pipelineOf({ device }: WebgpuBackend, program: Program): object {
  let ofDevice = pipelines.get(device);
  if (!ofDevice) pipelines.set(device, (ofDevice = new Map()));
  const { name } = program;
  let pipeline = ofDevice.get(name);
  if (!pipeline) {
    const module = device.createShaderModule({ code: shader(program), label: name });
    pipeline = device.createComputePipeline({ compute: { module, entryPoint: 'start' }, layout: 'auto', label: name });
    ofDevice.set(name, pipeline);
  }
  return pipeline;
}

/** As many workgroups or a few more, in two dimensions where one does not suffice. */
function grid({ device }: WebgpuBackend, workgroups: number): [number, number, number] {
  const limit = device.limits.maxComputeWorkgroupsPerDimension;
  if (workgroups <= limit) return [workgroups, 1, 1];
  const rows = Math.ceil(workgroups / limit);
  return [Math.ceil(workgroups / rows), rows, 1];
}

function shader({ threads, outputs, inputs, uniforms, floatUniforms = [], code }: Program): string {
  const buffers = [
    ...Object.entries(outputs).map(([name, type]) => `var<storage, read_write> ${name}: array<${type}>;`),
    ...Object.entries(inputs).map(([name, type]) => `var<storage, read> ${name}: array<${type}>;`),
  ];
  const bindings = [...buffers, 'var<uniform> uniforms: Uniforms;'];
  const ofTfjs = buffers.map((_, index) => `shape${index}: i32, strides${index}: i32,`).join(' ');
  return `
struct Uniforms {
  nan: f32, infinity: f32, ${ofTfjs}
  workgroups: i32, ${uniforms.map((name) => `${name}: i32,`).join(' ')}
  ${floatUniforms.map((name) => `${name}: f32,`).join(' ')}
};
${bindings.map((binding, index) => `@group(0) @binding(${index}) ${binding}`).join('\n')}
${code}
@compute @workgroup_size(${threads})
fn start(
  @builtin(workgroup_id) id: vec3<u32>,
  @builtin(num_workgroups) count: vec3<u32>,
  @builtin(local_invocation_index) thread: u32
) {
  let workgroup = i32(id.y * count.x + id.x);
  if (workgroup < uniforms.workgroups) { run(workgroup, i32(thread)); }
}`;
}
