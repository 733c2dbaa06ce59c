import { computeType, isFloat } from '../core/dtype.js';
import { input } from '../expr/expr.js';
import { tensor } from '../tensor/creation.js';
import type { Tensor } from '../tensor/tensor.js';
import { customGrad } from './customGrad.js';
import { defineComposite, type Op, type Random } from './define.js';
import { countOf, type DimOptions, type FoldParams, foldParams, spread } from './foldRows.js';
import { needFloat } from './fused.js';
import { reduceMap } from './map.js';
import { mapTyped } from './mapTyped.js';
import { mean, sum } from './reduce.js';
import { amax } from './reduceExtrema.js';

export interface VarOptions extends DimOptions {
  /** What the count is lessened by: 1 for the unbiased estimate, 0 for the mean squared deviation. Default 1. */
  readonly correction?: number;
}
type Spreading = Op<[x: Tensor, options?: VarOptions]>;

const squaredDistance = input(0)
  .sub(input(1))
  .mul(input(0).sub(input(1)));

/** Two passes, mean and squared distances from it: the difference of mean square and squared mean would cancel. */
function variance(name: string, x: Tensor, { dims, keepdim, out }: FoldParams, divisor: number): Tensor {
  const center = mean(x, { dim: dims, keepdim: true });
  const { shape, dtype } = x;
  const params = {
    name,
    by: 'sum',
    expr: squaredDistance,
    dims,
    keepdim,
    shape,
    out,
    divisor,
    dtype,
    compute: computeType(dtype),
  } as const;
  return reduceMap([x, center], params);
}

/** x minus its mean over dims: what the gradients of var and std are made of. */
const centered = (x: Tensor, dims: readonly number[]): Tensor => x.sub(mean(x, { dim: dims, keepdim: true }));

function spreadingRow(
  name: 'var' | 'std',
  grad: (g: Tensor, x: Tensor, y: Tensor, dims: readonly number[], divisor: number) => Tensor,
): Spreading {
  return defineComposite({
    name,
    compose(x: Tensor, { correction = 1, ...options }: VarOptions = {}) {
      needFloat(name, x);
      const params = foldParams(name, x, options);
      const { dims } = params;
      const divisor = Math.max(0, countOf(x.shape, dims) - correction);
      return customGrad({
        name,
        inputs: [x],
        params: null,
        saves: name === 'std' ? [0, 'output'] : [0],
        compute: () => (name === 'std' ? variance(name, x, params, divisor).sqrt() : variance(name, x, params, divisor)),
        grad: (g, { inputs: [of], output }) => [of ? grad(g, of, output, dims, divisor) : null],
      });
    },
    *samples(random): Iterable<[x: Tensor, options?: VarOptions]> {
      yield [random([7])];
      yield [random([2, 3, 4]), { dim: 1 }];
      yield [random([2, 3, 4]), { dim: [0, 2], keepdim: true, correction: 0 }];
      yield [random([4, 5], { low: 30, high: 31 }), { dim: 1 }];
    },
    *errors(random): Iterable<readonly [[x: Tensor, options?: VarOptions], string]> {
      yield [[random([2, 3]), { dim: 5 }], 'dim 5 is out of range'];
      yield [[random.integers([3], 0, 5)], 'must be of a floating type'];
    },
    torch: { call: varCall(`torch.${name}`) },
  });
}
/** PyTorch wants a dim (None: all) beside `correction`. */
const varCall = (name: string): string => `${name}(a[0], **{"dim": None, "correction": 1, **o})`;

const variances: Spreading = spreadingRow('var', (g, x, _, dims, divisor) => {
  return mapTyped(
    'varBackward',
    [spread(g, x, dims), centered(x, dims)],
    input(0)
      .mul(input(1))
      .mul(2 / divisor),
  );
});

/** The variance over `dim`, exact for large means. */
export { variances as var };

