import type { Shape } from '../core/shape.js';
import { type Spec, specOf } from '../core/spec.js';
import type { Tensor } from '../tensor/tensor.js';
import { setCopy } from './apply.js';
import { setViewAdjoint } from './applyView.js';
import { defineComposite, defineOp, defineView, type Op, type ViewLayout } from './define.js';
import { overlaps } from './layout.js';

/** What all views stand on: dense copies, any layout over dense elements, and its transpose. */

/** A dense copy of a tensor with its own bytes. Gradients pass through. */
export const clone: Op<[x: Tensor]> = defineOp({
  name: 'clone',
  args: (x: Tensor) => ({ inputs: [x], params: null }),
  infer: ([x]) => specOf((x as Spec).dtype, (x as Spec).shape),
  kernel: () => ({ family: 'copy' }),
  grad: ([g]) => [g ?? null],
  *samples(random) {
    yield [random([2, 3])];
  },
});
setCopy(clone);

/** The tensor itself if it is dense, else a dense copy. */
export const contiguous: Op<[x: Tensor]> = defineComposite({
  name: 'contiguous',
  compose: (x: Tensor) => (x.spec.contiguous ? x : clone(x)),
  *samples(random) {
    yield [random([2, 3]).transpose(0, 1)];
  },
  torch: { call: 'a[0].contiguous()' },
});

interface EmbedParams {
  readonly shape: Shape;
  readonly layout: ViewLayout;
  readonly accumulate: boolean;
}

/** Zeros of a shape with a tensor written where a view of that shape lies: the adjoint of views. Overlapping views add up. */
export const embed: Op<[x: Tensor, shape: Shape, layout: ViewLayout]> = defineOp({
  name: 'embed',
  args: (x: Tensor, shape: Shape, layout: ViewLayout) => ({ inputs: [x], params: { shape, layout, accumulate: overlaps(layout) } }),
  infer: ([x], { shape }: EmbedParams) => specOf((x as Spec).dtype, shape),
  kernel: ({ layout, accumulate }: EmbedParams) => ({ family: 'copy', fill: 0, accumulate, places: [layout] }),
  grad: ([g], { params: { layout } }) => [g ? stridedView(contiguous(g), layout) : null],
  *samples(random) {
    yield [random([2, 2]), [2, 3], { shape: [2, 2], strides: [3, 1], offset: 1 }];
  },
  torch: null,
});

/** Any layout over the elements of a dense tensor. */
export const stridedView: Op<[x: Tensor, layout: ViewLayout]> = defineView({
  name: 'stridedView',
  args: (x: Tensor, layout: ViewLayout) => ({ inputs: [x], params: layout }),
  view: (_, layout) => layout,
  *samples(random) {
    yield [random([3, 4]), { shape: [2, 2], strides: [4, 1], offset: 1 }];
  },
  torch: null,
});

setViewAdjoint((g, base, view) => embed(g, base.shape, view));
