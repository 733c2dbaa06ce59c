/** torch.special: special functions by their names there. The package exports them as `special`; those of torch itself are at its root too. */

export { igamma as gammainc, igammac as gammaincc } from './gamma.js';
export {
  chebyshevPolynomialT,
  chebyshevPolynomialU,
  chebyshevPolynomialV,
  chebyshevPolynomialW,
  hermitePolynomialH,
  hermitePolynomialHe,
  laguerrePolynomialL,
  legendrePolynomialP,
  shiftedChebyshevPolynomialT,
  shiftedChebyshevPolynomialU,
  shiftedChebyshevPolynomialV,
  shiftedChebyshevPolynomialW,
} from './orthogonal.js';
export {
  digamma,
  digamma as psi,
  erf,
  erfc,
  erfinv,
  exp2,
  expm1,
  lgamma as gammaln,
  log1p,
  logit,
  round,
  sigmoid as expit,
  sinc,
  xlogy,
} from './pointwise.js';
export { i0 } from './pointwiseBessel.js';
export { mvlgamma as multigammaln } from './pointwiseNumbers.js';
export {
  airyAi,
  besselJ0,
  besselJ1,
  besselY0,
  besselY1,
  entr,
  erfcx,
  i0e,
  i1,
  i1e,
  logNdtr,
  modifiedBesselI0,
  modifiedBesselI1,
  modifiedBesselK0,
  modifiedBesselK1,
  ndtr,
  ndtri,
  scaledModifiedBesselK0,
  scaledModifiedBesselK1,
  sphericalBesselJ0,
  xlog1py,
  zeta,
} from './pointwiseSpecial.js';
export { logsumexp } from './reduceStats.js';
export { logSoftmax, softmax } from './softmax.js';

import type { Tensor } from '../tensor/tensor.js';

/** PyTorch's order of arguments: the tensor comes last. */
export const polygamma = (n: number, x: Tensor): Tensor => x.polygamma(n);
