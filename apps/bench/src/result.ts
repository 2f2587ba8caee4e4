/** A line of the result file. Times in milliseconds are medians; null where there is no such number. */
export type BenchResult = {
  readonly op: string;
  readonly backend: string;
  readonly threads: number;
  readonly ms: number;
  readonly gflops: number;
  /** The same with plain operations of tfjs on the same backend. */
  readonly baselineMs: number;
  /** How many times faster than the baseline. */
  readonly ratio: number;
  readonly shape: string;
  /** Least bytes that a run moves. */
  readonly bytes: number | null;
  /** What the machine could do at most at this ratio of operations to bytes; on wasm. */
  readonly limitGflops: number | null;
  readonly baseline: string;
  readonly pytorchMs: number | null;
  /** How many times faster than PyTorch. */
  readonly pytorchRatio: number | null;
};

/** Flat memory is the same numbers at every step. */
export type MemoryResult = {
  readonly step: number;
  readonly backend: string;
  readonly threads: number;
  readonly tensors: number;
  readonly tensorBytes: number;
  /** Memory of the wasm module; null on other backends. */
  readonly wasmBytes: number | null;
  /** Resident memory of the process. */
  readonly rssBytes: number;
};

/** One picture drawn with a model folder. */
export type DrawingResult = {
  readonly model: string;
  readonly backend: string;
  readonly threads: number;
  readonly imageSize: number;
  /** From opening the folder to a model that is ready. */
  readonly loadMs: number;
  /** One network call for one picture without guidance. */
  readonly stepMs: number;
  readonly gflops: number;
  /** From the last latents to pixels. */
  readonly decodeMs: number;
  /** Weights as tensors. */
  readonly weightBytes: number;
  /** Most memory of the process until the model was loaded. */
  readonly loadedBytes: number;
  /** Most memory of the process, drawing included. */
  readonly peakBytes: number;
  /** Memory of the wasm module at the end; null on other backends. */
  readonly wasmBytes: number | null;
};
