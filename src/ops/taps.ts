import { specOf } from '../core/spec.js';
import { type Expr, input } from '../expr/expr.js';
import type { Tensor } from '../tensor/tensor.js';
import { defineCustom, type Op } from './define.js';
import { constantTable, fuse } from './fused.js';

/** Sums of chosen places of one dim: what resizing and mirrors at the border are made of. */

/** For each output place, which input places make it, and with what weights. */
export type Taps = readonly (readonly (readonly [place: number, weight: number])[])[];

const GROUP = 4;
/** Σ of place · weight, from pairs of them and, if there is an odd one, the sum so far. */
function tapSum(count: number): Expr {
  let sum = input(0).mul(input(1));
  for (let i = 2; i < count; i += 2) sum = sum.add(i + 1 < count ? input(i).mul(input(i + 1)) : input(i));
  return sum;
}

/** The chosen places times their weights, four taps in one pass. */
function weighted(x: Tensor, dim: number, key: string, taps: Taps): Tensor {
  const count = Math.max(1, ...taps.map((list) => list.length));
  const { device, dtype } = x;
  const shape = x.shape.map((_, d) => (d === dim ? taps.length : 1)).slice(dim);
  const type = dtype === 'float64' ? 'float64' : 'float32';
  const placeOf = (t: number): Tensor =>
    constantTable(device, `${key}i${t}`, specOf('int32', [taps.length]), () => Int32Array.from(taps, (l) => (l[t] ?? l[0])?.[0] ?? 0));
  const weightOf = (t: number): Tensor =>
    constantTable(device, `${key}w${t}`, specOf(type, shape), () => {
      const list = Float64Array.from(taps, (l) => l[t]?.[1] ?? 0);
      return type === 'float64' ? list : Float32Array.from(list);
    });
  const places = Array.from({ length: count }, (_, t) => x.indexSelect(dim, placeOf(t)));
  if (count === 1 && taps.every(([tap]) => tap?.[1] === 1)) return places[0] as Tensor;
  let sum: Tensor[] = [];
  for (let t = 0; t < count; t += GROUP) {
    const terms = [...places.slice(t, t + GROUP).flatMap((place, k) => [place, weightOf(t + k)]), ...sum];
    sum = [fuse('interpolate', terms, tapSum(terms.length), [], dtype)];
  }
  return sum[0] as Tensor;
}

/** The taps of the other direction: for each of `from` places, where it went. */
function turned(taps: Taps, from: number): Taps {
  const lists = Array.from({ length: from }, (): [number, number][] => []);
  for (const [i, list] of taps.entries()) for (const [place, w] of list) if (w !== 0) lists[place]?.push([i, w]);
  return lists;
}

interface TapParams {
  readonly dim: number;
  readonly key: string;
  readonly taps: Taps;
}

/** Σ over taps of x's places along `dim` times weights. Its gradient chooses as well, rather than scatter. `key` names the taps. */
export const tapped: Op<[x: Tensor, dim: number, key: string, taps: Taps]> = defineCustom({
  name: 'interpolate',
  args: (x: Tensor, dim: number, key: string, taps: Taps) => ({ inputs: [x], params: { dim, key, taps } }),
  forward: ([x], { dim, key, taps }: TapParams) => [weighted(x as Tensor, dim, key, taps)],
  grad: ([g], { inputs: [x], params: { dim, key, taps } }) => {
    return [g && x ? tapped(g, dim, `${key}T`, turned(taps, x.sizeAt(dim))) : null];
  },
  *samples() {},
});
