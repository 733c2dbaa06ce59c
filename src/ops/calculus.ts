import { isFloat } from '../core/dtype.js';
import { LibError } from '../core/errors.js';
import { formatShape, resolveDim, resolveDims } from '../core/shape.js';
import { input, scalar } from '../expr/expr.js';
import { isTensor, type Tensor } from '../tensor/tensor.js';
import { defineComposite, type Op } from './define.js';
import { fuse, fuseSum } from './fused.js';
import { cat } from './join.js';
import { withAt } from './layout.js';

/** Integrals and derivatives of sampled functions. */

export interface TrapezoidOptions {
  /** Where the samples lie: one place for each along `dim`, or a tensor that broadcasts. Default: `dx` apart. */
  readonly x?: Tensor;
  /** Distance of the samples. Default 1. */
  readonly dx?: number;
  /** Default -1. */
  readonly dim?: number;
}
type Trapezoid = Op<[y: Tensor, options?: TrapezoidOptions]>;

interface Steps {
  readonly at: number;
  /** Left ends, right ends, and widths if they are not all equal. */
  readonly parts: readonly Tensor[];
  readonly dx: number;
}

const asFloat = (x: Tensor): Tensor => (isFloat(x.dtype) ? x : x.float());

function stepsOf(op: string, samples: Tensor, { x: at0, dx = 1, dim = -1 }: TrapezoidOptions): Steps {
  const [y, x] = [asFloat(samples), at0 && asFloat(at0)];
  const at = resolveDim(op, dim, y.ndim);
  const count = Math.max(0, y.sizeAt(at) - 1);
  const ends = (from: number): Tensor => y.narrow(at, Math.min(from, y.sizeAt(at) - count), count);
  if (x === undefined) return { at, parts: [ends(0), ends(1)], dx };
  if (x.ndim === 1 && x.size !== y.sizeAt(at)) {
    throw new LibError(
      'shape',
      `${op}: there must be one x for each sample, got ${x.size} for shape ${formatShape(y.shape)} along dim ${dim}.`,
    );
  }
  const places =
    x.ndim === 1
      ? x.reshape(
          withAt(
            y.shape.map(() => 1),
            at,
            x.size,
          ),
        )
      : x;
  return { at, parts: [ends(0), ends(1), places.diff({ dim: at - y.ndim })], dx };
}

const [sum, half] = [input(0).add(input(1)), scalar(0)];
const area = ({ parts }: Steps) => (parts.length === 3 ? sum.mul(input(2)).mul(half) : sum.mul(half));
const scaleOf = ({ parts, dx }: Steps): number[] => [parts.length === 3 ? 0.5 : dx / 2];

/** ∫ y along `dim` by the trapezoidal rule. */
export const trapezoid: Trapezoid = defineComposite({
  name: 'trapezoid',
  compose(y: Tensor, options: TrapezoidOptions = {}) {
    const steps = stepsOf('trapezoid', y, options);
    const rank = Math.max(...steps.parts.map((t) => t.ndim));
    return fuseSum('trapezoid', steps.parts, area(steps), [steps.at + rank - y.ndim], { scalars: scaleOf(steps) });
  },
  *samples(random): Iterable<[y: Tensor, options?: TrapezoidOptions]> {
    yield [random([5])];
    yield [random([3, 4]), { dx: 0.5, dim: 0 }];
    yield [random([3, 4]), { x: random([4]) }];
    yield [random.integers([5], 0, 9)];
  },
  *errors(random): Iterable<readonly [[y: Tensor, options?: TrapezoidOptions], string]> {
    yield [[random([3, 4]), { x: random([3]) }], 'one x for each sample'];
  },
});
/** Another name of {@link trapezoid}. */
export const trapz: Trapezoid = defineComposite({
  name: 'trapz',
  compose: (y: Tensor, options: TrapezoidOptions = {}) => trapezoid(y, options),
  *samples(random): Iterable<[y: Tensor, options?: TrapezoidOptions]> {
    yield [random([5])];
  },
});
/** The running integral along `dim` by the trapezoidal rule: one entry less than there are samples. */
export const cumulativeTrapezoid: Trapezoid = defineComposite({
  name: 'cumulativeTrapezoid',
  compose(y: Tensor, options: TrapezoidOptions = {}) {
    const steps = stepsOf('cumulativeTrapezoid', y, options);
    return fuse('cumulativeTrapezoid', steps.parts, area(steps), scaleOf(steps)).cumsum(steps.at - y.ndim);
  },
  *samples(random): Iterable<[y: Tensor, options?: TrapezoidOptions]> {
    yield [random([5])];
    yield [random([3, 4]), { dx: 0.5, dim: 0 }];
    yield [random([3, 4]), { x: random([4]) }];
  },
});

export interface GradientOptions {
  /** Distance of the samples: one for all dims, one for each, or the places of the samples of each dim. Default 1. */
  readonly spacing?: number | readonly (number | Tensor)[];
  /** Which dims to differentiate along. Default: all. */
  readonly dim?: number | readonly number[];
  /** Order of the one-sided differences at the ends: 1 or 2. Default 1. */
  readonly edgeOrder?: 1 | 2;
}

