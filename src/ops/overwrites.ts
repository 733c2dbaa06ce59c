import { LibError } from '../core/errors.js';
import { contiguousStrides, formatShape, resolveDim, type Shape, sameShape } from '../core/shape.js';
import { type Spec, specOf } from '../core/spec.js';
import type { Tensor } from '../tensor/tensor.js';
import { defineComposite, defineOp, type Op, type ViewLayout } from './define.js';
import { cast, constantView } from './fused.js';
import { type AsStridedOptions, asStrided, contiguous, type DiagonalDims, diagonal, select, slice } from './view.js';
import { stridedView } from './viewRows.js';

/** Copies of a tensor with one of its views written over: the *_scatter functions. */

const overwrite: Op<[x: Tensor, src: Tensor, layout: ViewLayout]> = defineOp({
  name: 'overwrite',
  args: (x: Tensor, src: Tensor, layout: ViewLayout) => ({ inputs: [x, src], params: layout }),
  infer: ([x]) => specOf((x as Spec).dtype, (x as Spec).shape),
  kernel: ({ offset, strides }: ViewLayout, [x]) => {
    return {
      family: 'copy',
      places: [
        { offset: 0, strides: contiguousStrides((x as Spec).shape) },
        { offset, strides },
      ],
    };
  },
  grad: ([g], { inputs: [, src], params, needs }) => {
    if (!g || !src) return [null, null];
    const hole = needs[0] ? overwrite(g, constantView(g.device, g.dtype, params.shape, 0), params) : null;
    return [hole, needs[1] ? cast(stridedView(contiguous(g), params), src.dtype) : null];
  },
  *samples(random) {
    yield [random([3, 4]), random([3]), { shape: [3], strides: [5], offset: 0 }];
  },
  torch: null,
});

function writeOver(op: string, x: Tensor, src: Tensor, viewOf: (x: Tensor) => Tensor): Tensor {
  const base = contiguous(x);
  const place = viewOf(base.detach());
  if (!sameShape(place.shape, src.shape)) {
    throw new LibError(
      'shape',
      `${op}: the source must have the shape of the view, got ${formatShape(src.shape)} for ${formatShape(place.shape)}.`,
    );
  }
  return overwrite(base, src, { shape: place.shape, strides: place.stride(), offset: place.offset - base.offset });
}

/** A copy of x in which `x.select(dim, index)` is `src`. */
export const selectScatter: Op<[x: Tensor, src: Tensor, dim: number, index: number]> = defineComposite({
  name: 'selectScatter',
  compose: (x: Tensor, src: Tensor, dim: number, index: number) => writeOver('selectScatter', x, src, (base) => select(base, dim, index)),
  *samples(random) {
    yield [random([3, 4]), random([4]), 0, 1];
    yield [random([2, 3, 4]), random([2, 4]), 1, -1];
  },
  *errors(random) {
    yield [[random([3, 4]), random([3]), 0, 1], 'the shape of the view'];
    yield [[random([3, 4]), random([4]), 0, 3], 'out of range'];
  },
});

export interface SliceScatterOptions {
  /** Default 0. */
  readonly dim?: number;
  /** Default 0; negative: from the end. */
  readonly start?: number;
  /** Default: the dim's size. */
  readonly end?: number;
  /** Default 1. */
  readonly step?: number;
}
/** A copy of x in which the entries start, start + step, … below end of a dim are `src`. */
export const sliceScatter: Op<[x: Tensor, src: Tensor, options?: SliceScatterOptions]> = defineComposite({
  name: 'sliceScatter',
  compose(x: Tensor, src: Tensor, { dim = 0, start, end, step = 1 }: SliceScatterOptions = {}) {
    const lead = new Array<null>(resolveDim('sliceScatter', dim, x.ndim)).fill(null);
    return writeOver('sliceScatter', x, src, (base) => slice(base, ...lead, [start ?? null, end ?? null, step]));
  },
  *samples(random): Iterable<[x: Tensor, src: Tensor, options?: SliceScatterOptions]> {
    yield [random([5, 3]), random([2, 3]), { start: 1, end: 3 }];
    yield [random([2, 7]), random([2, 3]), { dim: 1, start: 1, end: -1, step: 2 }];
    yield [random([3]), random([3])];
  },
  *errors(random): Iterable<readonly [[x: Tensor, src: Tensor, options?: SliceScatterOptions], string]> {
    yield [[random([5]), random([5]), { start: 1 }], 'the shape of the view'];
  },
});

/** A copy of x in which `x.diagonal(options)` is `src`. */
export const diagonalScatter: Op<[x: Tensor, src: Tensor, options?: DiagonalDims]> = defineComposite({
  name: 'diagonalScatter',
  compose: (x: Tensor, src: Tensor, options: DiagonalDims = {}) => writeOver('diagonalScatter', x, src, (base) => diagonal(base, options)),
  *samples(random): Iterable<[x: Tensor, src: Tensor, options?: DiagonalDims]> {
    yield [random([3, 4]), random([3])];
    yield [random([2, 3, 3]), random([2, 2]), { offset: -1, dim1: 1, dim2: 2 }];
  },
  *errors(random): Iterable<readonly [[x: Tensor, src: Tensor, options?: DiagonalDims], string]> {
    yield [[random([3, 4]), random([4])], 'the shape of the view'];
  },
});

/** A copy of x in which `x.asStrided(size, stride, options)` is `src`. */
export const asStridedScatter: Op<[x: Tensor, src: Tensor, size: Shape, stride: readonly number[], options?: AsStridedOptions]> =
  defineComposite({
    name: 'asStridedScatter',
    compose(x: Tensor, src: Tensor, size: Shape, stride: readonly number[], options: AsStridedOptions = {}) {
      if (size.some((n, d) => n > 1 && stride[d] === 0))
        throw new LibError('value', `asStridedScatter: elements must have places of their own, got strides [${stride.join(', ')}].`);
      return writeOver('asStridedScatter', x, src, (base) => asStrided(base, size, stride, options));
    },
    *samples(random): Iterable<[x: Tensor, src: Tensor, size: Shape, stride: readonly number[], options?: AsStridedOptions]> {
      yield [random([3, 4]), random([2, 2]), [2, 2], [4, 1], { storageOffset: 1 }];
    },
    *errors(random): Iterable<readonly [[x: Tensor, src: Tensor, size: Shape, stride: readonly number[]], string]> {
      yield [[random([3, 4]), random([2, 2]), [2, 2], [0, 1]], 'places of their own'];
    },
    // PyTorch 2.15's gradient by the tensor is not zero where it was written over.
    torch: { call: 'torch.as_strided_scatter(a[0].detach(), a[1], a[2], a[3], o["storage_offset"])' },
  });
