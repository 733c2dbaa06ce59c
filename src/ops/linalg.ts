/** The package's `linalg`: PyTorch's torch.linalg for real tensors, in camelCase. */

export { det, slogdet } from './linalgDet.js';
export { type Eig, eig, eigvals } from './linalgEig.js';
export { cholesky, choleskyEx, householderProduct, lu, luFactor, luFactorEx, qr } from './linalgFactors.js';
export { ldlFactor, ldlFactorEx, ldlSolve } from './linalgLdl.js';
export { lstsq } from './linalgLeast.js';
export { cond, matrixNorm, norm, vectorNorm } from './linalgNorms.js';
export { cross, matrixExp, matrixPower, matrixSqrth, multiDot, vander, vecdot } from './linalgProducts.js';
export { inv, invEx, luSolve, solve, solveEx, solveTriangular, tensorinv, tensorsolve } from './linalgSolve.js';
export { eigh, eigvalsh, matrixRank, pinv, polar, svd, svdvals } from './linalgSpectral.js';
export { matmul } from './matmul.js';

import type { Tensor } from '../tensor/tensor.js';
import { type DiagonalDims, diagonal as diagonalOf } from './view.js';

/** The diagonals of matrices (dims -2 and -1 unless said), as views. */
export const diagonal = (a: Tensor, options: DiagonalDims = {}): Tensor => diagonalOf(a, { dim1: -2, dim2: -1, ...options });
