/** Everything of the table that the package exports from its root: PyTorch's torch.* and torch.nn.functional.* in camelCase. */

export * from './einsum.js';
export * from './join.js';
export * from './joinForms.js';
export * from './lossTasks.js';
export * from './numeric.js';
export { bernoulli, dropout, multinomial, randLike, randnLike } from './random.js';
export * from './structural.js';
