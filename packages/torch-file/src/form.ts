import { type PickleStorage, type PickleValue } from './values';

/** What the zip form and the legacy form have in common once they are open. */
export type OpenForm = {
  readonly form: 'zip' | 'torchscript' | 'legacy';
  readonly entries: PickleValue;
  /** How many bytes of a storage are in the file; undefined if there is none of its name. */
  storageBytes(storage: PickleStorage): number | undefined;
  /** A part of a storage. */
  readStorage(storage: PickleStorage, offset: number, length: number): Promise<Uint8Array>;
};
