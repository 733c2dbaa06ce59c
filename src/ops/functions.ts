/** Everything of the table that the package exports from its root: PyTorch's torch.* and torch.nn.functional.* in camelCase. */
export * from './numeric.js';
export * from './view.js';
