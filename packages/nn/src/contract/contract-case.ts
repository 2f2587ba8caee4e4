import type * as tf from '@tensorflow/tfjs-core';
import type { Input, Shape, TensorOf } from './inputs';
import type { Numbers } from './reference';

/** One value, or several by name. */
export type Named<T> = T | Readonly<Record<string, T>>;

export type Tolerance = {
  /** Largest error of a value, relative to its size or the root mean square of all, whichever is larger. */
  readonly value?: number;
  /** The same for gradients. */
  readonly gradient?: number;
};

/** An operation with inputs for it and what is right. */
export type ContractCase = {
  readonly op: string;
  /** What is particular about the inputs. */
  readonly name: string;
  readonly inputs: Readonly<Record<string, Input>>;
  /** The operation on the backend. Borrows its inputs; the check disposes what it returns. */
  run(inputs: Readonly<Record<string, tf.Tensor>>): Named<tf.Tensor> | Promise<Named<tf.Tensor>>;
  /** The same in float64 from the definition. */
  reference(inputs: Readonly<Record<string, Numbers>>): Named<Numbers>;
  /** Whether to check the gradient with respect to the differentiable inputs; true unless given. */
  readonly gradient?: boolean;
  /** Inputs with shapes that do not fit: with each of these sets put in, `run` must throw a ShapeError. */
  readonly misshapen?: readonly Readonly<Record<string, Shape>>[];
  /** Inputs that `run` must refuse with a DisposedError once they are disposed; all unless given. */
  readonly disposable?: readonly string[];
  /** Large enough to cross the blocks that kernels work in; left out where time is short. */
  readonly large?: boolean;
  readonly tolerance?: Tolerance;
};

/** A case whose functions know the names and ranks of its inputs. */
export function contractCase<I extends Readonly<Record<string, Input>>>(
  spec: Omit<ContractCase, 'inputs' | 'run' | 'reference' | 'misshapen' | 'disposable'> & {
    readonly inputs: I;
    run(inputs: { readonly [K in keyof I]: TensorOf<I[K]['shape']> }): ReturnType<ContractCase['run']>;
    reference(inputs: { readonly [K in keyof I]: Numbers }): Named<Numbers>;
    readonly misshapen?: readonly { readonly [K in keyof I]?: Shape }[];
    readonly disposable?: readonly (keyof I)[];
  },
): ContractCase {
  return spec as unknown as ContractCase;
}

/** Results by name; one alone is called `y`. */
export function byName<T extends tf.Tensor | Numbers>(result: Named<T>): Readonly<Record<string, T>> {
  return Array.isArray(result.shape) ? { y: result as T } : (result as Readonly<Record<string, T>>);
}
