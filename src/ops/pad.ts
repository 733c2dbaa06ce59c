import { LibError } from '../core/errors.js';
import { contiguousStrides, formatShape } from '../core/shape.js';
import { type Spec, specOf } from '../core/spec.js';
import type { Tensor } from '../tensor/tensor.js';
import { defineComposite, defineCustom, defineOp, type Op } from './define.js';
import { constantTable, functional } from './fused.js';
import { cat } from './join.js';

export interface PadOptions {
  /** What to pad with: `value`, the mirror image without the edge, the edge, or the other end. Default 'constant'. */
  readonly mode?: 'constant' | 'reflect' | 'replicate' | 'circular';
  /** For mode 'constant'. Default 0. */
  readonly value?: number;
}

/** How much is put before and after one dim. */
type Margin = readonly [before: number, after: number];

/**
 * Widens dims at their ends: `pads` is [before, after] of the last dim, then of the one before it, and so on. Negative counts cut.
 * @example tensor([1, 2]).pad([1, 2]) // [0, 1, 2, 0, 0]
 */
export const pad: Op<[x: Tensor, pads: readonly number[], options?: PadOptions]> = defineComposite({
  name: 'pad',
  compose(x: Tensor, pads: readonly number[], { mode = 'constant', value = 0 }: PadOptions = {}) {
    const margins = marginsOf(x, pads);
    const cut = margins.reduce((y, [before, after], d) => cutDim(y, d, Math.max(0, -before), Math.max(0, -after)), x);
    const added = margins.map(([before, after]): Margin => [Math.max(0, before), Math.max(0, after)]);
    if (mode === 'constant') return added.every(([b, a]) => b + a === 0) && cut !== x ? cut.clone() : padConstant(cut, added, value);
    if (mode === 'replicate') return margins.reduce(replicated, x);
    if (mode === 'reflect') return margins.reduce(reflected, x);
    return added.reduce((y, margin, d) => (margin[0] + margin[1] === 0 ? y : repeated(y, d, mode, margin)), cut);
  },
  *samples(random): Iterable<[x: Tensor, pads: readonly number[], options?: PadOptions]> {
    yield [random([3]), [1, 2]];
    yield [random([2, 3, 4]), [1, 0, 0, 2], { value: 1.5 }];
    yield [random([2, 5]), [-1, 1]];
    yield [random([1, 2, 5]), [2, 3], { mode: 'reflect' }];
    yield [random([1, 2, 3]), [-1, 2], { mode: 'reflect' }];
    yield [random([1, 2, 3, 4]), [1, 2, 2, 1], { mode: 'replicate' }];
    yield [random([1, 3, 4]), [-4, 5], { mode: 'replicate' }];
    yield [random([1, 3, 4]), [3, -4], { mode: 'replicate' }];
    yield [random([1, 2, 3]), [2, 1], { mode: 'circular' }];
  },
  *errors(random): Iterable<readonly [[x: Tensor, pads: readonly number[], options?: PadOptions], string]> {
    yield [[random([3]), [1]], 'pairs of whole numbers'];
    yield [[random([3]), [1, 1, 1, 1]], 'pairs of whole numbers'];
    yield [[random([1, 2, 3]), [3, 0], { mode: 'reflect' }], 'must be less than the size'];
    yield [[random([1, 2, 2]), [-1, -1], { mode: 'reflect' }], 'must leave something'];
    yield [[random([3]), [-2, -2]], 'must leave something'];
  },
  torch: functional('pad'),
});

function marginsOf(x: Tensor, pads: readonly number[]): Margin[] {
  if (pads.length % 2 !== 0 || pads.length > 2 * x.ndim || !pads.every(Number.isInteger)) {
    const got = `[${pads.join(', ')}] for shape ${formatShape(x.shape)}`;
    throw new LibError('value', `pad: pads must be pairs of whole numbers, at most one for each dim, got ${got}.`);
  }
  return x.shape.map((_, d): Margin => {
    const at = 2 * (x.ndim - 1 - d);
    return [pads[at] ?? 0, pads[at + 1] ?? 0];
  });
}

function nothingLeft(margin: Margin, size: number): never {
  throw new LibError('value', `pad: negative pads must leave something, got ${margin.join(' and ')} for size ${size}.`);
}

function cutDim(x: Tensor, dim: number, before: number, after: number): Tensor {
  if (before + after === 0) return x;
  const size = x.sizeAt(dim);
  if (before + after > size) nothingLeft([-before, -after], size);
  return x.narrow(dim, before, size - before - after);
}

interface PadParams {
  readonly margins: readonly Margin[];
  readonly value: number;
}