/** The derivative along one dim from samples `spacing` apart (a number) or at places (a vector). */
function slopes(x: Tensor, dim: number, spacing: number | Tensor, edgeOrder: number): Tensor {
  const n = x.sizeAt(dim);
  const least = edgeOrder + 1;
  if (n < least) throw new LibError('shape', `gradient: each dim must have at least edgeOrder + 1 = ${least} samples, got ${n}.`);
  const h = isTensor(spacing) ? spacing.diff().reshape(x.shape.map((_, i) => (i === dim ? n - 1 : 1))) : null;
  const width = (from: number, count: number): Tensor | number => (h ? h.narrow(dim, from, count) : (spacing as number));
  const at = (from: number, count = 1): Tensor => x.narrow(dim, from, count);
  const step = (a: Tensor, b: Tensor, w: Tensor | number): Tensor => b.sub(a).div(w);
  const middle = n > 2 ? [inside(at, width, n, h !== null)] : [];
  if (edgeOrder === 1) return cat([step(at(0), at(1), width(0, 1)), ...middle, step(at(n - 2), at(n - 1), width(n - 2, 1))], { dim });
  const first = twoSided(at(0), at(1), at(2), width(0, 1), width(1, 1));
  const last = twoSided(at(n - 1), at(n - 2), at(n - 3), width(n - 2, 1), width(n - 3, 1)).neg();
  return cat([first, ...middle, last], { dim });
}

type Part = (from: number, count: number) => Tensor;
type Width = (from: number, count: number) => Tensor | number;

/** Central differences, weighted by the distances on both sides where these differ. */
function inside(at: Part, width: Width, n: number, uneven: boolean): Tensor {
  const [left, right] = [at(0, n - 2), at(2, n - 2)];
  if (!uneven) return right.sub(left).div(2 * (width(0, 1) as number));
  const [a, b] = [width(0, n - 2) as Tensor, width(1, n - 2) as Tensor];
  const [h, k, total] = [input(3), input(4), input(3).add(input(4))];
  const expr = input(0)
    .mul(k.neg().div(h.mul(total)))
    .add(input(1).mul(k.sub(h).div(h.mul(k))))
    .add(input(2).mul(h.div(k.mul(total))));
  return fuse('gradient', [left, at(1, n - 2), right, a, b], expr);
}

/** The slope at the first of three samples, from distances h and k: exact for parabolas. */
function twoSided(x0: Tensor, x1: Tensor, x2: Tensor, h: Tensor | number, k: Tensor | number): Tensor {
  const wide = (w: Tensor | number): Tensor => (isTensor(w) ? w : x0.detach().mul(0).add(w));
  const [a, b] = [input(3), input(4)];
  const expr = input(0)
    .mul(
      a
        .mul(2)
        .add(b)
        .neg()
        .div(a.mul(a.add(b))),
    )
    .add(input(1).mul(a.add(b).div(a.mul(b))))
    .sub(input(2).mul(a.div(b.mul(a.add(b)))));
  return fuse('gradient', [x0, x1, x2, wide(h), wide(k)], expr);
}

/** The derivative of a sampled function along each dim: central differences inside, one-sided ones at the ends. One tensor per dim. */
export const gradient: Op<[x: Tensor, options?: GradientOptions], Tensor[]> = defineComposite({
  name: 'gradient',
  compose(samples: Tensor, { spacing = 1, dim, edgeOrder = 1 }: GradientOptions = {}) {
    const x = asFloat(samples);
    if (edgeOrder !== 1 && edgeOrder !== 2) throw new LibError('value', `gradient: edgeOrder must be 1 or 2, got ${edgeOrder}.`);
    resolveDims('gradient', dim, x.ndim);
    const dims = dim === undefined ? x.shape.map((_, i) => i) : [dim].flat().map((d) => resolveDim('gradient', d, x.ndim));
    const steps = typeof spacing === 'number' ? dims.map(() => spacing) : spacing;
    if (steps.length !== dims.length) {
      throw new LibError('value', `gradient: there must be one spacing for each dim, got ${steps.length} for ${dims.length}.`);
    }
    return dims.map((d, i) => {
      const step = steps[i] as number | Tensor;
      if (isTensor(step) && (step.ndim !== 1 || step.size !== x.sizeAt(d))) {
        const got = `shape ${formatShape(step.shape)} for size ${x.sizeAt(d)}`;
        throw new LibError('shape', `gradient: places must be a vector with one entry for each sample, got ${got}.`);
      }
      return slopes(x, d, step, edgeOrder);
    });
  },
  *samples(random): Iterable<[x: Tensor, options?: GradientOptions]> {
    yield [random([5])];
    yield [random([3, 4]), { spacing: 0.5, edgeOrder: 2 }];
    yield [random([3, 4]), { spacing: [random([4], { low: 1, high: 2 }).cumsum(0)], dim: 1 }];
    yield [random([4, 3]), { spacing: [random([4], { low: 1, high: 2 }).cumsum(0)], dim: 0, edgeOrder: 2 }];
  },
  *errors(random): Iterable<readonly [[x: Tensor, options?: GradientOptions], string]> {
    yield [[random([1])], 'at least edgeOrder + 1'];
    yield [[random([3, 3]), { spacing: [1] }], 'one spacing for each dim'];
    yield [[random([3]), { spacing: [random([2])] }], 'one entry for each sample'];
  },
  torch: {
    call:
      'torch.gradient(a[0], spacing=o["spacing"] if isinstance(o.get("spacing", 1), (int, float)) and "spacing" in o else ' +
      'tuple(o["spacing"]) if "spacing" in o else 1, dim=o.get("dim", list(range(a[0].dim()))), edge_order=o.get("edge_order", 1))',
  },
});
