import { isFloat } from '../core/dtype.js';
import { LibError } from '../core/errors.js';
import { specOf } from '../core/spec.js';
import { input, scalar } from '../expr/expr.js';
import type { Tensor } from '../tensor/tensor.js';
import { constantTable, fuse } from './fused.js';
import { matmul } from './matmul.js';

const op = 'scaledDotProductAttention';

/** q kᵀ times scale, plus the mask or -∞ where it forbids, in one pass over the product. */
export function attentionScores(q: Tensor, k: Tensor, attnMask: Tensor | null, causal: boolean, factor: number): Tensor {
  const scores = matmul(q, k.transpose(-2, -1));
  const mask = causal ? causalMask(q, k) : attnMask;
  const scaled = input(0).mul(scalar(0));
  if (mask === null) return fuse(op, [scores], scaled, [factor]);
  if (mask.dtype !== 'bool' && !isFloat(mask.dtype)) {
    throw new LibError('dtype', `${op}: attnMask must be bool or of floating type, got ${mask.dtype}.`);
  }
  const expr = mask.dtype === 'bool' ? input(1).select(scaled, Number.NEGATIVE_INFINITY) : scaled.add(input(1));
  return fuse(op, [scores, mask], expr, [factor]);
}

function causalMask(q: Tensor, k: Tensor): Tensor {
  const [n, m] = [q.sizeAt(-2), k.sizeAt(-2)];
  return constantTable(q.device, 'causal', specOf('bool', [n, m]), () =>
    Uint8Array.from({ length: n * m }, (_, i) => Number(i % m <= Math.floor(i / m))),
  );
}
