// The entry `chainrule/func`: functions of functions. Whichever entry a program imports first, the engine is chosen before its code runs.
import '../index.js';

export { functionalCall } from '../nn/functionalCall.js';
export { jvp, vjp } from '../tensor/forward.js';
export { type ArgnumOptions, grad, hessian, hvp, jacfwd, jacobian, jacrev, type TensorFunction, valueAndGrad } from '../tensor/func.js';
export { type Randomness, type VmapOptions, vmap } from '../tensor/vmap.js';
