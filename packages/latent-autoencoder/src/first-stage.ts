// Shapes: B batch, H and W image sides, h and w latent sides, C channels before the decoder's last layer.
import * as tf from '@tensorflow/tfjs-core';
import { conv2d, meanAll, sumAll, valueAndGrads, type Gradients } from '@sgdiff/nn';
import { adaptiveWeight, generatorLoss, hingeDiscriminatorLoss } from './adversarial';
import type { AutoencoderParams } from './autoencoder';
import type { AutoencoderConfig } from './config';
import { decoderBody, decoderOutput } from './decoder';
import { encodeToCodes, reconstructionError, type AutoencoderLossOptions } from './loss';
import { lpipsBetween, lpipsFeatures, type LpipsParams } from './lpips';
import { patchDiscriminator, type PatchDiscriminatorParams, type RunningStatistics } from './patch-discriminator';
import { withoutTape } from './without-tape';

/** With `perceptual.weight` 1, `adversarial.weight` 0.6 and `legacy` this is how vq-f8 was trained. */
export type FirstStageOptions = AutoencoderLossOptions & {
  /** Adds `weight` times the mean perceptual distance to the reconstruction term. */
  readonly perceptual?: { readonly params: LpipsParams; readonly weight: number };
  /** Adds the adversarial term; left out, the autoencoder is alone, as before the discriminator's first step. */
  readonly adversarial?: {
    readonly params: PatchDiscriminatorParams;
    readonly running: RunningStatistics;
    /** On top of the adaptive weight. */
    readonly weight: number;
  };
};

export type FirstStageGradients = {
  /** What the autoencoder minimises. */
  readonly loss: tf.Scalar;
  /** Its gradients by path, and the discriminator's where there is one. */
  readonly grads: Gradients;
  readonly discriminator?: {
    /** What the discriminator minimises. */
    readonly loss: tf.Scalar;
    readonly grads: Gradients;
    /** Statistics after the three batches of this step: decoded, real, decoded. */
    readonly running: RunningStatistics;
  };
  /**
   * `reconstruction` (pixels and edges), `codebook` and `l1` as of `autoencoderLoss`; `perceptual` before its weight;
   * `adversarial` before both weights, `adaptiveWeight`, and the mean logits `real` and `decoded`.
   */
  readonly terms: Readonly<Record<string, tf.Scalar>>;
  /** Codes in use, `[B, h, w·S]`, int32; S = codeGroups. */
  readonly indices: tf.Tensor3D;
};

/**
 * Gradients of the first stage's whole loss: reconstruction, perceptual distance, codebook, and a discriminator with
 * adaptive weight, for the autoencoder and the discriminator at the same weights.
 *
 * The adaptive weight needs the gradients of two terms before it can weigh them. Both are functions of the decoded images, so
 * that their gradients are taken there, where they are small, and one pass leads their weighted sum back through the
 * autoencoder. The published code goes back through the last layer, then through everything; and it lets the discriminator
 * see images decoded after the autoencoder's step, where here they are those of before it.
 *
 * @param images `[B, H, W, 3]` in [-1, 1].
 * @returns Losses, gradients and terms. The caller disposes all of it.
 * @throws ShapeError if the images do not fit the config, the perceptual network or the discriminator.
 * @see arXiv:2012.09841, equations 4 to 7; arXiv:2112.10752, appendix G.
 */
export function firstStageGradients(
  params: AutoencoderParams,
  config: AutoencoderConfig,
  images: tf.Tensor4D,
  options: FirstStageOptions = {},
): FirstStageGradients {
  const { adversarial, codebook: codebookWeight = 1 } = options;
  const notes = takeNotes();
  try {
    return tf.tidy(() => {
      let pass: { readonly decoded: tf.Tensor4D; readonly indices: tf.Tensor3D; readonly running?: RunningStatistics } | undefined;
      const { value: loss, grads } = valueAndGrads(() => {
        const { zQ, indices, codebook } = encodeToCodes(params, config, images, options);
        const features = decoderBody(params.decoder, config, conv2d(params.postQuantConv, zQ)); // [B, H/stem, W/stem, C]
        const decoded = decoderOutput(params.decoder, config, features); // [B, H, W, 3]
        notes.term('codebook', codebook);
        const pull = withoutTape(() => pullOnImages({ params, config, features, decoded, images }, options, notes));
        pass = { decoded: notes.keep(decoded), indices: notes.keep(indices), ...(pull.running && { running: pull.running }) };
        return tf.add(pulled(decoded, pull), tf.mul(codebook, codebookWeight)) as tf.Scalar;
      }, params);
      const { decoded, indices, running } = pass!;
      const discriminator = adversarial && judge(adversarial.params, running!, images, decoded, notes);
      tf.dispose([decoded, running ?? []]); // kept beyond the tape, but not beyond this function
      return { loss, grads, terms: notes.terms, indices, ...(discriminator && { discriminator }) };
    });
  } catch (error) {
    notes.dispose();
    throw error;
  }
}

