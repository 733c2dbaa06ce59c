import { LibError } from '../core/errors.js';
import { formatShape, type Shape, sameShape } from '../core/shape.js';
import { cat } from '../ops/join.js';
import { geqrf, householderProduct } from '../ops/linalgFactors.js';
import { matrixExp } from '../ops/linalgProducts.js';
import { solve } from '../ops/linalgSolve.js';
import { noGrad } from '../tensor/autograd.js';
import { eye, zeros } from '../tensor/creation.js';
import { initGenerator, randn } from '../tensor/random.js';
import { isTensor, type Tensor } from '../tensor/tensor.js';
import { type AnyModule, Buffer } from './module.js';
import { Parametrization, registerParametrization } from './parametrize.js';

export type OrthogonalMap = 'matrixExp' | 'cayley' | 'householder';

export interface OrthogonalOptions {
  /** Which parameter. Default 'weight'. */
  readonly name?: string;
  /** From what is learned to an orthogonal matrix. Default: 'matrixExp' for square matrices, else 'householder'. */
  readonly orthogonalMap?: OrthogonalMap | null;
  /** Keep a matrix `base` that the map is applied to, so that what is learned begins at zero. Default true. */
  readonly useTrivialization?: boolean;
}

const wide = (x: Tensor): boolean => x.sizeAt(-2) < x.sizeAt(-1);
const tall = (x: Tensor): Tensor => (wide(x) ? x.transpose(-1, -2) : x);
const diagonalOf = (x: Tensor): Tensor => x.diagonal({ dim1: -2, dim2: -1 });
const identity = (n: number, { dtype, device }: Tensor): Tensor => eye(n, { dtype, device });

/** The Q of a QR decomposition whose R has a positive diagonal. */
function orthonormal(x: Tensor): Tensor {
  const { a, tau } = geqrf(x);
  return householderProduct(a, tau).mul(diagonalOf(a).sign().unsqueeze(-2));
}

function isOrthogonal(q: Tensor): boolean {
  const [n, k] = [q.sizeAt(-2), q.sizeAt(-1)];
  const limit = 10 * n * (q.dtype === 'float64' ? 2 ** -52 : 2 ** -23);
  const off = q.transpose(-1, -2).matmul(q).sub(identity(k, q)).abs();
  return off.size === 0 || off.max().itemNow() <= limit;
}

/** A matrix (…, m, n) with orthonormal columns, or rows where m < n (torch.nn.utils.parametrizations.orthogonal). */
export class Orthogonal extends Parametrization {
  /** An orthogonal (…, n, n) that the map's value is multiplied into; null without trivialization. */
  readonly base: Buffer | null;
  readonly orthogonalMap: OrthogonalMap;
  readonly shape: Shape;
  private begun = false;

  constructor(weight: Tensor, { orthogonalMap = null, useTrivialization = true }: Omit<OrthogonalOptions, 'name'> = {}) {
    super();
    const known: readonly (string | null)[] = ['matrixExp', 'cayley', 'householder', null];
    if (!known.includes(orthogonalMap))
      throw new LibError('option', `orthogonal: orthogonalMap must be matrixExp, cayley or householder, got '${String(orthogonalMap)}'.`);
    if (weight.ndim < 2) throw new LibError('shape', `orthogonal: the weight must be (…, m, n), got shape ${formatShape(weight.shape)}.`);
    this.orthogonalMap = orthogonalMap ?? (weight.sizeAt(-2) === weight.sizeAt(-1) ? 'matrixExp' : 'householder');
    this.shape = weight.shape;
    const { dtype, device } = weight;
    const n = Math.max(weight.sizeAt(-2), weight.sizeAt(-1));
    this.base = useTrivialization ? new Buffer(zeros([...weight.shape.slice(0, -2), n, n], { dtype, device })) : null;
  }

  override forward(...[original]: Tensor[]): Tensor {
    const x = tall(original as Tensor);
    const q = this.orthogonalMap === 'householder' ? reflections(x) : rotation(x, this.orthogonalMap);
    const whole = this.base === null ? q : this.base.matmul(q);
    return wide(original as Tensor) ? whole.transpose(-1, -2) : whole;
  }

