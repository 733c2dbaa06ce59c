import type { DType } from '../core/dtype.js';
import { LibError } from '../core/errors.js';
import { broadcastShapes, formatShape } from '../core/shape.js';
import { type Spec, specOf } from '../core/spec.js';
import { input } from '../expr/expr.js';
import type { Tensor } from '../tensor/tensor.js';
import { defineOp, type Op } from './define.js';
import { fuse, fuseSum } from './fused.js';
import { sumToShape } from './reduce.js';

/** The dense gemm kernel as a row: a (…, m, k) @ b (…, k, n) [+ dense bias (n)], batch dims broadcast, any strides. */
type Gemm = Op<[a: Tensor, b: Tensor, bias?: Tensor]>;

const rows = new Map<string, Gemm>();

/** The product, which errors and graphs call `name`. */
export function gemm(name: string, a: Tensor, b: Tensor, bias?: Tensor): Tensor {
  let row = rows.get(name);
  if (row === undefined) {
    row = gemmRow(name);
    rows.set(name, row);
  }
  return bias === undefined ? row(a, b) : row(a, b, bias.contiguous());
}

/** `dtype`: of the result, float32 for a product of 16-bit numbers that is not rounded to their type. It has no gradient. */
export function gemmRow(name: string, dtype?: DType): Gemm {
  return defineOp<[a: Tensor, b: Tensor, bias?: Tensor], null>({
    name,
    args: (a, b, bias) => ({ inputs: bias ? [a, b, bias] : [a, b], params: null }),
    infer: ([a, b, bias]) => productSpec(name, a as Spec, b as Spec, bias, dtype),
    kernel: (_, specs) => ({ family: 'gemm', views: 'dense', bias: specs.length === 3 }),
    saves: (_, [a, b]) => [...(a ? [1] : []), ...(b ? [0] : [])],
    grad: ([g], { inputs: [a, b, bias], needs }) => {
      if (!g || !a || !b) return [];
      const product = (x: Tensor, y: Tensor): Tensor =>
        x.sizeAt(-1) === 1 ? fuse(`${name}Backward`, [x, y], input(0).mul(input(1))) : gemm(`${name}Backward`, x, y);
      return [
        needs[0] ? sumToShape(product(g, b.transpose(-2, -1)), a.shape) : null,
        needs[1] ? sumToShape(product(a.transpose(-2, -1), g), b.shape) : null,
        ...(bias ? [needs[2] ? biasGradient(g, bias) : null] : []),
      ];
    },
    *samples(random) {
      yield [random([2, 3]), random([3, 4]), random([4])];
    },
    torch: null,
  });
}

const biasGradient = (g: Tensor, bias: Tensor): Tensor =>
  fuseSum(
    'gemmBackward',
    [g],
    input(0),
    g.shape.slice(0, -1).map((_, i) => i),
  ).reshape(bias.shape);

function productSpec(name: string, a: Spec, b: Spec, bias: Spec | undefined, dtype = a.dtype): Spec {
  checkProduct(name, a, b);
  const [m, depth, inner, n] = [a.shape.at(-2) ?? 1, a.shape.at(-1), b.shape.at(-2), b.shape.at(-1) ?? 1];
  if (depth !== inner) {
    throw new LibError(
      'shape',
      `${name}: inner dimensions must agree, got ${formatShape(a.shape)} @ ${formatShape(b.shape)}: ${depth} ≠ ${inner}.`,
    );
  }
  if (bias !== undefined) checkProduct(name, a, bias);
  return specOf(dtype, [...broadcastShapes(name, a.shape.slice(0, -2), b.shape.slice(0, -2)), m, n]);
}

export function checkProduct(name: string, a: Spec, b: Spec): void {
  if (a.dtype !== b.dtype)
    throw new LibError('dtype', `${name}: both tensors must have one type, got ${a.dtype} and ${b.dtype}.`, 'convert one with to(dtype).');
}
