import { specOf } from '../core/spec.js';
import { type Expr, input } from '../expr/expr.js';
import type { Tensor } from '../tensor/tensor.js';
import { defineCustom, type Op } from './define.js';
import { constantTable, fuse } from './fused.js';

/** Sums of chosen places of one dim: what resizing and mirrors at the border are made of. */

/** Which input places, and with what weights, make each output place: one list of each for every tap. */
export interface Taps {
  readonly index: readonly Int32Array[];
  readonly weight: readonly Float64Array[];
}

const GROUP = 4;
/** Σ over up to four taps of place · weight, from (place, weight) pairs and, if there is one, the sum so far. */
function tapSum(count: number, more: boolean): Expr {
  let sum = input(0).mul(input(1));
  for (let t = 1; t < count; t++) sum = sum.add(input(2 * t).mul(input(2 * t + 1)));
  return more ? sum.add(input(2 * count)) : sum;
}

/** The chosen places times their weights, four taps in one pass. */
function weighted(x: Tensor, dim: number, key: string, taps: Taps): Tensor {
  const to = taps.index[0]?.length ?? 0;
  const indexOf = (list: Int32Array, t: number): Tensor => constantTable(x.device, `${key}i${t}`, specOf('int32', [to]), () => list);
  const places = taps.index.map((list, t) => x.indexSelect(dim, indexOf(list, t)));
  if (places.length === 1 && taps.weight[0]?.every((w) => w === 1)) return places[0] as Tensor;
  const shape = x.shape.map((_, d) => (d === dim ? to : 1)).slice(dim);
  const type = x.dtype === 'float64' ? 'float64' : 'float32';
  const weights = taps.weight.map((list, t) =>
    constantTable(x.device, `${key}w${t}`, specOf(type, shape), () => (type === 'float64' ? list : Float32Array.from(list))),
  );
  let sum: Tensor | null = null;
  for (let t = 0; t < places.length; t += GROUP) {
    const pairs = places.slice(t, t + GROUP).flatMap((place, k) => [place, weights[t + k] as Tensor]);
    sum = fuse('interpolate', sum ? [...pairs, sum] : pairs, tapSum(pairs.length / 2, sum !== null), [], x.dtype);
  }
  return sum as Tensor;
}

/** The taps of the other direction: for each of `from` places, where it went. Places that went nowhere have a weight of 0. */
function turned({ index, weight }: Taps, from: number): Taps {
  const lists = Array.from({ length: from }, (): [number, number][] => []);
  for (const [t, places] of index.entries()) {
    for (const [i, place] of places.entries()) if (weight[t]?.[i]) lists[place]?.push([i, weight[t][i] ?? 0]);
  }
  const taps = Array.from({ length: Math.max(1, ...lists.map((list) => list.length)) }, (_, t) => t);
  return {
    index: taps.map((t) => Int32Array.from(lists, (list) => (list[t] ?? list[0])?.[0] ?? 0)),
    weight: taps.map((t) => Float64Array.from(lists, (list) => list[t]?.[1] ?? 0)),
  };
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
