import { type Spec, specOf } from '../core/spec.js';
import { input } from '../expr/expr.js';
import type { ConvGeometry } from '../program/kernel.js';
import type { Tensor } from '../tensor/tensor.js';
import { convGeometry } from './convShape.js';
import { defineOp, type Op } from './define.js';
import { fuseSum } from './fused.js';

/**
 * The three products that a convolution and its gradients are. Each one's gradients are the other two, so every order works.
 * With y = conv(x, w): ⟨g, conv(x, w)⟩ = ⟨convInput(g, w), x⟩ = ⟨convWeight(g, x), w⟩ for all g.
 */
interface ConvParams {
  readonly geometry: ConvGeometry;
  /** Spatial dims of the tensors: 1, 2 or 3. */
  readonly rank: number;
}

type ConvOp = Op<[a: Tensor, b: Tensor, geometry: ConvGeometry, rank: number, bias?: Tensor]>;

const keys = new WeakMap<ConvGeometry, string>();

/** Gradients reuse the geometry object of the forward pass, so it is written out once. */
function keyOf(geometry: ConvGeometry, rank: number): string {
  let key = keys.get(geometry);
  if (key === undefined) {
    key = `${rank}:${Object.values(geometry).join('|')}`;
    keys.set(geometry, key);
  }
  return key;
}

const canonical = (a: Tensor, b: Tensor, geometry: ConvGeometry, rank: number, bias?: Tensor) => ({
  inputs: bias ? [a.contiguous(), b.contiguous(), bias.contiguous()] : [a.contiguous(), b.contiguous()],
  params: { geometry, rank },
  key: keyOf(geometry, rank),
});

const dtypeOf = (specs: readonly Spec[]): Spec['dtype'] => (specs[0] as Spec).dtype;

const sizes = convGeometry('conv', [2, 4, 6], [6, 2, 3], { stride: [2], padding: [1], dilation: [1], groups: 2 });

/** x, w (, bias) → y. */
export const conv: ConvOp = defineOp({
  name: 'conv',
  args: canonical,
  infer: (specs, { geometry: g, rank }: ConvParams) => specOf(dtypeOf(specs), [g.batch, g.outChannels, ...g.output.slice(3 - rank)]),
  kernel: ({ geometry }: ConvParams, specs) => ({ family: 'gemm', views: 'conv', geometry, bias: specs.length === 3 }),
  saves: (_, [x, w]) => [...(x ? [1] : []), ...(w ? [0] : [])],
  grad: ([g], { inputs: [x, w, bias], params: { geometry, rank }, needs }) => {
    if (!g || !x || !w) return [];
    const pixels = g.shape.flatMap((_, d) => (d === 1 ? [] : [d]));
    // First of all: right behind what makes g it joins a loop over channels.
    const ofBias = bias && needs[2] ? fuseSum('convBackward', [g], input(0), pixels) : null;
    return [
      needs[0] ? convInput(g, w, geometry, rank) : null,
      needs[1] ? convWeight(g, x, geometry, rank) : null,
      ...(bias ? [ofBias] : []),
    ];
  },
  *samples(random) {
    yield [random([2, 4, 6]), random([6, 2, 3]), sizes, 1];
  },
  torch: null,
});

/** g (like y), w → like x. */
export const convInput: ConvOp = defineOp({
  name: 'convInput',
  args: canonical,
  infer: (specs, { geometry: g, rank }: ConvParams) => specOf(dtypeOf(specs), [g.batch, g.inChannels, ...g.input.slice(3 - rank)]),
  kernel: ({ geometry }: ConvParams) => ({ family: 'gemm', views: 'convInput', geometry, bias: false }),
  saves: (_, [g, w]) => [...(g ? [1] : []), ...(w ? [0] : [])],
  grad: ([x], { inputs: [g, w], params: { geometry, rank }, needs }) => {
    if (!g || !x || !w) return [];
    return [needs[0] ? conv(x, w, geometry, rank) : null, needs[1] ? convWeight(g, x, geometry, rank) : null];
  },
  *samples(random) {
    yield [random([2, 6, 3]), random([6, 2, 3]), sizes, 1];
  },
  torch: null,
});

/** g (like y), x → like w. */
export const convWeight: ConvOp = defineOp({
  name: 'convWeight',
  args: canonical,
  infer: (specs, { geometry: g, rank }: ConvParams) => {
    return specOf(dtypeOf(specs), [g.outChannels, g.inChannels / g.groups, ...g.kernel.slice(3 - rank)]);
  },
  kernel: ({ geometry }: ConvParams) => ({ family: 'gemm', views: 'convWeight', geometry, bias: false }),
  saves: (_, [g, x]) => [...(g ? [1] : []), ...(x ? [0] : [])],
  grad: ([w], { inputs: [g, x], params: { geometry, rank }, needs }) => {
    if (!g || !x || !w) return [];
    return [needs[0] ? conv(x, w, geometry, rank) : null, needs[1] ? convInput(g, w, geometry, rank) : null];
  },
  *samples(random) {
    yield [random([2, 6, 3]), random([2, 4, 6]), sizes, 1];
  },
  torch: null,
});
