import type { ComputeType } from '../core/dtype.js';
import type { Expr } from '../expr/expr.js';
import type { ProgramOperand, Step } from './program.js';

/**
 * The eleven kernel families: everything a backend must be able to run. Backends implement these, never ops. The fused families are
 * more: a row uses one where the backend `supports` it, and is composed of other rows elsewhere.
 * Shapes, strides and element types are not here but in the operands' specs; transposes and broadcasts are strides.
 */
export type Kernel =
  | MapKernel
  | ReduceKernel
  | GemmKernel
  | WindowKernel
  | GatherKernel
  | ScatterKernel
  | ScanKernel
  | SortKernel
  | RandomKernel
  | FactorKernel
  | CopyKernel
  | FusedKernel;

/** What a backend may have beyond the families. All but loops are float32 only, but for masks. */
export type FusedKernel = AttentionKernel | RecurrentKernel | LayerNormKernel | LoopKernel | ProductKernel;
const fused: readonly Kernel['family'][] = ['attention', 'recurrent', 'layerNorm', 'loop', 'product'];
export const isFused = (family: Kernel['family']): boolean => fused.includes(family);

/**
 * outputs[k][i] = exprs[k](inputs[..][i], scalars), inputs broadcast to the outputs' shape. Outputs may alias inputs exactly.
 * With `parts` the step does that for several sets of operands, one after another in its lists, in any order: the operands of a part
 * are dense and of one size, or single numbers, and part p reads its scalars from `parts[p]` on.
 */
export interface MapKernel {
  readonly family: 'map';
  readonly exprs: readonly Expr[];
  readonly compute: ComputeType;
  readonly parts?: readonly number[];
}

export type Reducer = 'sum' | 'prod' | 'max' | 'min' | 'argmax' | 'argmin';

/**
 * Folds `expr(inputs)` over `dims`, in float64 or pairwise so that the error grows with the logarithm of the count.
 * The output has each reduced dim as size 1 or left out. `argmax`/`argmin` give the row-major index among the reduced
 * elements (int32; the first of equals; NaN wins). max and min carry NaN. `finish` is applied to the folded value (its input 0).
 */
export interface ReduceKernel {
  readonly family: 'reduce';
  readonly by: Reducer;
  readonly dims: readonly number[];
  /** Over the inputs, which are broadcast to `shape`; usually input(0). */
  readonly expr: Expr;
  readonly finish?: Expr;
  /** The iteration shape: what the inputs are broadcast to. */
  readonly shape: readonly number[];
  readonly compute: ComputeType;
}

/** Sizes of a convolution in three spatial dims (a 1-D or 2-D one has leading dims of 1). */
export interface ConvGeometry {
  readonly batch: number;
  readonly inChannels: number;
  readonly outChannels: number;
  readonly groups: number;
  readonly input: readonly [number, number, number];
  readonly kernel: readonly [number, number, number];
  readonly output: readonly [number, number, number];
  readonly stride: readonly [number, number, number];
  readonly padding: readonly [number, number, number];
  readonly dilation: readonly [number, number, number];
}

/**
 * C(b, i, j) = Σ_k A(b, i, k) · B(b, k, j) [+ bias], where A and B are views that the packer reads.
 * `dense`: inputs a (…, m, k), b (…, k, n) with any strides, batch dims broadcast; bias, if given, is (n), dense.
 * `conv`: inputs x, w → y (batch, out, …); bias (out). `convInput`: inputs y-gradient, w → x-gradient.
 * `convWeight`: inputs y-gradient, x → w-gradient. Convolutions read dense tensors x (batch, in, …), w (out, in / groups, …).
 */
export interface GemmKernel {
  readonly family: 'gemm';
  readonly views: 'dense' | 'conv' | 'convInput' | 'convWeight';
  readonly geometry?: ConvGeometry;
  /** The last input is a bias. */
  readonly bias: boolean;
  /** A dense product of 16-bit numbers into float32, rounded to their type first. Only where there are fused kernels. */
  readonly rounded?: boolean;
}

/** Sizes of a pooling window in three spatial dims, over `planes` = batch · channels dense planes. */
export interface WindowGeometry {
  readonly planes: number;
  readonly input: readonly [number, number, number];
  readonly kernel: readonly [number, number, number];
  readonly output: readonly [number, number, number];
  readonly stride: readonly [number, number, number];
  readonly padding: readonly [number, number, number];
  readonly dilation: readonly [number, number, number];
  /** Windows start at floor(i·in/out) and end at ceil((i+1)·in/out); kernel, stride, padding and dilation are ignored. */
  readonly adaptive: boolean;
}

