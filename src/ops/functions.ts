/** Everything of the table that the package exports from its root: PyTorch's torch.* and torch.nn.functional.* in camelCase. */

import type { Tensor } from '../tensor/tensor.js';

/** As functions, fold and unfold are torch.nn.functional's; the method x.unfold(dim, size, step) is Tensor's. */
export { im2col as unfold } from './columns.js';
export * from './countDraws.js';
export * from './einsum.js';
export * from './join.js';
export * from './joinForms.js';
export * from './linalgLobpcg.js';
export { chainMatmul, type VanderOptions, vandermonde as vander } from './linalgProducts.js';
export * from './lossTasks.js';
export * from './maskedIndex.js';
export * from './numeric.js';
export { bernoulli, dropout, multinomial, normal, randintLike, randLike, randnLike } from './random.js';
export * from './safeSoftmax.js';
export * from './segments.js';
export * from './structural.js';
export * from './torchInternals.js';
export * from './typeFacts.js';
export * from './windowForms.js';
/** PyTorch's order of arguments: the tensor comes last. */
export const polygamma = (n: number, x: Tensor): Tensor => x.polygamma(n);
/** The same bytes outside the graph (torch.detach). */
export const detach = (x: Tensor): Tensor => x.detach();
