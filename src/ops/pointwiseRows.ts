/** The rows that can also write their result over their first argument: `x.add_(y)`. */
export * from './aliases.js';
export * from './pointwise.js';
export * from './pointwiseActivations.js';
export * from './pointwiseBessel.js';
export * from './pointwiseCompare.js';
export * from './pointwiseTernary.js';
