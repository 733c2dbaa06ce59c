import { isFloat } from '../core/dtype.js';
import { LibError } from '../core/errors.js';
import { broadcastShapes, contiguousStrides, formatShape, needDims, needWhole, resolveDim, type Shape, sameShape } from '../core/shape.js';
import { type Spec, specOf } from '../core/spec.js';
import { meshgrid } from '../tensor/creation.js';
import type { Tensor } from '../tensor/tensor.js';
import { defineOp, type Op, type Random } from './define.js';
import { cat, needTensors, stack, vstack } from './join.js';
import { promoteAll } from './mapTyped.js';
import { composed } from './shortRows.js';

/** Functions of several tensors that join or align them. */

type Join = Op<[tensors: readonly Tensor[]]>;

/** Joins as columns: tensors of one dim (or none) become columns of a matrix, the others are joined along dim 1. */
export const columnStack: Join = composed(
  'columnStack',
  (tensors) => {
    needTensors('columnStack', tensors);
    return cat(
      tensors.map((x) => (x.ndim < 2 ? x.reshape([x.size, 1]) : x)),
      { dim: 1 },
    );
  },
  (random) => [[[random([3]), random([3])]], [[random([2, 3]), random([2])]]],
  { errors: () => [[[[]], 'at least one tensor']] },
);
/** Another name of {@link vstack}. */
export const rowStack: Join = composed('rowStack', vstack, (random) => [[[random([3]), random([3])]]]);
/** Another name of {@link cat}. */
export const concatenate: typeof cat = composed('concatenate', cat, (random) => [[[random([3]), random([2])]]]);

/** The tensors as views of one shape, by the rules of broadcasting. */
export const broadcastTensors: Op<[tensors: readonly Tensor[]], Tensor[]> = composed(
  'broadcastTensors',
  (tensors) => {
    const shape = tensors.reduce<Shape>((s, x) => broadcastShapes('broadcastTensors', s, x.shape), []);
    return tensors.map((x) => (sameShape(x.shape, shape) ? x : x.expand(shape)));
  },
  (random) => [[[random([2, 1]), random([3]), random([])]]],
  { torch: 'torch.broadcast_tensors(*a[0])', errors: (random) => [[[[random([2]), random([3])]], 'do not broadcast']] },
);

/** All ways to take one element of each vector: (ways, vectors); of one vector, itself. */
export const cartesianProd: Join = composed(
  'cartesianProd',
  (tensors) => {
    const first = needTensors('cartesianProd', tensors);
    for (const x of tensors) needDims('cartesianProd', x, 1, 1);
    if (tensors.length === 1) return first;
    return stack(
      meshgrid(tensors).map((grid) => grid.reshape([grid.size])),
      { dim: 1 },
    );
  },
  (random) => [[[random([2]), random([3])]], [[random([4])]]],
  { torch: 'torch.cartesian_prod(*a[0])', errors: (random) => [[[[random([2, 2])]], 'must have 1 dim']] },
);

/** Sizes and positions of the blocks: a block begins where the one before it ends. */
function blocksOf(specs: readonly Spec[]): { readonly shape: Shape; readonly corners: readonly (readonly [number, number])[] } {
  let [row, column] = [0, 0];
  const corners = specs.map(({ shape: [rows = 1, columns = 1] }) => {
    row += rows;
    column += columns;
    return [row - rows, column - columns] as const;
  });
  return { shape: [row, column], corners };
}

const blocks: Join = defineOp({
  name: 'blockDiag',
  args: (tensors: readonly Tensor[]) => ({ inputs: tensors, params: null }),
  infer: (specs) => specOf((specs[0] as Spec).dtype, blocksOf(specs).shape),
  kernel: (_, specs) => {
    const { shape, corners } = blocksOf(specs);
    const strides = contiguousStrides(shape);
    const [down = 1] = strides;
    return { family: 'copy', fill: 0, places: corners.map(([row, column]) => ({ offset: row * down + column, strides })) };
  },
  grad: ([g], { inputs, needs }) => {
    const { corners } = blocksOf(inputs.map((x) => x.spec));
    return inputs.map((x, i) => {
      const [row, column] = corners[i] ?? [0, 0];
      return g && needs[i] ? g.narrow(0, row, x.sizeAt(0)).narrow(1, column, x.sizeAt(1)) : null;
    });
  },
  *samples() {},
});
/** A matrix with the tensors as blocks along its diagonal and zeros elsewhere; a vector is a block of one row. */
export const blockDiag: Join = composed(
  'blockDiag',
  (tensors) => {
    needTensors('blockDiag', tensors);
    for (const x of tensors) needDims('blockDiag', x, 0, 2);
    const dtype = promoteAll(tensors);
    return blocks(tensors.map((x) => (x.ndim < 2 ? x.reshape([1, x.size]) : x).to(dtype)));
  },
  (random) => [[[random([2, 3]), random([2]), random([])]], [[random([2, 1]), random([1, 2])]]],
  { torch: 'torch.block_diag(*a[0])', errors: (random) => [[[[random([2, 2, 2])]], 'at most 2 dims']] },
);

