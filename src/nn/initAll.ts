/** Everything of `init`: PyTorch's functions and those for whole models. */
export * from './init.js';
export * from './initAudit.js';
export * from './initModel.js';
