import { partFile, type PartManifest } from '@sgdiff/pipeline';

/** What makes a frozen part of another folder the same one, wherever the folder lies: what it computes, and with which numbers. */
export type PartIdentity = {
  /** SHA-256 of the file of weights. */
  readonly weights: string;
  readonly config: unknown;
};

export function partIdentity({ part, files }: PartManifest): PartIdentity {
  return { weights: files[partFile(part.kind)].sha256, config: part.config };
}
