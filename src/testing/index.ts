export * from './compare.js';
export * from './fixtures.js';
export * from './properties.js';
export * from './samples.js';
export * from './table.js';
