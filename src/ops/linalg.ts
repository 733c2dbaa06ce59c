/** The package's `linalg`: PyTorch's torch.linalg for real tensors, in camelCase. */

export { det, slogdet } from './linalgDet.js';
export { cholesky, choleskyEx, householderProduct, lu, luFactor, luFactorEx, qr } from './linalgFactors.js';
export { lstsq } from './linalgLeast.js';
export { cond, matrixNorm, norm, vectorNorm } from './linalgNorms.js';
export { cross, matrixExp, matrixPower, matrixSqrth, multiDot, vander, vecdot } from './linalgProducts.js';
export { inv, invEx, luSolve, solve, solveEx, solveTriangular, tensorinv, tensorsolve } from './linalgSolve.js';
export { eigh, eigvalsh, matrixRank, pinv, polar, svd, svdvals } from './linalgSpectral.js';
export { matmul } from './matmul.js';
