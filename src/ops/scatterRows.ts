import { LibError } from '../core/errors.js';
import { formatShape, type Shape } from '../core/shape.js';
import { type Spec, specOf } from '../core/spec.js';
import type { Kernel, ScatterKernel } from '../program/kernel.js';
import type { GradContext } from '../tensor/graph.js';
import type { Tensor } from '../tensor/tensor.js';
import { defineOp, type Op } from './define.js';
import { cast, constantView } from './fused.js';

/** The gather and scatter kernels as rows: each other's gradients, and what all indexing is made of. */

export interface GatherParams {
  readonly dim: number;
  /** Negative indices count from the end. */
  readonly wrap: boolean;
}

/** What all gathers share; `args` and `samples` are the row's own. */
export interface Gathering {
  infer(specs: readonly Spec[], params: GatherParams): Spec;
  kernel(params: GatherParams): Kernel;
  grad(g: readonly (Tensor | null)[], context: GradContext<GatherParams>): readonly (Tensor | null)[];
  readonly saves: readonly number[];
}

export const gathering: Gathering = {
  infer: ([x, index]) => specOf((x as Spec).dtype, (index as Spec).shape),
  kernel: ({ dim, wrap }) => ({ family: 'gather', dim, wrap }),
  grad: ([g], { inputs: [x, index], params: { dim, wrap } }) => {
    if (!g || !x || !index) return [null, null];
    return [scatterOnto(constantView(g.device, g.dtype, x.shape, 0), dim, index, g, { wrap }), null];
  },
  saves: [1],
};

/** A gather that errors and graphs call `name`; `index` has the result's shape and type int32. */
export function gatherRow(name: string): Op<[x: Tensor, dim: number, index: Tensor, wrap?: boolean]> {
  return defineOp({
    name,
    ...gathering,
    args: (x: Tensor, dim: number, index: Tensor, wrap = false) => ({ inputs: [x, index], params: { dim, wrap }, key: `${dim}${wrap}` }),
    *samples(random) {
      yield [random([4, 3]), 0, random.integers([2, 3], 0, 4)];
    },
    torch: null,
  });
}

export interface ScatterParams extends GatherParams {
  readonly by: ScatterKernel['by'];
}

/** What all scatters that set or add share. */
export interface Scattering {
  infer(specs: readonly Spec[], params: ScatterParams): Spec;
  kernel(params: ScatterParams): Kernel;
  grad(g: readonly (Tensor | null)[], context: GradContext<ScatterParams>): readonly (Tensor | null)[];
  readonly saves: readonly number[];
}

const gatherBack = gatherRow('gather');

export const scattering: Scattering = {
  infer: ([self]) => specOf((self as Spec).dtype, (self as Spec).shape),
  kernel: ({ dim, wrap, by }) => ({ family: 'scatter', dim, wrap, by }),
  grad: ([g], { inputs: [, index, src], params: { dim, wrap, by }, needs }) => {
    if (!g || !index || !src) return [null, null, null];
    const covered = (): Tensor => scatterOnto(g, dim, index, constantView(g.device, g.dtype, src.shape, 0), { by: 'set', wrap });
    return [
      needs[0] ? (by === 'sum' ? g : covered()) : null,
      null,
      needs[2] ? gatherBack(fitAround(g, dim, index.shape), dim, index, wrap) : null,
    ];
  },
  saves: [1],
};

interface ScatterOptions {
  /** Default 'sum'. */
  readonly by?: 'sum' | 'set';
  /** Default false. */
  readonly wrap?: boolean;
}

/** A scatter that errors and graphs call `name`; `index` has the shape of `src` and type int32. */
export function scatterRow(name: string): Op<[self: Tensor, dim: number, index: Tensor, src: Tensor, options?: ScatterOptions]> {
  return defineOp({
    name,
    ...scattering,
    args: (self: Tensor, dim: number, index: Tensor, src: Tensor, { by = 'sum', wrap = false }: ScatterOptions = {}) => {
      return { inputs: [self, index, src], params: { dim, wrap, by }, key: `${dim}${wrap}${by}` };
    },
    *samples(random): Iterable<[self: Tensor, dim: number, index: Tensor, src: Tensor, options?: ScatterOptions]> {
      yield [random([4, 3]), 0, random.integers([2, 3], 0, 4), random([2, 3])];
    },
    torch: null,
  });
}

export const scatterOnto: Op<[self: Tensor, dim: number, index: Tensor, src: Tensor, options?: ScatterOptions]> = scatterRow('scatter');

/** The leading part of x that an index of `shape` reaches: cut in every dim but `dim`. */
export function fitAround(x: Tensor, dim: number, shape: Shape): Tensor {
  return shape.reduce<Tensor>((y, size, d) => (d === dim || y.shape[d] === size ? y : y.narrow(d, 0, size)), x);
}

/** An index as kernels read it: int32. Floats and masks are no indices. */
export function asIndex(op: string, index: Tensor): Tensor {
  if (index.dtype === 'int32') return index;
  if (index.dtype === 'uint8') return cast(index, 'int32');
  throw new LibError(
    'dtype',
    `${op}: indices must be of type int32, got ${index.dtype}.`,
    index.dtype === 'bool' ? 'use maskedSelect() or where() with masks.' : undefined,
  );
}

/** A 1-D index (or a number of it) along `dim`, seen at every place of `shape`. */
export function alongDim(op: string, index: Tensor, dim: number, shape: Shape): Tensor {
  const ids = asIndex(op, index);
  if (ids.ndim > 1) throw new LibError('shape', `${op}: the index must have one dim, got shape ${formatShape(ids.shape)}.`);
  return ids.reshape(shape.map((_, d) => (d === dim ? ids.size : 1))).expand(shape.map((size, d) => (d === dim ? ids.size : size)));
}

/** Checks what gather and scatter demand of an index: the rank of x, and nothing beyond the sizes of `around` outside `dim`. */
export function checkIndexShape(op: string, x: Tensor, dim: number, index: Tensor, around: Tensor = x): void {
  const fits = index.ndim === x.ndim && index.shape.every((size, d) => d === dim || size <= (around.shape[d] ?? 0));
  if (!fits) {
    const got = `${formatShape(index.shape)} for ${formatShape(around.shape)}`;
    throw new LibError('shape', `${op}: the index must have as many dims as the tensor and fit it outside dim ${dim}, got ${got}.`);
  }
}

/** A source must have the type that it is written into, and at least the index's sizes. */
export function checkSource(op: string, x: Tensor, index: Tensor, src: Tensor): void {
  if (src.dtype !== x.dtype) throw new LibError('dtype', `${op}: source and tensor must have one type, got ${src.dtype} into ${x.dtype}.`);
  if (src.ndim !== index.ndim || !src.shape.every((size, d) => size >= (index.shape[d] ?? 0))) {
    throw new LibError('shape', `${op}: the source must cover the index, got ${formatShape(src.shape)} for ${formatShape(index.shape)}.`);
  }
}