/**
 * Pooling. `max`: outputs values and, as int32, the flat index of each winner in its input plane (the first of equals; NaN wins;
 * padding never). `mean`: the mean of a window, divided by `divisor`: the window's size with padding (`padded`), the number of
 * real elements (`real`), or a given number. `meanAdjoint`: the transpose of `mean`, from output planes to input planes. `maxAdjoint`:
 * inputs a number for each window and the winners; each winner's element gets the sum of its windows' numbers, all others 0.
 * Operands are dense, or (batch, channels, …) tensors with dense planes side by side in each item.
 */
export interface WindowKernel {
  readonly family: 'window';
  readonly by: 'max' | 'mean' | 'meanAdjoint' | 'maxAdjoint';
  readonly geometry: WindowGeometry;
  readonly divisor: 'padded' | 'real' | number;
}

/**
 * out[i…] = x[i… with i[dim] replaced by index[i…]]: inputs x, index (int32), index broadcast (strides 0) to the output's shape.
 * Embedding lookup and indexSelect are gathers whose index has stride 0 everywhere but in `dim`. With `wrap`, negative
 * indices count from the end. An index outside is a KernelError of code 'index'.
 */
export interface GatherKernel {
  readonly family: 'gather';
  readonly dim: number;
  readonly wrap: boolean;
}

/**
 * out = self, then out[i… with i[dim] replaced by index[i…]] (by)= src[i…]: inputs self, index (int32), src. The index is
 * broadcast (strides 0) to src's shape. In order of src's elements, so results are the same for any number of threads.
 */
export interface ScatterKernel {
  readonly family: 'scatter';
  readonly dim: number;
  readonly by: 'set' | 'sum' | 'prod' | 'max' | 'min';
  readonly wrap: boolean;
}

/** Running folds along `dim`. `max` and `min` have a second output: the int32 index of the running winner (the last of equals). */
export interface ScanKernel {
  readonly family: 'scan';
  readonly dim: number;
  readonly by: 'sum' | 'prod' | 'max' | 'min' | 'logSumExp';
}

/** Stable sort along `dim`: outputs values and int32 indices. NaN counts as the largest. With `k`, only the first k are kept. */
export interface SortKernel {
  readonly family: 'sort';
  readonly dim: number;
  readonly descending: boolean;
  readonly k?: number;
}

/**
 * Factors of dense matrices (the last two dims; float32 or float64), one by one over the batch dims, which inputs broadcast to. Outputs
 * are dense. What is only read of an input follows LAPACK.
 *
 * `cholesky`: a → l, info. L Lᵀ from the lower triangle of a.
 * `lu`: a (m, n) → lu, pivots (min(m, n)), info. P L U: the factors in one matrix, row swaps counted from 1.
 * `qr`: a (m, n) → packed, tau (min(m, n)). R and the vectors of Householder's reflections below it.
 * `eigh`: a → w ascending, and with `vectors` v (columns), from the lower triangle of a.
 * `svd`: a (m, n) → s descending, or with `vectors` u (m, k), s (k), vh (k, n), k = min(m, n).
 * `triangularSolve`: a (n, n), b (n, k) → x with a x = b; reads the lower triangle, or the upper one, with ones for a diagonal if `unit`.
 * `permutation`: pivots (k) → the order of `rows` rows after those swaps, counted from 0.
 * `exp`: a → Σ aᵏ / k!.
 * `eig`: a → w (n, 2), pairs for complex numbers, ascending by real, then imaginary parts; with `vectors` also v (n, n, 2), columns of
 * length 1, and lead (n), int32: in each column the first entry that has at least 0.999 of the largest size, which is real and positive.
 *
 * Eigenvectors and pairs of singular vectors have a sign of their own choice: the first entry (of u) that has at least half the
 * largest magnitude is positive. `info` (int32) is 0, or the order of the first minor that is not positive definite (cholesky) or of
 * the first pivot that is 0 (lu). With `strict` a failure is a KernelError of code 'value'; factors of failures are undefined.
 */
export interface FactorKernel {
  readonly family: 'factor';
  readonly by: 'cholesky' | 'lu' | 'qr' | 'eigh' | 'svd' | 'triangularSolve' | 'permutation' | 'exp' | 'eig';
  readonly strict?: boolean;
  readonly vectors?: boolean;
  readonly upper?: boolean;
  readonly unit?: boolean;
  readonly rows?: number;
}

/**
 * Fills a dense output from the counter-based stream (core/philox.ts). Scalars: keyLow, keyHigh, offset and, for `integers`, low, high.
 * Uniform in [0, 1); normal with mean 0 and deviation 1; integers in [low, high).
 */
export interface RandomKernel {
  readonly family: 'random';
  readonly by: 'uniform' | 'normal' | 'integers';
}

