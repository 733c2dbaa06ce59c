import { broadcastShapes } from '../core/shape.js';
import { constant, type Expr, input } from '../expr/expr.js';
import { tensor } from '../tensor/creation.js';
import type { Tensor } from '../tensor/tensor.js';
import { customGrad } from './customGrad.js';
import { defineComposite, type Op } from './define.js';
import { needFloat } from './fused.js';
import { mapTyped, promoteAll } from './mapTyped.js';

/** The incomplete gamma functions. */

const TERMS = 64;
const NODES = 32;
/** From this a on, the integrand is smooth enough for a fixed quadrature; below it, a fixed number of terms is enough. */
const LARGE = 30;

/** Nodes and weights of Gauss and Legendre's rule on [0, 1]. */
function quadrature(n: number): readonly (readonly [node: number, weight: number])[] {
  return Array.from({ length: n }, (_, i) => {
    let z = Math.cos((Math.PI * (i + 0.75)) / (n + 0.5));
    let slope = 1;
    for (let round = 0; round < 8; round++) {
      let [p, before] = [1, 0];
      for (let k = 0; k < n; k++) [p, before] = [((2 * k + 1) * z * p - k * before) / (k + 1), p];
      slope = (n * (z * p - before)) / (z * z - 1);
      z -= p / slope;
    }
    return [(1 - z) / 2, 1 / ((1 - z * z) * slope * slope)] as const;
  });
}

/** xᵃ e⁻ˣ / Γ(a + 1) */
const leading = (a: Expr, x: Expr): Expr => a.mul(x.log()).sub(x).sub(a.add(1).lgamma()).exp();

/** P for x ≤ a + 1: the power series, summed from its far end. */
function lowerSeries(a: Expr, x: Expr): Expr {
  let sum = constant(1);
  for (let n = TERMS; n > 0; n--) sum = x.div(a.add(n)).mul(sum).add(1);
  return leading(a, x).mul(sum);
}
/** Q for x > a + 1: Legendre's continued fraction, from its far end. */
function upperFraction(a: Expr, x: Expr): Expr {
  const from = x.sub(a);
  let t = from.add(2 * TERMS + 1);
  for (let n = TERMS; n > 0; n--) t = from.add(2 * n - 1).sub(constant(n).mul(constant(n).sub(a)).div(t));
  return leading(a, x).mul(a).div(t);
}
/** The smaller of P and Q for large a: the integral from x outwards, as far as there is something. */
function outerIntegral(a: Expr, x: Expr): Expr {
  const m = a.sub(1);
  const width = m.sqrt();
  const above = m.less(x);
  const right = m.add(width.mul(12)).max(x.add(width.mul(6)));
  const left = m
    .sub(width.mul(8))
    .min(x.sub(width.mul(5)))
    .max(0);
  const reach = above.select(right, left).sub(x);
  let sum = constant(0);
  for (const [node, weight] of quadrature(NODES)) {
    const u = x.add(reach.mul(node)).sub(m).div(m);
    sum = sum.add(u.log1p().sub(u).mul(m).exp().mul(weight));
  }
  const inverse = m.reciprocal();
  const square = inverse.mul(inverse);
  // Stirling's series of log Γ(m + 1) − m log m + m − log √(2πm).
  const rest = inverse.mul(square.mul(square.mul(square.mul(-1 / 1680).add(1 / 1260)).add(-1 / 360)).add(1 / 12));
  return sum
    .mul(reach.abs())
    .mul(m.mul(2 * Math.PI).rsqrt())
    .mul(rest.neg().exp());
}

type Which = 'igamma' | 'igammac';
let parts: readonly Expr[] | null = null;
const joined = new Map<Which, Expr>();