const padConstant: Op<[x: Tensor, margins: readonly Margin[], value: number]> = defineOp({
  name: 'pad',
  args: (x: Tensor, margins: readonly Margin[], value: number) => ({ inputs: [x], params: { margins, value }, key: `${margins}:${value}` }),
  infer: ([x], { margins }: PadParams) => specOf((x as Spec).dtype, paddedShape(x as Spec, margins)),
  kernel: ({ margins, value }: PadParams, [x]) => {
    const strides = contiguousStrides(paddedShape(x as Spec, margins));
    const offset = margins.reduce((sum, [before], d) => sum + before * (strides[d] ?? 0), 0);
    return { family: 'copy', fill: value, places: [{ offset, strides }] };
  },
  grad: ([g], { inputs: [x], params: { margins } }) => {
    return [g ? margins.reduce((y, [before], d) => y.narrow(d, before, x?.shape[d] ?? 0), g) : null];
  },
  *samples(random) {
    yield [random([3]), [[1, 2]], 0];
  },
  torch: null,
});

const paddedShape = ({ shape }: Spec, margins: readonly Margin[]): number[] =>
  shape.map((d, i) => d + (margins[i]?.[0] ?? 0) + (margins[i]?.[1] ?? 0));

/** Repeats the edge of one dim, or cuts it off; where nothing is left of the dim, the edge that the cut came to still counts. */
function replicated(x: Tensor, margin: Margin, dim: number): Tensor {
  const [before, after] = margin;
  if (before >= 0 && after >= 0) return before + after === 0 ? x : repeated(x, dim, 'replicate', margin);
  const size = x.sizeAt(dim);
  if (size === 0 || before + after + size < 0) nothingLeft(margin, size);
  return x.indexSelect(dim, sources(x, { mode: 'replicate', dim, margin }, true));
}

/** Mirrors all of the dim, and cuts then. */
function reflected(x: Tensor, [left, right]: Margin, dim: number): Tensor {
  const size = x.sizeAt(dim);
  if (size > 0 && size + left + right < 1) nothingLeft([left, right], size);
  const grown = left > 0 || right > 0 ? repeated(x, dim, 'reflect', [Math.max(0, left), Math.max(0, right)]) : x;
  return cutDim(grown, dim, Math.max(0, -left), Math.max(0, -right));
}

/** Where place i of a dim of n places is read, beyond its ends too. */
const places = {
  reflect: (i: number, n: number) => n - 1 - Math.abs(n - 1 - Math.abs(i)),
  replicate: (i: number, n: number) => Math.min(Math.max(i, 0), n - 1),
  circular: (i: number, n: number) => (i + n) % n,
};

interface EdgeParams {
  readonly mode: keyof typeof places;
  readonly dim: number;
  readonly margin: Margin;
}

/** Where the places of the wider dim are read, or only those beyond its ends. */
function sources(x: Tensor, { mode, dim, margin: [before, after] }: EdgeParams, all: boolean): Tensor {
  const size = x.sizeAt(dim);
  const list = Array.from({ length: before + size + after }, (_, i) => i - before).filter((i) => all || i < 0 || i >= size);
  const make = (): Int32Array => Int32Array.from(list, (i) => places[mode](i, size));
  return constantTable(x.device, `${mode}${all}${size}/${before}/${after}`, specOf('int32', [list.length]), make);
}

/** The dim with copies of some of its places before and after it. In the gradient those are added to what they are copies of. */
const edged: Op<[x: Tensor, params: EdgeParams]> = defineCustom({
  name: 'pad',
  args: (x: Tensor, params: EdgeParams) => ({ inputs: [x], params }),
  forward: ([x], params: EdgeParams) => [(x as Tensor).indexSelect(params.dim, sources(x as Tensor, params, true))],
  grad: ([g], { inputs: [x], params }) => {
    if (!g || !x) return [null];
    const { dim, margin } = params;
    const [first, middle, last] = g.split([margin[0], x.sizeAt(dim), margin[1]], { dim }) as [Tensor, Tensor, Tensor];
    return [middle.indexAdd(dim, sources(x, params, false), cat([first, last], { dim }))];
  },
  *samples() {},
});

/** Pads a dim by what is there. */
function repeated(x: Tensor, dim: number, mode: EdgeParams['mode'], margin: Margin): Tensor {
  const size = x.sizeAt(dim);
  const most = Math.max(...margin);
  if (mode === 'replicate' ? size === 0 : most > size - Number(mode === 'reflect')) {
    const rule = mode === 'circular' ? 'at most' : 'less than';
    throw new LibError('value', `pad: pads must be ${rule} the size, got ${most} for size ${size}.`);
  }
  return edged(x, { mode, dim, margin });
}
