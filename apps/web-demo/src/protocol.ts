// What the page and the drawing worker say to each other. Plain data, copied or transferred; no tensor crosses.
import type { ModelManifest, Picture } from '@sgdiff/pipeline';
import type { Issue, SceneGraph, VocabularyJson } from '@sgdiff/sg-schema';

export type BackendName = 'webgpu' | 'wasm';

/** Page to worker. `load` comes first and once; draws are done one after another in the order they come. */
export type ToWorker =
  | { readonly type: 'load'; readonly request: LoadRequest }
  | { readonly type: 'draw'; readonly job: number; readonly request: DrawRequest }
  | { readonly type: 'cancel'; readonly job: number };

/** Worker to page. Of each job: any number of `step`, then exactly one of `picture`, `cancelled` and `failed`. */
export type FromWorker =
  | { readonly type: 'loading'; readonly progress: LoadProgress }
  | { readonly type: 'ready'; readonly report: ReadyReport }
  | { readonly type: 'unavailable'; readonly error: ErrorReport }
  | { readonly type: 'step'; readonly job: number; readonly progress: StepProgress }
  | { readonly type: 'picture'; readonly job: number; readonly result: DrawResult }
  | { readonly type: 'cancelled'; readonly job: number }
  | { readonly type: 'failed'; readonly job: number; readonly error: ErrorReport };

export type LoadRequest = {
  /** Address of the model folder. */
  readonly modelUrl: string;
  /** This backend and no other. */
  readonly backend?: BackendName;
  /** Threads of the wasm backend, where the page may have any; chosen by the number of cores unless given. */
  readonly threads?: number;
};

export type DrawRequest = {
  readonly graph: SceneGraph;
  readonly seed: number;
  readonly steps: number;
  readonly guidanceScale: number;
  /** Steps from one preview to the next; 0 for none. Each costs one decoding. */
  readonly previewEvery: number;
};

export type LoadProgress =
  | { readonly stage: 'backend' }
  | { readonly stage: 'model'; readonly loadedBytes: number; readonly totalBytes: number };

/** What the page needs to know of a backend and a model that are up. */
export type ReadyReport = { readonly backend: BackendReport; readonly model: ModelReport };

export type BackendReport = {
  readonly name: BackendName;
  /** Threads of the wasm backend; 1 elsewhere. */
  readonly threads: number;
  /** Why this one, for people. */
  readonly reason: string;
};

export type ModelReport = Pick<ModelManifest, 'name' | 'licence' | 'imageSize' | 'defaults'> & {
  readonly vocabulary: VocabularyJson;
  readonly maxTriples: number;
  /** Whether the model can be guided; one that was trained without a null condition cannot. */
  readonly guidable: boolean;
};

export type StepProgress = {
  /** Steps done, from 1. */
  readonly done: number;
  readonly steps: number;
  readonly seconds: number;
  /** The picture as predicted so far, where one was asked for. */
  readonly preview?: Pixels;
};

/** RGB bytes, rows from the top: `data` has `height * width * 3`. */
export type Pixels = { readonly width: number; readonly height: number; readonly data: Uint8Array };

export type DrawResult = {
  readonly pixels: Pixels;
  readonly record: Picture['record'];
  /** Relations of the graph that got no token of their own. */
  readonly withoutToken: Picture['withoutToken'];
  /** From the start of the job to its pixels, previews included. */
  readonly seconds: number;
};

/** An error as it crosses to the page. */
export type ErrorReport = {
  readonly name: string;
  readonly message: string;
  /** Of a SceneGraphError. */
  readonly issues?: readonly Issue[];
};

/** One end of the line between page and worker: a `Worker`, a worker's `self` or a `MessagePort`. */
export type Port<Out, In> = {
  postMessage(message: Out, transfer?: Transferable[]): void;
  onmessage: ((event: MessageEvent<In>) => void) | null;
};

export function errorReport(error: unknown): ErrorReport {
  if (!(error instanceof Error))
    return { name: 'Error', message: String((error as { message?: unknown })?.message ?? error) };
  const issues = (error as { issues?: readonly Issue[] }).issues;
  return { name: error.name, message: error.message, ...(issues ? { issues } : {}) };
}

/** An error that came from the worker; `name` is the original's. */
export class WorkerError extends Error {
  readonly issues: readonly Issue[];

  constructor(report: ErrorReport) {
    super(report.message);
    this.name = report.name;
    this.issues = report.issues ?? [];
  }
}
