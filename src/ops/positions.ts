import type { DType } from '../core/dtype.js';
import { LibError } from '../core/errors.js';
import { formatShape, needWhole } from '../core/shape.js';
import { specOf } from '../core/spec.js';
import { input } from '../expr/expr.js';
import type { Device } from '../tensor/device.js';
import type { Tensor } from '../tensor/tensor.js';
import { defineComposite, defineCustom, type Op } from './define.js';
import { constantTable, fuse, needFloat } from './fused.js';
import { stack } from './join.js';
import { unbind } from './split.js';

export interface RotaryOptions {
  /** The slowest pair turns once in about 2π · base steps. Default 10000. */
  readonly base?: number;
  /** The position of the first step. Default 0. */
  readonly offset?: number;
  /** Pairs are neighbours, (0, 1), (2, 3), … as in the paper; else one of each half, as in Llama's published weights. Default false. */
  readonly interleaved?: boolean;
}

interface RotaryParams {
  readonly base: number;
  readonly offset: number;
  readonly interleaved: boolean;
  readonly back: boolean;
}

const [a, b, cos, sin] = [input(0), input(1), input(2), input(3)];
const turned = [a.mul(cos).sub(b.mul(sin)), a.mul(sin).add(b.mul(cos))] as const;
const turnedBack = [a.mul(cos).add(b.mul(sin)), b.mul(cos).sub(a.mul(sin))] as const;

/** cos and sin of position · base^(-2i / width): (time, width / 2). One table serves many lengths and offsets. */
function angles(device: Device, dtype: DType, by: 'cos' | 'sin', base: number, width: number, end: number): Tensor {
  const [half, length] = [width / 2, 2 ** Math.ceil(Math.log2(Math.max(end, 64)))];
  return constantTable(device, `rotary ${by} ${base}`, specOf(dtype, [length, half]), () => {
    const values = Float64Array.from({ length: length * half }, (_, i) =>
      Math[by](Math.floor(i / half) * base ** ((-2 * (i % half)) / width)),
    );
    return dtype === 'float64' ? values : Float32Array.from(values);
  });
}

function rotate(x: Tensor, { base, offset, interleaved, back }: RotaryParams): Tensor {
  const [time, width] = [x.sizeAt(-2), x.sizeAt(-1)];
  const dtype = x.dtype === 'float64' ? 'float64' : 'float32';
  const table = (by: 'cos' | 'sin'): Tensor => angles(x.device, dtype, by, base, width, offset + time).narrow(0, offset, time);
  const dim = interleaved ? -1 : -2;
  const pairs = x.reshape([...x.shape.slice(0, -1), ...(interleaved ? [width / 2, 2] : [2, width / 2])]);
  const inputs = [...unbind(pairs, { dim }), table('cos'), table('sin')];
  return stack(
    (back ? turnedBack : turned).map((e) => fuse('rotaryEmbedding', inputs, e, [], x.dtype)),
    { dim },
  ).reshape(x.shape);
}

const turn: Op<[x: Tensor, options: RotaryOptions, back: boolean]> = defineCustom({
  name: 'rotaryTurn',
  args: (x: Tensor, { base = 10000, offset = 0, interleaved = false }: RotaryOptions, back: boolean) => {
    check(x, base, offset);
    return { inputs: [x], params: { base, offset, interleaved, back } };
  },
  forward: ([x], params: RotaryParams) => [rotate(x as Tensor, params)],
  grad: ([g], { params: { back, ...options } }) => [g ? turn(g, options, !back) : null], // the transpose of a rotation is its inverse
  *samples() {},
});

function check(x: Tensor, base: number, offset: number): void {
  needFloat('rotaryEmbedding', x);
  if (x.ndim < 2 || x.sizeAt(-1) % 2 !== 0) {
    throw new LibError('shape', `rotaryEmbedding: x must be (…, time, width) with an even width, got ${formatShape(x.shape)}.`);
  }
  if (!(base > 0)) throw new LibError('value', `rotaryEmbedding: base must be positive, got ${base}.`);
  needWhole('rotaryEmbedding', 'offset', offset, 0);
}

const torchAngles =
  "torch.outer((torch.arange(a[0].size(-2)) + o.get('offset', 0)).double(), o.get('base', 1e4) ** (-torch.arange(0, W, 2).double() / W))";
const torchTurn = 'z * torch.polar(torch.ones_like(t), t)';
const torchPairs =
  "torch.view_as_complex(x.unflatten(-1, (-1, 2)).contiguous()) if o.get('interleaved') else torch.complex(*x.chunk(2, -1))";
const torchBack = "(torch.view_as_real(y).flatten(-2) if o.get('interleaved') else torch.cat([y.real, y.imag], -1)).to(x.dtype)";

/**
 * Rotary position encoding (Su et al. 2021) of queries or keys (…, time, width): pair i of step t is turned by t · base^(-2i / width), so
 * that scores depend on distances alone.
 */
export const rotaryEmbedding: Op<[x: Tensor, options?: RotaryOptions]> = defineComposite({
  name: 'rotaryEmbedding',
  compose: (x: Tensor, options: RotaryOptions = {}) => turn(x, options, false),
  *samples(random): Iterable<[x: Tensor, options?: RotaryOptions]> {
    yield [random([2, 3, 4])];
    yield [random([2, 1, 3, 6]), { base: 100, offset: 70, interleaved: true }];
  },
  *errors(random): Iterable<readonly [[x: Tensor, options?: RotaryOptions], string]> {
    yield [[random([2, 3])], 'with an even width'];
    yield [[random([2, 4]), { base: 0 }], 'base must be positive'];
    yield [[random([2, 4]), { offset: -1 }], 'must be a whole number of at least 0'];
  },
  // As complex numbers: PyTorch has no function for it.
  torch: {
    call: `(lambda x, W: (lambda z, t: (lambda y: ${torchBack})(${torchTurn}))(${torchPairs}, ${torchAngles}))(a[0], a[0].size(-1))`,
  },
});
