/** The rows that move, join, look up and multiply, and the layers' arithmetic: one part of the table. */
export * from './attention.js';
export * from './conv.js';
export * from './embedding.js';
export * from './indexing.js';
export * from './loss.js';
export * from './matmul.js';
export * from './multiHeadForward.js';
export * from './norm.js';
export * from './pad.js';
export * from './pool.js';
export * from './rearrange.js';
export * from './recurrent.js';
export * from './softmax.js';
export * from './split.js';
export * from './view.js';
