/** The rows that compute: pointwise maths, reductions, scans and sorting. */
export * from './calculus.js';
export * from './compare.js';
export * from './gamma.js';
export * from './histogram.js';
export * from './norms.js';
export * from './pointwiseNumbers.js';
export * from './pointwiseRows.js';
export * from './reduce.js';
export * from './reduceExtrema.js';
export * from './reduceStats.js';
export * from './scan.js';
export * from './sort.js';
export * from './statistics.js';
export * from './unique.js';
