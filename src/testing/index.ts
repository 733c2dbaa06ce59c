export { agreesWithReference, gradientsAgreeWithReference } from './againstReference.js';
export * from './compare.js';
export * from './fixtures.js';
export * from './properties.js';
export { formatMlpTrace, type Matrix, type MlpLayer, type MlpTrace, mlpStep, mlpTrace } from './referenceMlp.js';
export * from './samples.js';
export * from './table.js';
