// The entry `chainrule/func`: functions of functions. Whichever entry a program imports first, the engine is chosen before its code runs.
import '../index.js';

export { functionalCall, replaceAllBatchNormModules_, stackModuleState } from '../nn/functionalCall.js';
export { customGradient } from '../tensor/customGradient.js';
export { jvp, vjp } from '../tensor/forward.js';
export {
  type ArgnumOptions,
  type Argnums,
  type AuxOptions,
  type GradientOf,
  grad,
  gradAndValue,
  hessian,
  hvp,
  type InPlaces,
  type JacobianOf,
  jacfwd,
  jacobian,
  jacrev,
  linearize,
  type OfArguments,
  type TensorFunction,
  valueAndGrad,
  vhp,
} from '../tensor/func.js';
export { type Randomness, type VmapOptions, vmap } from '../tensor/vmap.js';
