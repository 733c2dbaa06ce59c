import type { Shape } from '../core/shape.js';
import { type Spec, specOf } from '../core/spec.js';
import type { ConvGeometry, GemmKernel, Kernel } from './kernel.js';

/** An operand of one example, and how the examples lie: `stride` elements apart, or (null) one for all. */
export interface ExampleOperand {
  readonly spec: Spec;
  readonly stride: number | null;
}

/** A kernel over all examples at once. Specs have a leading dim for them, or fold it into another one. */
export interface BatchedKernel {
  readonly kernel: Kernel;
  readonly inputs: readonly Spec[];
  /** Dense, in the order of the examples. */
  readonly outputs: readonly Spec[];
}

/**
 * The kernel that does for `count` examples what `kernel` does for one; null where a family has no such form for these operands: then
 * the examples run one by one. At least one input differs between examples.
 */
export function batchKernel(
  kernel: Kernel,
  inputs: readonly ExampleOperand[],
  outputs: readonly Spec[],
  count: number,
): BatchedKernel | null {
  const stacked = outputs.map(({ dtype, shape }) => specOf(dtype, [count, ...shape]));
  const rank = outputs[0]?.shape.length ?? 0;
  const aligned = (to: number): Spec[] => inputs.map((x) => leading(x, to, count, false));
  const full = (to: number): Spec[] => inputs.map((x) => leading(x, to, count, true));
  switch (kernel.family) {
    case 'map':
      return kernel.parts === undefined ? { kernel, inputs: aligned(rank), outputs: stacked } : null;
    case 'reduce': {
      const shape = [count, ...kernel.shape];
      return { kernel: { ...kernel, shape, dims: kernel.dims.map((d) => d + 1) }, inputs: aligned(kernel.shape.length), outputs: stacked };
    }
    case 'gemm':
      if (kernel.views !== 'dense') return batchConv(kernel, inputs, stacked, count);
      return kernel.bias && inputs[2]?.stride !== null ? null : batchProduct(kernel, inputs, stacked, rank, count);
    case 'window': {
      const specs = inputs.flatMap((x) => folded(x, count) ?? []);
      const geometry = { ...kernel.geometry, planes: kernel.geometry.planes * count };
      return specs.length === inputs.length ? { kernel: { ...kernel, geometry }, inputs: specs, outputs: stacked } : null;
    }
    case 'gather':
      return { kernel: { ...kernel, dim: kernel.dim + 1 }, inputs: full(rank), outputs: stacked };
    case 'scatter':
      return { kernel: { ...kernel, dim: kernel.dim + 1 }, inputs: full(rank), outputs: stacked };
    case 'scan':
    case 'sort':
      return { kernel: { ...kernel, dim: kernel.dim + 1 }, inputs: full(rank), outputs: stacked };
    case 'copy': {
      const size = outputs[0]?.size ?? 0;
      const places = kernel.places?.map(({ offset, strides }) => ({ offset, strides: [size, ...strides] }));
      const own = inputs.map((x) => leading(x, x.spec.shape.length, count, true));
      return { kernel: places === undefined ? kernel : { ...kernel, places }, inputs: own, outputs: stacked };
    }
    default:
      return null;
  }
}

/** The operand with a leading dim for the examples, padded to `rank` dims of an example. What is shared stays as it is unless `always`. */
function leading({ spec, stride }: ExampleOperand, rank: number, count: number, always: boolean): Spec {
  if (stride === null && !always) return spec;
  const missing = Math.max(0, rank - spec.shape.length);
  const shape: Shape = [count, ...Array<number>(missing).fill(1), ...spec.shape];
  return specOf(spec.dtype, shape, [stride ?? 0, ...Array<number>(missing).fill(0), ...spec.strides]);
}

/** Examples as more of the first dim, where they lie behind one another. */
function folded({ spec, stride }: ExampleOperand, count: number): Spec | null {
  if (stride !== spec.size || !spec.contiguous) return null;
  const [first = 1, ...rest] = spec.shape;
  return specOf(spec.dtype, [count * first, ...rest]);
}

function batchProduct(
  kernel: GemmKernel,
  inputs: readonly ExampleOperand[],
  outputs: readonly Spec[],
  rank: number,
  count: number,
): BatchedKernel {
  const [a, b, ...bias] = inputs as readonly [ExampleOperand, ExampleOperand, ...ExampleOperand[]];
  return { kernel, inputs: [leading(a, rank, count, false), leading(b, rank, count, false), ...bias.map((x) => x.spec)], outputs };
}

/** Images of all examples are one batch; where weights differ too, and an example is one image, each example is a group of channels. */
function batchConv(kernel: GemmKernel, inputs: readonly ExampleOperand[], outputs: readonly Spec[], count: number): BatchedKernel | null {
  const { geometry, views, bias } = kernel;
  const [a, b, ...rest] = inputs as readonly [ExampleOperand, ExampleOperand, ...ExampleOperand[]];
  if (geometry === undefined || rest.some((x) => x.stride !== null)) return null;
  if (views !== 'convWeight' && b.stride === null) {
    const images = folded(a, count);
    if (images === null || !b.spec.contiguous) return null;
    return {
      kernel: { ...kernel, geometry: { ...geometry, batch: geometry.batch * count } },
      inputs: [images, b.spec, ...rest.map((x) => x.spec)],
      outputs,
    };
  }
  if (geometry.batch !== 1 || bias || a.stride === null || b.stride === null) return null;
  const operands = [folded(a, count), folded(b, count)];
  if (operands[0] == null || operands[1] == null) return null;
  return { kernel: { ...kernel, geometry: inGroups(geometry, count) }, inputs: [operands[0], operands[1]], outputs };
}

const inGroups = (g: ConvGeometry, count: number): ConvGeometry => ({
  ...g,
  groups: g.groups * count,
  inChannels: g.inChannels * count,
  outChannels: g.outChannels * count,
});
