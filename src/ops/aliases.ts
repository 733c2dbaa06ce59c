/** Second names that PyTorch has for the same functions. */
export {
  abs as absolute,
  acos as arccos,
  acosh as arccosh,
  asin as arcsin,
  asinh as arcsinh,
  atan as arctan,
  atan2 as arctan2,
  atanh as arctanh,
  digamma as psi,
  div as divide,
  div as trueDivide,
  mul as multiply,
  neg as negative,
  sub as subtract,
  trunc as fix,
} from './pointwise.js';
export { ge as greaterEqual, gt as greater, le as lessEqual, lt as less, ne as notEqual } from './pointwiseCompare.js';
export { clamp as clip } from './pointwiseTernary.js';
