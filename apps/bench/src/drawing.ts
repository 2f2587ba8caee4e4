import { unetFlops } from '@sgdiff/diffusion-unet';
import { loadPipeline } from '@sgdiff/pipeline/node';
import type { SceneGraph, Vocabulary } from '@sgdiff/sg-schema';
import * as tf from '@tensorflow/tfjs-core';
import { wasmBytes } from './memory';
import type { DrawingResult } from './result';

/**
 * Loads a model folder, which is then in this process alone, and draws one picture with it.
 *
 * @param steps Network calls; the median counts, without the first, which wakes everything up.
 */
export async function measureDrawing(model: string, steps: number): Promise<Omit<DrawingResult, 'backend' | 'threads'>> {
  const begun = performance.now();
  const pipeline = await loadPipeline(model);
  try {
    const loadMs = performance.now() - begun;
    const weightBytes = tf.memory().numBytes;
    const loadedBytes = peakBytes();
    const ends: number[] = [];
    const graph = someGraph(pipeline.vocabulary);
    let last = performance.now();
    await pipeline.generate(graph, {
      ...{ seed: 0, steps, sampler: 'ddim', spacing: 'trailing', eta: 0, guidanceScale: 1 },
      onStep() {
        ends.push(performance.now() - last);
        last = performance.now();
      },
    });
    const decodeMs = performance.now() - last;
    const stepMs = median(ends.slice(1));
    const { imageSize, parts } = pipeline.manifest;
    const side = imageSize / 2 ** (parts.autoencoder.channelMults.length - 1) / parts.autoencoder.stem;
    const flops = unetFlops(parts.unet, { height: side, width: side, triples: parts.encoder.maxTriples });
    return {
      model: pipeline.manifest.name,
      imageSize,
      loadMs,
      stepMs,
      gflops: flops / stepMs / 1e6,
      decodeMs,
      weightBytes,
      loadedBytes,
      peakBytes: peakBytes(),
      wasmBytes: wasmBytes(),
    };
  } finally {
    pipeline.dispose();
  }
}

/** What is drawn does not matter for the time: two objects and a relation of whatever words there are. */
function someGraph({ objects, predicates }: Vocabulary): SceneGraph {
  return { objects: [objects[1]!, objects[2]!], relationships: [[0, predicates[1]!, 1]] };
}

/** The most memory that the process ever had. */
function peakBytes(): number {
  return process.resourceUsage().maxRSS * 1024;
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}