type Decoding = {
  readonly params: AutoencoderParams;
  readonly config: AutoencoderConfig;
  /** What the decoder's last layer made the images of: `[B, H/stem, W/stem, C]`. */
  readonly features: tf.Tensor4D;
  readonly decoded: tf.Tensor4D;
  readonly images: tf.Tensor4D;
};

/** The part of the loss that is a function of the decoded images, and its gradient there. */
type Pull = {
  readonly value: tf.Scalar;
  readonly gradient: tf.Tensor4D; // [B, H, W, 3]
  /** Kept. */
  readonly running?: RunningStatistics;
};

function pullOnImages({ params, config, features, decoded, images }: Decoding, options: FirstStageOptions, notes: Notes): Pull {
  const { perceptual, adversarial } = options;
  return tf.tidy(() => {
    const likeness = gradientAt(decoded, () => {
      const { reconstruction, l1 } = reconstructionError(decoded, images, options);
      notes.term('reconstruction', reconstruction);
      notes.term('l1', l1);
      if (!perceptual) return reconstruction;
      const target = withoutTape(() => lpipsFeatures(perceptual.params, images));
      const distance = tf.mean(lpipsBetween(perceptual.params, lpipsFeatures(perceptual.params, decoded), target));
      notes.term('perceptual', distance as tf.Scalar);
      return tf.add(reconstruction, tf.mul(distance, perceptual.weight)) as tf.Scalar;
    });
    if (!adversarial) return likeness;

    let running: RunningStatistics | undefined;
    const deceit = gradientAt(decoded, () => {
      const judged = patchDiscriminator(adversarial.params, adversarial.running, decoded, { training: true, frozen: true });
      running = judged.running.map(({ mean, variance }) => ({ mean: notes.keep(mean), variance: notes.keep(variance) }));
      return generatorLoss(judged.logits);
    });
    const onLastLayer = (gradient: tf.Tensor4D): tf.Tensor => {
      const along = (): tf.Scalar => sumAll(tf.mul(decoderOutput(params.decoder, config, features), gradient));
      return valueAndGrads(along, { weight: params.decoder.convOut.weight }).grads['weight']!;
    };
    const adaptive = adaptiveWeight(onLastLayer(likeness.gradient), onLastLayer(deceit.gradient));
    notes.term('adversarial', deceit.value);
    notes.term('adaptiveWeight', adaptive);
    const weight = tf.mul(adaptive, adversarial.weight);
    return {
      value: tf.add(likeness.value, tf.mul(deceit.value, weight)) as tf.Scalar,
      gradient: tf.add(likeness.gradient, tf.mul(deceit.gradient, weight)) as tf.Tensor4D,
      running: running!,
    };
  });
}

/** Loss and gradients of the discriminator on real images and on decoded ones, each normalised by its own batch. */
function judge(
  params: PatchDiscriminatorParams,
  running: RunningStatistics,
  images: tf.Tensor4D,
  decoded: tf.Tensor4D,
  notes: Notes,
): FirstStageGradients['discriminator'] {
  let next: RunningStatistics | undefined;
  const { value: loss, grads } = valueAndGrads(() => {
    const real = patchDiscriminator(params, running, images, { training: true });
    const fake = patchDiscriminator(params, real.running, decoded, { training: true });
    next = fake.running.map(({ mean, variance }) => ({ mean: notes.keep(mean), variance: notes.keep(variance) }));
    notes.term('real', meanAll(real.logits));
    notes.term('decoded', meanAll(fake.logits));
    return hingeDiscriminatorLoss(real.logits, fake.logits);
  }, params);
  return { loss, grads, running: next! };
}

function gradientAt(x: tf.Tensor4D, f: () => tf.Scalar): { value: tf.Scalar; gradient: tf.Tensor4D } {
  const { value, grads } = valueAndGrads(f, { x });
  return { value, gradient: grads['x'] as tf.Tensor4D };
}

/** `pull.value` as a function of the decoded images whose gradient is known. */
function pulled(decoded: tf.Tensor4D, pull: Pull): tf.Scalar {
  const op = tf.customGrad<tf.Scalar>((...args) => {
    const save = args[args.length - 1] as tf.GradSaveFunc;
    save([pull.gradient]);
    return { value: tf.clone(pull.value), gradFunc: (dy, [gradient]) => tf.mul(gradient!, dy) };
  });
  return op(decoded);
}

/** Tensors that outlive the tapes in which they are computed. */
type Notes = {
  readonly terms: Record<string, tf.Scalar>;
  term(name: string, value: tf.Scalar): void;
  keep<T extends tf.Tensor>(tensor: T): T;
  dispose(): void;
};

function takeNotes(): Notes {
  const kept: tf.Tensor[] = [];
  const keep = <T extends tf.Tensor>(tensor: T): T => {
    const own = tf.keep(tf.clone(tensor));
    kept.push(own);
    return own;
  };
  const terms: Record<string, tf.Scalar> = {};
  return {
    terms,
    term: (name, value) => void (terms[name] = keep(value)),
    keep,
    dispose: () => tf.dispose(kept),
  };
}
