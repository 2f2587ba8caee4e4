import { clipForm } from '@sgdiff/masked-contrastive-pretrain';
import type { FileNames } from './file-names';
import type { ImportKind } from './import-plan';

/** What a file of weights looks like by its names, in words for a message; undefined if like nothing known. */
export function recognise(names: FileNames): { readonly kind?: ImportKind; readonly what: string } | undefined {
  const anyOf = (pattern: RegExp): boolean => names.all.some((name) => pattern.test(name));
  if (names.has('cond_stage_model.obj_embeddings.weight') && anyOf(/^model(_ema)?\./)) {
    return { kind: 'sgdiff', what: 'a full SGDiff checkpoint' };
  }
  if (names.has('obj_embeddings.weight')) return { kind: 'sip', what: 'a pre-trained graph encoder' };
  if (names.has('quantize.embedding.weight') && anyOf(/^encoder\.down\./)) {
    return { kind: 'vq-f8', what: 'a VQ autoencoder' };
  }
  if (anyOf(/^cond_stage_model\.(transformer|model)\./)) return { what: 'Stable Diffusion, a text-to-image model' };
  if (anyOf(/^model\.diffusion_model\./)) return { what: 'another latent diffusion model' };
  if (anyOf(/^Mixed_5b\.branch1x1\./)) return { kind: 'inception-fid', what: 'an Inception network' };
  if (anyOf(/^(net\.slice1\.|lin0\.|features\.0\.weight$)/))
    return { kind: 'lpips', what: 'a perceptual loss, LPIPS or its VGG16' };
  if (clipForm(names.all)) return { kind: 'clip-vit-b32', what: 'CLIP' };
  return undefined;
}
