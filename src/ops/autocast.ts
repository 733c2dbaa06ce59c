import type { DType } from '../core/dtype.js';
import { LibError } from '../core/errors.js';
import { isTensor } from '../tensor/tensor.js';

/** The types that autocast computes products in. */
export type AutocastDType = 'bfloat16' | 'float16';

/** `low`: products, in the reduced type. `full`: what loses digits there, in float32. Anything else takes its inputs as they come. */
export type AutocastPolicy = 'low' | 'full';

const low =
  'matmul mm bmm mv addmm addmv addbmm baddbmm addr linear bilinear tensordot conv1d conv2d conv3d ' +
  'convTranspose1d convTranspose2d convTranspose3d rnnCell lstmCell gruCell';
const full =
  'softmax logSoftmax softmin scaledDotProductAttention sum mean prod cumsum cumprod logcumsumexp logsumexp norm var std varMean stdMean ' +
  'nansum nanmean exp expm1 log log2 log10 log1p pow rsqrt reciprocal sinh cosh tan acos asin erfinv softplus layerNorm rmsNorm batchNorm ' +
  'groupNorm instanceNorm normalize localResponseNorm cosineSimilarity renorm dist cdist pdist';
const policies: ReadonlyMap<string, AutocastPolicy> = new Map([
  ...low.split(' ').map((name) => [name, 'low'] as const),
  ...full.split(' ').map((name) => [name, 'full'] as const),
]);

/** What autocast does to the inputs of a row of this name. Losses compute in float32. */
export const policyOf = (name: string): AutocastPolicy | null =>
  policies.get(name) ?? (/(Loss|Entropy|EntropyWithLogits|klDiv)$/.test(name) ? 'full' : null);

let current: AutocastDType | null = null;
/** The type that products run in now, or null. */
export const autocastDtype = (): AutocastDType | null => current;
/** @internal Sets it and returns the previous one. */
export function setAutocast(dtype: AutocastDType | null): AutocastDType | null {
  const before = current;
  current = dtype;
  return before;
}

export interface AutocastOptions {
  /** What products run in. Default bfloat16. */
  readonly dtype?: AutocastDType;
  /** Default true; false turns autocast off inside. */
  readonly enabled?: boolean;
}

/**
 * Runs `body` with matrix products and convolutions in a reduced type, and softmax, norms, losses and sums in float32; weights and
 * other inputs are cast as they are used, so they stay float32 (PyTorch: torch.autocast). Keep backward and the optimizer outside:
 * gradients come back in the types of the forward pass, those of weights in float32.
 * @example
 * const loss = autocast(() => crossEntropy(linear(randn([4, 8]), randn([3, 8])), tensor(Int32Array.of(0, 1, 2, 0))));
 */
export function autocast<T>(body: () => T, { dtype = 'bfloat16', enabled = true }: AutocastOptions = {}): T {
  if (dtype !== 'bfloat16' && dtype !== 'float16') {
    throw new LibError('dtype', `autocast: dtype must be bfloat16 or float16, got ${String(dtype)}.`);
  }
  const before = setAutocast(enabled ? dtype : null);
  try {
    const result = body();
    if (!(result instanceof Promise)) return result;
    result.catch(() => undefined);
    throw new LibError('option', 'autocast: the body must be synchronous, got a promise.', 'await first, then call autocast(() => …).');
  } finally {
    current = before;
  }
}

/** @internal Arguments as a row with this policy takes them: tensors in them, in lists and in options, cast where the policy says so. */
export function castArguments<Args extends readonly unknown[]>(args: Args, policy: AutocastPolicy): Args {
  const target = policy === 'low' ? (current as DType) : 'float32';
  return args.map((arg) => cast(arg, policy, target)) as unknown as Args;
}

function cast(value: unknown, policy: AutocastPolicy, target: DType): unknown {
  if (isTensor(value)) {
    const { dtype } = value;
    const isChanged = policy === 'low' ? dtype === 'float32' || isLow(dtype) : isLow(dtype);
    return isChanged && dtype !== target ? value.to(target) : value;
  }
  if (Array.isArray(value)) return value.some(isTensor) ? value.map((v) => cast(v, policy, target)) : value;
  if (typeof value !== 'object' || value === null || Object.getPrototypeOf(value) !== Object.prototype) return value;
  return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, cast(v, policy, target)]));
}

const isLow = (dtype: DType): boolean => dtype === 'bfloat16' || dtype === 'float16';
