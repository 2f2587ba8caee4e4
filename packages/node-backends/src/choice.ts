export const BACKENDS = ['tensorflow', 'webgpu', 'wasm', 'cpu'] as const;
export type BackendName = (typeof BACKENDS)[number];

/** A backend that runs. */
export type StartedBackend = {
  readonly name: BackendName;
  /** Threads it computes with; 1 where it has none. */
  readonly threads: number;
  /** What computes, where that is a device of its own, e.g. `Vulkan: NVIDIA H100 80GB HBM3`. */
  readonly adapter?: string;
  /** What one should know about it, e.g. why it has fewer threads than asked for. */
  readonly remark?: string;
  /**
   * Waits for `work`. Rejects with a `BackendError` once the backend is lost or out of memory, also when `work` itself
   * would wait for ever.
   */
  guard<T>(work: () => Promise<T>): Promise<T>;
};

export type BackendChoice = StartedBackend & {
  /** Why this one. */
  readonly reason: string;
};
