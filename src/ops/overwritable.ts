/** Rows whose results can be copied over their first argument: `x.cumsum_(0)`. Pointwise rows write theirs directly (pointwiseRows.ts). */
export { igamma, igammac } from './gamma.js';
export { indexAdd, indexCopy, indexFill, indexPut, scatter, scatterAdd, scatterReduce } from './indexing.js';
export { addbmm, addmm, addmv, baddbmm } from './matmul.js';
export { indexReduce, maskedScatter, put } from './places.js';
export { floatPower, mvlgamma, nextafter, polygamma } from './pointwiseNumbers.js';
export { addr, renorm } from './products.js';
export { tril, triu } from './rearrange.js';
export { cumprod, cumsum } from './scan.js';
