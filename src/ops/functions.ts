/** Everything of the table that the package exports from its root: PyTorch's torch.* and torch.nn.functional.* in camelCase. */

import type { Tensor } from '../tensor/tensor.js';

export * from './einsum.js';
export * from './join.js';
export * from './joinForms.js';
export * from './lossTasks.js';
export * from './numeric.js';
export { bernoulli, dropout, multinomial, normal, randintLike, randLike, randnLike } from './random.js';
export * from './structural.js';

/** PyTorch's order of arguments: the tensor comes last. */
export const polygamma = (n: number, x: Tensor): Tensor => x.polygamma(n);