/**
 * The output is filled with `fill` (if given), then input i is written, cast to the output's type, at places[i]: an element offset and
 * strides into the dense output, one stride per dim of the input. Covers cast, contiguous, cat, stack, pad and the adjoints of views;
 * `accumulate` adds instead of setting (overlapping views), in order. No inputs: a plain fill. Without places, inputs[0] fills the output.
 */
export interface CopyKernel {
  readonly family: 'copy';
  readonly fill?: number;
  readonly accumulate?: boolean;
  readonly places?: readonly Place[];
}
export interface Place {
  readonly offset: number;
  readonly strides: readonly number[];
}

/**
 * softmax(q kᵀ · scale + mask) v without the matrix of weights in memory, for q (…, n, d), k (…, m, d), v (…, m, e) of any strides and
 * equal batch dims. `causal`: query i sees keys up to i. The mask (…, n, m) is bool (true: may look) or is added to the scores.
 * Scalar: scale. A query that sees nothing gives zeros.
 * `forward`: q, k, v [, mask] → y and the log of each query's Σ e^score (…, n). `backward`: q, k, v, y, that [, mask], gradient of y →
 * gradients of q, k, v. With two batch dims or more, y and all gradients are (…, n, heads, width): the last batch dim goes inside.
 */
export interface AttentionKernel {
  readonly family: 'attention';
  readonly by: 'forward' | 'backward';
  readonly causal: boolean;
  readonly mask: 'none' | 'bool' | 'float';
}

/**
 * A recurrent layer's walk over its steps. Gates of a step: x (time, batch, gates · hidden), the input's part with all biases that can be
 * added there, plus the state (batch, hidden) times the transposed weight (gates · hidden, hidden), which has any strides. The rest is
 * dense. `lstm`: i, f, g, o; c' = σ(f) c + σ(i) tanh(g), h' = σ(o) tanh(c'). `gru`: r, z, n; n = tanh(xₙ + r (hWₙ + bₙ)), h' = (1 - z) n + z h.
 * `forward`: x, h, [c], weight, [bₙ if `extra`] → states (time + 1, batch, hidden), the first one first (last, if `reverse`), [gates as
 * backward wants them, LSTM and GRU], [cells like the states]. `backward`: weight, these, gradient of the states, [of the last cells if
 * `extra`] → gradients of x, h, [c], [of the state's part of the gates: GRU].
 */
export interface RecurrentKernel {
  readonly family: 'recurrent';
  readonly by: 'forward' | 'backward';
  readonly cell: 'lstm' | 'gru' | 'tanh' | 'relu';
  readonly reverse: boolean;
  readonly extra: boolean;
}

/**
 * Runs `steps` for turns i = 0 … count - 1, which do not see each other's results: tasks of the backend's threads. Buffers of the steps
 * are numbers of views: at turn i a view begins `stride` · i elements into an operand of this step (inputs first, then outputs), or
 * `offset` bytes into `scratch` bytes of memory that lasts for a turn. Scalars are counted from the program's first.
 */
export interface LoopKernel {
  readonly family: 'loop';
  readonly count: number;
  readonly steps: readonly Step[];
  readonly views: readonly LoopView[];
  readonly scratch: number;
}
export interface LoopView {
  /** -1: in scratch memory. */
  readonly operand: number;
  readonly offset: number;
  readonly stride: number;
  /** What the scratch memory stands for: where turn 0 would have these elements in a buffer of the program. */
  readonly home?: ViewHome;
}
export interface ViewHome extends ProgramOperand {
  /** Elements from turn to turn. */
  readonly stride: number;
}

/**
 * Layer norm (`centered`) and RMS norm over the last `dims` dims of dense tensors: y = (x - mean) · r · weight + bias, r = 1/√(variance + eps),
 * or x · r · weight with r = 1/√(mean(x²) + eps). Scalar: eps. `forward`: x, [weight], [bias] → y, [mean], r, [variance]. `backward`:
 * gradient of y, x, [mean], r, [weight] → gradients of x, [weight], [bias].
 */
export interface LayerNormKernel {
  readonly family: 'layerNorm';
  readonly by: 'forward' | 'backward';
  readonly dims: number;
  readonly centered: boolean;
  readonly weighted: boolean;
  readonly biased: boolean;
}

/**
 * A product and, on each block of it that is done, a pointwise kernel over the same elements, row by row. Inputs: the product's, then the
 * pointwise kernel's but for number `input`, which is the product. Outputs: the product, if `kept`, then the pointwise kernel's, dense.
 */
export interface ProductKernel {
  readonly family: 'product';
  /** Dense, a convolution or its input gradient where the stride is 1; float32. */
  readonly product: GemmKernel;
  /** Of the product; the pointwise kernel's may differ in the leading dims. */
  readonly shape: readonly number[];
  readonly epilogue: MapKernel;
  readonly input: number;
  readonly kept: boolean;
}