/** The standard deviation over `dim`. Where it is 0, so is the gradient. */
export const std: Spreading = spreadingRow('std', (g, x, y, dims, divisor) => {
  const [up, y0, off] = [spread(g, x, dims), spread(y, x, dims), centered(x, dims)];
  const expr = input(1)
    .equal(0)
    .select(0, input(0).mul(input(2)).div(input(1)).div(divisor));
  return mapTyped('stdBackward', [up, y0, off], expr);
});

function* momentSamples(random: Random): Iterable<[x: Tensor, options?: VarOptions]> {
  yield [random([7])];
  yield [random([2, 3, 4]), { dim: [0, 2], keepdim: true, correction: 0 }];
}
/** Variance and mean over `dim`. */
export const varMean: Op<[x: Tensor, options?: VarOptions], { readonly var: Tensor; readonly mean: Tensor }> = defineComposite({
  name: 'varMean',
  compose: (x: Tensor, options: VarOptions = {}) => ({ var: variances(x, options), mean: mean(x, dimsOnly(options)) }),
  samples: momentSamples,
  torch: { call: varCall('torch.var_mean') },
});
/** Standard deviation and mean over `dim`. */
export const stdMean: Op<[x: Tensor, options?: VarOptions], { readonly std: Tensor; readonly mean: Tensor }> = defineComposite({
  name: 'stdMean',
  compose: (x: Tensor, options: VarOptions = {}) => ({ std: std(x, options), mean: mean(x, dimsOnly(options)) }),
  samples: momentSamples,
  torch: { call: varCall('torch.std_mean') },
});
const dimsOnly = ({ dim, keepdim }: VarOptions): DimOptions => ({
  ...(dim !== undefined && { dim }),
  ...(keepdim !== undefined && { keepdim }),
});

const shifted = input(0).sub(input(1)).exp();
const shifting = input(0).abs().less(Number.POSITIVE_INFINITY).select(input(0), 0);
const softness = input(1)
  .equal(Number.NEGATIVE_INFINITY)
  .select(0, input(0).mul(input(1).sub(input(2)).exp()));
/** log Σ exp over `dim`, without overflow. The gradient is the softmax. */
export const logsumexp: Op<[x: Tensor, options?: DimOptions]> = defineComposite({
  name: 'logsumexp',
  compose(given: Tensor, options: DimOptions = {}) {
    const x = isFloat(given.dtype) ? given : given.float();
    const { dims, out } = foldParams('logsumexp', x, options);
    const { shape, dtype } = x;
    return customGrad({
      name: 'logsumexp',
      inputs: [x],
      params: null,
      saves: [0, 'output'],
      compute() {
        // An infinite maximum cannot be subtracted; without it, the sum is 0 or infinite, as it should be.
        const over = { dim: dims, keepdim: true };
        const top = mapTyped('logsumexp', [x.size > 0 ? amax(x, over) : sum(x, over)], shifting);
        const params = {
          name: 'logsumexp',
          by: 'sum',
          expr: shifted,
          dims,
          keepdim: false,
          shape,
          out,
          dtype,
          compute: computeType(dtype),
        } as const;
        return mapTyped('logsumexp', [reduceMap([x, top], params), top.reshape(out)], input(0).log().add(input(1)));
      },
      grad: (g, { inputs: [of], output }) => [
        of ? mapTyped('logsumexpBackward', [spread(g, of, dims), of, spread(output, of, dims)], softness) : null,
      ],
    });
  },
  torch: { call: 'torch.logsumexp(a[0], **{"dim": tuple(range(a[0].ndim)), **o})' },
  *samples(random): Iterable<[x: Tensor, options?: DimOptions]> {
    yield [random([7])];
    yield [random([2, 3, 4]), { dim: 1 }];
    yield [random([2, 3, 4]), { dim: [0, 2], keepdim: true }];
    yield [
      tensor([
        [100, -100, 99],
        [-200, -300, -200],
      ]),
      { dim: 1 },
    ];
    yield [random.integers([2, 3], 0, 4), { dim: 1 }];
    yield [random([2, 0]), { dim: 1 }];
  },
  *errors(random): Iterable<readonly [[x: Tensor, options?: DimOptions], string]> {
    yield [[random([2, 3]), { dim: 5 }], 'dim 5 is out of range'];
  },
});
