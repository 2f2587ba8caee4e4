import type { StateDict } from '@sgdiff/nn';

/** The names of a file, without the `module.` that PyTorch's DataParallel puts before every one. */
export type FileNames = {
  readonly all: readonly string[];
  has(name: string): boolean;
  shapeOf(name: string): readonly number[] | undefined;
  /** The name as it stands in the file. */
  inFile(name: string): string;
};

export function fileNames(tensors: StateDict['tensors']): FileNames {
  const byName = new Map<string, string>();
  for (const name of tensors.keys()) {
    const short = name.replace(/^module\./, '');
    // Two names that differ by the prefix alone: the one with it stays as it is, and is nowhere expected.
    byName.set(byName.has(short) || (short !== name && tensors.has(short)) ? name : short, name);
  }
  const inFile = (name: string): string => byName.get(name) ?? name;
  return {
    all: [...byName.keys()],
    has: (name) => byName.has(name),
    shapeOf: (name) => tensors.get(inFile(name))?.shape,
    inFile,
  };
}
