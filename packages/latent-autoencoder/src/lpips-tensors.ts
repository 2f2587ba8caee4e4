import type { TensorEntry, TensorSource } from '@sgdiff/nn';
import { checkLpipsConfig, CONVOLUTIONS, type LpipsConfig } from './lpips';

/** Number in torchvision's `features` of each group's first convolution. The next ones follow at a distance of 2. */
const FIRST = [0, 5, 10, 17, 24] as const;

/**
 * Every weight of the perceptual distance by path and shape, in the order of `flattenParams(initLpips(config))`.
 *
 * @throws AutoencoderConfigError if the widths are not five whole numbers.
 */
export function lpipsTensors(config: LpipsConfig): TensorEntry[] {
  checkLpipsConfig(config);
  const { widths } = config;
  return [
    ...CONVOLUTIONS.flatMap((count, g) =>
      Array.from({ length: count }, (_, i) => [
        { path: `groups.${g}.${i}.weight`, shape: [3, 3, i > 0 ? widths[g]! : (widths[g - 1] ?? 3), widths[g]!] },
        { path: `groups.${g}.${i}.bias`, shape: [widths[g]!] },
      ]).flat(),
    ),
    ...widths.map((width, g) => ({ path: `heads.${g}.weight`, shape: [1, 1, width, 1] })),
  ];
}

/**
 * Where a weight stands in a published file.
 *
 * @param path Such as `groups.0.1.weight`, from `lpipsTensors`.
 * @param form `taming`: `net.slice1.2.weight`, as within `loss.perceptual_loss.` of a `vq-f8` checkpoint and in the module
 *   of the lpips package (beside them `scaling_layer.*`, which is constant). `torchvision`: `features.2.weight`, as in
 *   torchvision's VGG16; the heads then come from the file of the lpips package.
 * @throws TypeError if there is no such weight.
 */
export function lpipsSource(path: string, form: 'taming' | 'torchvision'): TensorSource {
  const head = /^heads\.([0-4])\.weight$/.exec(path);
  if (head) return { name: `lin${head[1]}.model.1.weight`, layout: 'conv' };
  const conv = /^groups\.([0-4])\.(\d)\.(weight|bias)$/.exec(path);
  const group = Number(conv?.[1]);
  const index = Number(conv?.[2]);
  if (!conv || index >= CONVOLUTIONS[group]!) throw new TypeError(`lpipsSource: "${path}" is no weight of the perceptual distance.`);
  const number = FIRST[group]! + 2 * index;
  const stem = form === 'taming' ? `net.slice${group + 1}` : 'features';
  return { name: `${stem}.${number}.${conv[3]}`, layout: conv[3] === 'weight' ? 'conv' : 'same' };
}
