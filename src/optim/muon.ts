import type { DType } from '../core/dtype.js';
import { LibError } from '../core/errors.js';
import { formatShape } from '../core/shape.js';
import type { Parameter } from '../nn/module.js';
import { gemmRow } from '../ops/gemm.js';
import { matmul } from '../ops/matmul.js';
import { emptyLike, zerosLike } from '../tensor/creation.js';
import type { Tensor } from '../tensor/tensor.js';
import { checkNonNegative, checkNumber, type Given, type Group, Optimizer, type Params, withDefaults } from './optimizer.js';
import { defineUpdate, runUpdate, type Update } from './update.js';

export interface MuonOptions {
  /** Step size. Default 1e-3. */
  readonly lr?: number;
  /** Decay apart from the gradient. Default 0.1. */
  readonly weightDecay?: number;
  /** Decay rate of the average gradient. Default 0.95. */
  readonly momentum?: number;
  /** Mix the gradient into its average once more. Default true. */
  readonly nesterov?: boolean;
  /** Coefficients a, b, c of an iteration x → a x + b x³ + c x⁵ on singular values. Default [3.4445, -4.775, 2.0315]. */
  readonly nsCoefficients?: readonly [number, number, number];
  /** Smallest norm that is divided by. Default 1e-7. */
  readonly eps?: number;
  /** Iterations. Default 5. */
  readonly nsSteps?: number;
  /**
   * How the step depends on the shape (rows, columns). 'original' (default): √max(1, rows/columns); 'matchRmsAdamw':
   * 0.2 √max(rows, columns), so that rates of AdamW fit; 'spectralUnclamped': √(rows/columns).
   */
  readonly adjustLrFn?: 'original' | 'matchRmsAdamw' | 'spectralUnclamped';
  /** Type in which the iteration computes. Default bfloat16, as in PyTorch. */
  readonly nsDtype?: DType;
}
type Full = Required<MuonOptions>;

const average: Update<'grad' | 'momentumBuffer', 'fresh', 'momentumBuffer'> = defineUpdate(
  'muonAverage',
  ['grad', 'momentumBuffer'],
  ['fresh'],
  ({ grad, momentumBuffer }, { fresh }) => ({ momentumBuffer: momentumBuffer.add(grad.sub(momentumBuffer).mul(fresh)) }),
);
const lookAhead: Update<'grad' | 'momentumBuffer' | 'direction', 'momentum', 'direction'> = defineUpdate(
  'muonLookAhead',
  ['grad', 'momentumBuffer', 'direction'],
  ['momentum'],
  ({ grad, momentumBuffer }, { momentum }) => ({ direction: grad.add(momentumBuffer.sub(grad).mul(momentum)) }),
);
const finish: Update<'param' | 'direction', 'keep' | 'rate', 'param'> = defineUpdate(
  'muon',
  ['param', 'direction'],
  ['keep', 'rate'],
  ({ param, direction }, { keep, rate }) => ({ param: param.mul(keep).sub(direction.mul(rate)) }),
);

/** Of 16-bit numbers, in float32. */
const wideProduct = gemmRow('muon', 'float32');

/** Moves the singular values of a matrix towards 1, by a polynomial in it: its nearest orthogonal matrix, roughly. */
function orthogonalize(matrix: Tensor, { nsCoefficients: [a, b, c], nsSteps, eps, nsDtype }: Group<Full>): Tensor {
  const [rows, columns] = matrix.dims(2);
  const typed = matrix.to(nsDtype);
  let x = rows > columns ? typed.transpose(0, 1) : typed;
  x = x.div(x.norm().clamp({ min: eps }));
  const wide = nsDtype === 'bfloat16' || nsDtype === 'float16' ? 'float32' : nsDtype;
  const product = wide === nsDtype ? matmul : wideProduct;
  // Each product is scaled and added before it is rounded, as in PyTorch's addmm.
  const scaled = (factor: number, y: Tensor, scale: number, left: Tensor, right: Tensor): Tensor =>
    product(left, right).mul(scale).add(y.to(wide).mul(factor)).to(nsDtype);
  for (let i = 0; i < nsSteps; i++) {
    const gram = product(x, x.transpose(0, 1)).to(nsDtype);
    x = scaled(a, x, 1, scaled(b, gram, c, gram, gram), x);
  }
  return (rows > columns ? x.transpose(0, 1) : x).to(matrix.dtype);
}

const shapeFactors: Readonly<Record<Full['adjustLrFn'], (rows: number, columns: number) => number>> = {
  original: (rows, columns) => Math.sqrt(Math.max(1, rows / columns)),
  matchRmsAdamw: (rows, columns) => 0.2 * Math.sqrt(Math.max(rows, columns)),
  spectralUnclamped: (rows, columns) => Math.sqrt(rows / columns),
};

const defaults: Full = {
  lr: 1e-3,
  weightDecay: 0.1,
  momentum: 0.95,
  nesterov: true,
  nsCoefficients: [3.4445, -4.775, 2.0315],
  eps: 1e-7,
  nsSteps: 5,
  adjustLrFn: 'original',
  nsDtype: 'bfloat16',
};

/** Momentum made orthogonal: for the matrices of hidden layers; give all else to AdamW (Jordan et al. 2024; torch.optim.Muon). */
export class Muon extends Optimizer<Full> {
  constructor(params: Params<Full>, options: Given<MuonOptions> = {}) {
    super('Muon', params, withDefaults('Muon', defaults, options));
  }

  protected override check(group: Group<Full>): void {
    super.check(group);
    checkNonNegative('Muon', group, ['weightDecay', 'momentum', 'eps']);
    checkNumber('Muon', 'nsSteps', group.nsSteps, (v) => Number.isInteger(v) && v >= 0 && v < 100, 'an integer in 0..99');
    if (!['float32', 'float64', 'bfloat16', 'float16'].includes(group.nsDtype))
      throw new LibError('option', `Muon: nsDtype must be a floating type, got '${String(group.nsDtype)}'.`);
    if (!(group.adjustLrFn in shapeFactors)) {
      throw new LibError('option', `Muon: adjustLrFn must be one of ${Object.keys(shapeFactors).join(', ')}, got '${group.adjustLrFn}'.`);
    }
    const other = group.params.find((p) => p.ndim !== 2);
    if (other !== undefined) {
      const hint = 'give vectors, embeddings and convolutions to another optimizer.';
      throw new LibError('shape', `Muon: parameters must be matrices, got shape ${formatShape(other.shape)}.`, hint);
    }
  }

  protected update(p: Parameter, grad: Tensor, group: Group<Full>): void {
    const { momentumBuffer } = this.stateOf(p, () => ({ momentumBuffer: zerosLike(p) }));
    runUpdate(average, { grad, momentumBuffer }, (out, at) => {
      out[at] = 1 - group.momentum;
    });
    let direction: Tensor = momentumBuffer;
    if (group.nesterov) {
      direction = emptyLike(p);
      runUpdate(lookAhead, { grad, momentumBuffer, direction }, (out, at) => {
        out[at] = group.momentum;
      });
    }
    const [rows, columns] = p.dims(2);
    runUpdate(finish, { param: p, direction: orthogonalize(direction, group) }, (out, at) => {
      out[at] = 1 - group.lr * group.weightDecay;
      out[at + 1] = group.lr * shapeFactors[group.adjustLrFn](rows, columns);
    });
  }
}