/** Pairs (…, 2) of the broadcast parts, as {@link fft} takes them. */
const paired =
  (name: string, parts: (a: Tensor, b: Tensor) => readonly [Tensor, Tensor]) =>
  (a: Tensor, b: Tensor): Tensor => {
    if (a.dtype !== b.dtype || !isFloat(a.dtype))
      throw new LibError('dtype', `${name}: both tensors must be of one floating type, got ${a.dtype} and ${b.dtype}.`);
    return stack(broadcastTensors(parts(a, b)), { dim: -1 });
  };
const pairSamples = (random: Random): [Tensor, Tensor][] => [
  [random([3], { low: 0.5, high: 2 }), random([2, 1])],
  [random([], { low: 0.5, high: 2 }), random([])],
];
const pairErrors = (random: Random): [[Tensor, Tensor], string][] => [[[random([2]), random.integers([2], 0, 3)], 'of one floating type']];
/** Complex numbers by their parts: pairs (…, 2). */
export const complex: Op<[real: Tensor, imag: Tensor]> = composed(
  'complex',
  paired('complex', (a, b) => [a, b]),
  pairSamples,
  {
    errors: pairErrors,
    torch: 'torch.view_as_real(torch.complex(a[0], a[1]))',
  },
);
/** Complex numbers by size and angle: pairs (…, 2). */
export const polar: Op<[abs: Tensor, angle: Tensor]> = composed(
  'polar',
  paired('polar', (abs, angle) => [abs.mul(angle.cos()), abs.mul(angle.sin())]),
  pairSamples,
  { errors: pairErrors, torch: 'torch.view_as_real(torch.polar(a[0], a[1]))' },
);

/**
 * The tensors, each filled up with zeros along dim to `numChunks` equal chunks, joined chunk by chunk: (…, numChunks, what comes from dim
 * on, flat). Dims before dim must agree (torch._chunk_cat).
 * @example chunkCat([tensor([1, 2, 3]), tensor([4, 5])], 0, 2) // [[1, 2, 4], [3, 0, 5]]
 */
export const chunkCat: Op<[tensors: readonly Tensor[], dim: number, numChunks: number]> = composed(
  'chunkCat',
  (tensors, dim, numChunks) => {
    needTensors('chunkCat', tensors);
    needWhole('chunkCat', 'numChunks', numChunks, 1);
    const flat = tensors.map((x) => {
      const d = resolveDim('chunkCat', dim, x.ndim);
      if (x.size === 0) throw new LibError('shape', `chunkCat: tensors must not be empty, got shape ${formatShape(x.shape)}.`);
      const after = new Array<number>(2 * (x.ndim - d) - 1).fill(0);
      const missing = Math.ceil(x.sizeAt(d) / numChunks) * numChunks - x.sizeAt(d);
      return x.pad([...after, missing]).reshape([...x.shape.slice(0, d), numChunks, -1]);
    });
    return cat(flat, { dim: -1 });
  },
  (random) => [
    [[random([5]), random([2])], 0, 2],
    [[random([2, 3, 2]), random([2, 4, 1])], 1, 2],
    [[random([2, 3]), random([2, 1])], -1, 4],
  ],
  {
    torch: 'torch._chunk_cat(*a)',
    errors: (random) => [
      [[[], 0, 2], 'at least one tensor'],
      [[[random([2])], 0, 0], 'numChunks must be a whole number of at least 1'],
      [[[random([2])], 1, 2], 'out of range'],
      [[[random([2]), random([0])], 0, 2], 'must not be empty, got shape (0,)'],
    ],
  },
);
