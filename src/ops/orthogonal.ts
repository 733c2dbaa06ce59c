import { isFloat } from '../core/dtype.js';
import { snakeCase } from '../core/names.js';
import { constant, type Expr, input } from '../expr/expr.js';
import { valuesOf } from '../tensor/capturing.js';
import { tensor } from '../tensor/creation.js';
import { isTensor, type Tensor } from '../tensor/tensor.js';
import { defineComposite, type Op } from './define.js';
import { noTensor, type TensorOrNumber } from './elementwise.js';
import { mapTyped } from './mapTyped.js';

/** Orthogonal polynomials by their recurrences. The degree is a number, or a tensor (then the largest one is read now). */

interface Family {
  /** The polynomial of degree 1. */
  first(x: Expr): Expr;
  /** Degree k + 1 from degrees k and k - 1. */
  next(k: number, x: Expr, p: Expr, before: Expr): Expr;
}
type Polynomial = Op<[x: Tensor, n: TensorOrNumber]>;

const degrees = (family: Family, x: Expr, most: number): Expr[] => {
  const list = [constant(1), family.first(x)];
  for (let k = 1; k < most; k++) list.push(family.next(k, x, list[k] as Expr, list[k - 1] as Expr));
  return list;
};

/** One expression for each degree, and one for each largest degree of a tensor. */
function formsOf(family: Family): { fixed(n: number): Expr; varied(most: number): Expr } {
  const known = new Map<string, Expr>();
  const cached = (key: string, make: () => Expr): Expr => {
    const found = known.get(key) ?? make();
    known.set(key, found);
    return found;
  };
  return {
    fixed: (n) => cached(`${n}`, () => (n < 0 ? constant(0) : (degrees(family, input(0), n)[n] as Expr))),
    varied: (most) =>
      cached(`up to ${most}`, () => {
        const degree = input(1).trunc();
        return degrees(family, input(0), most).reduce<Expr>((y, p, k) => degree.equal(k).select(p, y), constant(0));
      }),
  };
}

function polynomial(name: string, family: Family): Polynomial {
  const { fixed, varied } = formsOf(family);
  return defineComposite({
    name,
    compose(x: Tensor, n: TensorOrNumber) {
      if (!isTensor(x)) throw noTensor(name, x);
      const wide = isFloat(x.dtype) ? x : x.float();
      if (!isTensor(n)) return mapTyped(name, [wide], fixed(Math.trunc(n)).add(input(0).mul(0)), { dtype: wide.dtype });
      const order = n.detach();
      const most = order.size === 0 ? 0 : Math.trunc(valuesOf(name, order.amax())[0] as number);
      return mapTyped(name, [wide, order], varied(Math.max(0, most)));
    },
    *samples(random): Iterable<[x: Tensor, n: TensorOrNumber]> {
      for (const n of [0, 1, 2, 5]) yield [random([4]), n];
      yield [random([2, 4]), tensor([0, 3, 1, 6], { dtype: 'int32' })];
      yield [random([3]), -1];
    },
    *errors(random): Iterable<readonly [[x: Tensor, n: TensorOrNumber], string]> {
      yield [[2 as unknown as Tensor, random([3])], 'must be a tensor, got 2'];
    },
    // PyTorch has no gradients of these.
    torch: {
      call: `torch.special.${snakeCase(name)}(a[0].detach(), a[1].detach() if torch.is_tensor(a[1]) else a[1])`,
    },
  });
}

const chebyshev: Family['next'] = (_, x, p, before) => x.mul(2).mul(p).sub(before);
const shifted = (first: Family['first']): Family => ({
  first: (x) => first(x.mul(2).sub(1)),
  next: (k, x, p, before) => chebyshev(k, x.mul(2).sub(1), p, before),
});
const firsts = { t: (x: Expr) => x, u: (x: Expr) => x.mul(2), v: (x: Expr) => x.mul(2).sub(1), w: (x: Expr) => x.mul(2).add(1) };

/** Chebyshev's polynomial of the first kind: cos nθ at x = cos θ. */
export const chebyshevPolynomialT: Polynomial = polynomial('chebyshevPolynomialT', {
  first: firsts.t,
  next: chebyshev,
});
/** Chebyshev's polynomial of the second kind. */
export const chebyshevPolynomialU: Polynomial = polynomial('chebyshevPolynomialU', {
  first: firsts.u,
  next: chebyshev,
});
/** Chebyshev's polynomial of the third kind. */
export const chebyshevPolynomialV: Polynomial = polynomial('chebyshevPolynomialV', {
  first: firsts.v,
  next: chebyshev,
});
/** Chebyshev's polynomial of the fourth kind. */
export const chebyshevPolynomialW: Polynomial = polynomial('chebyshevPolynomialW', {
  first: firsts.w,
  next: chebyshev,
});
/** {@link chebyshevPolynomialT} of 2x - 1. */
export const shiftedChebyshevPolynomialT: Polynomial = polynomial('shiftedChebyshevPolynomialT', shifted(firsts.t));
/** {@link chebyshevPolynomialU} of 2x - 1. */
export const shiftedChebyshevPolynomialU: Polynomial = polynomial('shiftedChebyshevPolynomialU', shifted(firsts.u));
/** {@link chebyshevPolynomialV} of 2x - 1. */
export const shiftedChebyshevPolynomialV: Polynomial = polynomial('shiftedChebyshevPolynomialV', shifted(firsts.v));
/** {@link chebyshevPolynomialW} of 2x - 1. */
export const shiftedChebyshevPolynomialW: Polynomial = polynomial('shiftedChebyshevPolynomialW', shifted(firsts.w));
/** The physicists' Hermite polynomial. */
export const hermitePolynomialH: Polynomial = polynomial('hermitePolynomialH', {
  first: (x) => x.mul(2),
  next: (k, x, p, before) =>
    x
      .mul(2)
      .mul(p)
      .sub(before.mul(2 * k)),
});
/** The probabilists' Hermite polynomial. */
export const hermitePolynomialHe: Polynomial = polynomial('hermitePolynomialHe', {
  first: (x) => x,
  next: (k, x, p, before) => x.mul(p).sub(before.mul(k)),
});
/** The Laguerre polynomial. */
export const laguerrePolynomialL: Polynomial = polynomial('laguerrePolynomialL', {
  first: (x) => constant(1).sub(x),
  next: (k, x, p, before) =>
    constant(2 * k + 1)
      .sub(x)
      .mul(p)
      .sub(before.mul(k))
      .div(k + 1),
});
/** The Legendre polynomial. */
export const legendrePolynomialP: Polynomial = polynomial('legendrePolynomialP', {
  first: (x) => x,
  next: (k, x, p, before) =>
    x
      .mul(2 * k + 1)
      .mul(p)
      .sub(before.mul(k))
      .div(k + 1),
});
