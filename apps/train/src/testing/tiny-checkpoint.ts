import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import type { ModelParts } from '@sgdiff/published-models';

/** A checkpoint in the published layout at tiny sizes, from `tools/golden/published_checkpoint.py`. */
export function tinyCheckpoint(): Uint8Array {
  const path = new URL('../../../../packages/published-models/fixtures/tiny.ckpt.gz', import.meta.url);
  return gunzipSync(readFileSync(path));
}

/** Its sizes. */
export const tinyParts: ModelParts = {
  encoder: {
    objectCount: 5,
    predicateCount: 3,
    width: 4,
    layers: 3,
    hiddenWidth: 6,
    globalWidth: 4,
    maxTriples: 15,
    overflow: 'first',
    logitScale: true,
  },
  autoencoder: {
    imageChannels: 3,
    stem: 1,
    baseChannels: 4,
    channelMults: [1, 2],
    numResBlocks: 1,
    attentionLevels: [1],
    zChannels: 4,
    embedDim: 4,
    codebookSize: 12,
    groups: 2,
  },
  unet: {
    inChannels: 4,
    outChannels: 4,
    modelChannels: 4,
    channelMults: [1, 2],
    numResBlocks: 1,
    attentionFactors: [1, 2],
    headChannels: 2,
    transformerDepth: 1,
    contextWidth: 4,
    localWidth: 12,
    globalWidth: 4,
    globalInTime: false,
    maskPadding: false,
    groups: 2,
  },
};