  override rightInverse(value: Tensor): Tensor {
    if (!sameShape(value.shape, this.shape))
      throw new LibError('shape', `orthogonal: the value must have shape ${formatShape(this.shape)}, got ${formatShape(value.shape)}.`);
    return noGrad(() => (this.base === null ? this.withoutBase(value) : this.intoBase(value, this.base)));
  }

  private withoutBase(value: Tensor): Tensor {
    if (this.orthogonalMap !== 'householder') {
      // What the weight begins with is taken for what is learned, as in PyTorch.
      if (!this.begun) {
        this.begun = true;
        return value;
      }
      const hint = 'use householder, or leave useTrivialization on.';
      throw new LibError('option', `orthogonal: without trivialization no value can be assigned to ${this.orthogonalMap}, got one.`, hint);
    }
    const { a, tau } = geqrf(tall(value));
    // R's diagonal is to be positive; where no reflection was needed, LAPACK leaves its sign to the entry.
    const signs = diagonalOf(a).sign().mul(tau.ne(0).mul(2).sub(1).to(a.dtype));
    const settled = a
      .tril({ diagonal: -1 })
      .add(a.triu({ diagonal: 1 }))
      .add(onDiagonal(signs, a.sizeAt(-2)));
    return wide(value) ? settled.transpose(-1, -2) : settled;
  }

  /** The value becomes the base, completed to a square; what is learned begins where the map gives the identity. */
  private intoBase(value: Tensor, base: Buffer): Tensor {
    const q = tall(value.detach());
    const [n, k] = [q.sizeAt(-2), q.sizeAt(-1)];
    const more = { generator: initGenerator(), dtype: q.dtype, device: q.device };
    const square = n === k ? q : cat([q, randn([...q.shape.slice(0, -2), n, n - k], more)], { dim: -1 });
    base.copy_(n === k && isOrthogonal(q) ? q : orthonormal(square));
    const [rows, columns] = [value.sizeAt(-2), value.sizeAt(-1)];
    return eye(rows, columns, { dtype: q.dtype, device: q.device }).neg().expand(value.shape).clone();
  }
}

/** (…, k) on the diagonal of (…, rows, k). */
const onDiagonal = (values: Tensor, rows: number): Tensor => eye(rows, values.sizeAt(-1), values).mul(values.unsqueeze(-2));

/** The exponential, or Cayley's map, of the skew-symmetric matrix below whose diagonal x is: its first columns. */
function rotation(x: Tensor, by: 'matrixExp' | 'cayley'): Tensor {
  const [n, k] = [x.sizeAt(-2), x.sizeAt(-1)];
  const lower = x.tril().pad([0, n - k]);
  const skew = lower.sub(lower.transpose(-1, -2));
  const half = skew.mul(0.5);
  const q = by === 'matrixExp' ? matrixExp(skew) : solve(identity(n, x).sub(half), identity(n, x).add(half));
  return q.narrow(-1, 0, k);
}

/** The product of the reflections below the diagonal of x, each column with the sign that its diagonal has. */
function reflections(x: Tensor): Tensor {
  const below = x.tril({ diagonal: -1 });
  const tau = below.square().sum({ dim: -2 }).add(1).reciprocal().mul(2);
  return householderProduct(below, tau).mul(diagonalOf(x).detach().trunc().unsqueeze(-2));
}

/**
 * Keeps a matrix orthogonal: what is learned is mapped to one at each reading (torch.nn.utils.parametrizations.orthogonal).
 * @example orthogonal(new Linear(20, 40)) // 20 orthonormal columns
 */
export function orthogonal<M extends AnyModule>(module: M, { name = 'weight', ...options }: OrthogonalOptions = {}): M {
  const weight = (module as unknown as Readonly<Record<string, unknown>>)[name];
  if (!isTensor(weight)) throw new LibError('value', `orthogonal: '${name}' must be a parameter of the module, got ${typeof weight}.`);
  return registerParametrization(module, name, new Orthogonal(weight, options));
}