/** P or Q of (a, x), of the three forms that were computed for every element: inputs 2, 3 and 4. */
function join(which: Which): Expr {
  const [a, x] = [input(0), input(1)];
  const isLarge = constant(LARGE).less(a);
  const isLower = isLarge.select(x.lessEqual(a.sub(1)), x.lessEqual(a.add(1)));
  const part = isLarge.select(input(4), isLower.select(input(2), input(3)));
  const other = constant(1).sub(part);
  const inside = which === 'igamma' ? isLower.select(part, other) : isLower.select(other, part);
  return atEnds(a, x, inside, which === 'igamma' ? [0, 1] : [1, 0]);
}
/** In double precision: the exponents are differences of large numbers. Each form is a pass of its own, for together they are too long. */
function values(which: Which, a: Tensor, x: Tensor): Tensor {
  parts ??= [lowerSeries, upperFraction, outerIntegral].map((form) => form(input(0), input(1)));
  const last = joined.get(which) ?? join(which);
  joined.set(which, last);
  const forms = parts.map((expr) => mapTyped(which, [a, x], expr));
  return mapTyped(which, [a, x, ...forms], last);
}

/** The values where a or x is 0, infinite or negative. */
function atEnds(a: Expr, x: Expr, inside: Expr, [none, all]: readonly [number, number]): Expr {
  const infinite = constant(Number.POSITIVE_INFINITY);
  const [aEnds, xEnds] = [a.equal(infinite), x.equal(infinite)];
  const ends = aEnds.select(
    xEnds.select(Number.NaN, none),
    xEnds.select(all, x.equal(0).select(a.equal(0).select(Number.NaN, none), a.equal(0).select(all, inside))),
  );
  const bad = a.less(0).or(x.less(0)).or(a.isnan()).or(x.isnan());
  return bad.select(Number.NaN, ends);
}

/** ∂P/∂x = xᵃ⁻¹ e⁻ˣ / Γ(a) */
const density = input(0).sub(1).mul(input(1).log()).sub(input(1)).sub(input(0).lgamma()).exp();

function incomplete(which: Which): Op<[a: Tensor, x: Tensor]> {
  const sign = which === 'igamma' ? 1 : -1;
  return defineComposite({
    name: which,
    compose(a: Tensor, x: Tensor) {
      needFloat(which, a, x);
      const shape = broadcastShapes(which, a.shape, x.shape);
      const dtype = promoteAll([a, x]);
      const fixed = a.detach().expand(shape);
      const moving = x.expand(shape);
      return customGrad({
        name: which,
        inputs: [fixed, moving],
        params: sign,
        saves: [0, 1],
        compute: () => values(which, fixed.to('float64'), moving.detach().to('float64')).to(dtype),
        grad: (g, { inputs: [p, q] }) => [null, p && q ? g.mul(mapTyped(which, [p, q], density).mul(sign)).to(q.dtype) : null],
      });
    },
    *samples(random): Iterable<[a: Tensor, x: Tensor]> {
      const above = (shape: readonly number[], high: number): Tensor => random(shape, { low: 0.1, high });
      yield [above([4], 3), above([4], 4)];
      yield [above([2, 1], 9), above([3], 20)];
      yield [tensor([0.5, 20, 50, 200, 1000]), tensor([0.01, 25, 45, 210, 1005])];
      yield [tensor([1, 2, 3]), tensor([0.5, 40, 2])];
    },
    *errors(random): Iterable<readonly [[a: Tensor, x: Tensor], string]> {
      yield [[random([2]), random([3])], 'do not broadcast'];
      yield [[random.integers([2], 1, 3), random([2])], 'must be of a floating type'];
    },
    // Steps of 1/8, for the suites move every argument and there is no gradient by a.
    prepare: (a: Tensor, x: Tensor) => [a.detach().mul(8).round().div(8), x] as [Tensor, Tensor],
    torch: { call: `torch.${which}((a[0].detach() * 8).round() / 8, a[1])` },
  });
}

/** The regularized lower incomplete gamma function P(a, x) = 1 / Γ(a) · ∫ from 0 to x of tᵃ⁻¹ e⁻ᵗ dt. The gradient is by x alone, as in PyTorch. */
export const igamma: Op<[a: Tensor, x: Tensor]> = incomplete('igamma');
/** The regularized upper incomplete gamma function Q(a, x) = 1 - P(a, x). The gradient is by x alone, as in PyTorch. */
export const igammac: Op<[a: Tensor, x: Tensor]> = incomplete('igammac');
