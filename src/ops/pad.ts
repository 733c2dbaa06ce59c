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
    const by = modes[mode];
    if (mode === 'replicate') return margins.reduce(replicated, x);
    return added.reduce((y, margin, d) => (margin[0] + margin[1] === 0 ? y : by(y, d, margin)), cut);
  },
  *samples(random): Iterable<[x: Tensor, pads: readonly number[], options?: PadOptions]> {
    yield [random([3]), [1, 2]];
    yield [random([2, 3, 4]), [1, 0, 0, 2], { value: 1.5 }];
    yield [random([2, 5]), [-1, 1]];
    yield [random([1, 2, 5]), [2, 3], { mode: 'reflect' }];
    yield [random([1, 2, 3, 4]), [1, 2, 2, 1], { mode: 'replicate' }];
    yield [random([1, 3, 4]), [-4, 5], { mode: 'replicate' }];
    yield [random([1, 3, 4]), [3, -4], { mode: 'replicate' }];
    yield [random([1, 2, 3]), [2, 1], { mode: 'circular' }];
  },
  *errors(random): Iterable<readonly [[x: Tensor, pads: readonly number[], options?: PadOptions], string]> {
    yield [[random([3]), [1]], 'pairs of whole numbers'];
    yield [[random([3]), [1, 1, 1, 1]], 'pairs of whole numbers'];
    yield [[random([1, 2, 3]), [3, 0], { mode: 'reflect' }], 'must be less than the size'];
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

function cutDim(x: Tensor, dim: number, before: number, after: number): Tensor {
  if (before + after === 0) return x;
  const size = x.sizeAt(dim);
  if (before + after > size) {
    throw new LibError('value', `pad: negative pads must leave something of the dim, got ${-before} and ${-after} for size ${size}.`);
  }
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
function replicated(x: Tensor, [before, after]: Margin, dim: number): Tensor {
  const size = x.sizeAt(dim);
  const left = size + Math.min(0, before) + Math.min(0, after);
  if (left > 0 || size === 0 || before + after + size <= 0) {
    const cut = cutDim(x, dim, Math.max(0, -before), Math.max(0, -after));
    return before > 0 || after > 0 ? modes.replicate(cut, dim, [Math.max(0, before), Math.max(0, after)]) : cut;
  }
  const sizes = x.shape.map((d, i) => (i === dim ? size + before + after : d));
  return x.narrow(dim, before < 0 ? size - 1 : 0, 1).expand(sizes);
}

/** Pads that repeat what is there. */
const modes: Readonly<Record<'reflect' | 'replicate' | 'circular', (x: Tensor, dim: number, margin: Margin) => Tensor>> = {
  reflect(x, dim, [before, after]) {
    const size = checkedSize(x, dim, Math.max(before, after) + 1, 'less than');
    return chosen('reflect', x, dim, [before, after], (i) => size - 1 - Math.abs(size - 1 - Math.abs(i)));
  },
  replicate(x, dim, [before, after]) {
    const size = checkedSize(x, dim, 1, 'less than');
    return chosen('replicate', x, dim, [before, after], (i) => Math.min(Math.max(i, 0), size - 1));
  },
  circular(x, dim, [before, after]) {
    const size = checkedSize(x, dim, Math.max(before, after), 'at most');
    return chosen('circular', x, dim, [before, after], (i) => (i + size) % size);
  },
};

interface EdgeParams {
  readonly dim: number;
  readonly key: string;
  /** Where the places before and after the dim come from. */
  readonly before: readonly number[];
  readonly after: readonly number[];
}

const indexOf = (x: Tensor, key: string, list: readonly number[]): Tensor =>
  constantTable(x.device, key, specOf('int32', [list.length]), () => Int32Array.from(list));

/** The dim with copies of some of its places before and after it. In the gradient those are added to what they are copies of. */
const edged: Op<[x: Tensor, params: EdgeParams]> = defineCustom({
  name: 'pad',
  args: (x: Tensor, params: EdgeParams) => ({ inputs: [x], params }),
  forward: ([x], { dim, key, before, after }: EdgeParams) => {
    const middle = (x as Tensor).shape[dim] ?? 0;
    const all = [...before, ...Array.from({ length: middle }, (_, i) => i), ...after];
    return [(x as Tensor).indexSelect(dim, indexOf(x as Tensor, key, all))];
  },
  grad: ([g], { inputs: [x], params: { dim, key, before, after } }) => {
    if (!g || !x) return [null];
    const [first, middle, last] = g.split([before.length, x.sizeAt(dim), after.length], { dim }) as [Tensor, Tensor, Tensor];
    return [middle.indexAdd(dim, indexOf(g, `${key}T`, [...before, ...after]), cat([first, last], { dim }))];
  },
  *samples() {},
});

/** The dim wider by margins, each place beyond its ends read where `at` says. */
function chosen(mode: string, x: Tensor, dim: number, [before, after]: Margin, at: (i: number) => number): Tensor {
  const size = x.sizeAt(dim);
  const list = (count: number, from: number): number[] => Array.from({ length: count }, (_, i) => at(from + i));
  return edged(x, { dim, key: `${mode}${size}/${before}/${after}`, before: list(before, -before), after: list(after, size) });
}

function checkedSize(x: Tensor, dim: number, least: number, rule: string): number {
  const size = x.sizeAt(dim);
  if (size < least)
    throw new LibError(
      'value',
      `pad: pads must be ${rule} the size of the dim, got ${rule === 'less than' ? least - 1 : least} for size ${size}.`,
    );
  return size;
}
