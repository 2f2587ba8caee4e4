/** What a file may demand at most. A file beyond one of them is refused with `too_large`. */
export type Limits = {
  /** Bytes of the pickle. 64 MiB; the pickle of a checkpoint of 3.5 GB has less than 1 MiB. */
  readonly maxPickleBytes: number;
  /** Estimated bytes of the values made of the pickle. 256 MiB. */
  readonly maxValueBytes: number;
  /** Entries of the archive. 65,536. */
  readonly maxEntries: number;
  /** Bytes of a storage that is compressed in the archive, inflated. 64 MiB; torch.save does not compress. */
  readonly maxInflatedBytes: number;
  /** Bytes of a tensor that shows elements of its storage more than once (expanded, overlapping windows). 64 MiB. */
  readonly maxRepeatedBytes: number;
};

const MIB = 1024 * 1024;

export const DEFAULT_LIMITS: Limits = {
  maxPickleBytes: 64 * MIB,
  maxValueBytes: 256 * MIB,
  maxEntries: 65_536,
  maxInflatedBytes: 64 * MIB,
  maxRepeatedBytes: 64 * MIB,
};
