/** A bundle of its own, in which the U-Net runs on plain operations (see tsup.config.ts). */
export { diffusionLoss, unet } from '@sgdiff/diffusion-unet';
