import type { DType } from '../core/dtype.js';
import { tensor } from '../tensor/creation.js';
import type { Device } from '../tensor/device.js';
import type { Tensor } from '../tensor/tensor.js';
import { cat, stack } from './join.js';

/** Discrete Fourier transforms of complex numbers as pairs: a last dim of size 2 holds real and imaginary part. Products and rotations. */

/** +1: e^{+2πi…}, -1: e^{-2πi…}. */
export type Sign = 1 | -1;
/** Longer transforms are made of shorter ones. A matrix of this size costs about as much as the steps around it. */
const DIRECT = 64;

type Place = Pick<Tensor, 'dtype' | 'device'>;
/** cos and sin of multiples of 2π / n, given without whole turns: (…shape, 2). */
function turns(at: readonly number[], n: number, sign: Sign, shape: readonly number[], { dtype, device }: Place): Tensor {
  const angles = at.map((k) => (2 * Math.PI * (k % n)) / n);
  return tensor(
    angles.flatMap((a) => [Math.cos(a), sign * Math.sin(a)]),
    { shape: [...shape, 2], dtype: dtype as DType, device: device as Device },
  );
}
const grid = (rows: number, columns: number): number[] =>
  Array.from({ length: rows * columns }, (_, i) => Math.floor(i / columns) * (i % columns));

/** The complex product of pairs. */
export function timesPairs(a: Tensor, b: Tensor): Tensor {
  const turned = stack([a.select(-1, 1).neg(), a.select(-1, 0)], { dim: -1 });
  return a.mul(b.narrow(-1, 0, 1)).add(turned.mul(b.narrow(-1, 1, 1)));
}
/** The conjugates of pairs. */
export const conjugated = (x: Tensor): Tensor => x.mul(tensor([1, -1], { dtype: x.dtype, device: x.device }));

/** Along the last dim but one of (…, n, 2), unscaled: n log n steps for sizes of small factors, and for others by {@link byChirps}. */
export function dft(x: Tensor, sign: Sign): Tensor {
  const [n, lead] = [x.sizeAt(-2), x.shape.slice(0, -2)];
  let r = Math.min(n, DIRECT);
  while (n % r !== 0) r--;
  if (r === n) return direct(x, sign);
  if (r === 1) return byChirps(x, sign);
  const s = n / r; // Cooley and Tukey: entry s j + l of x goes into entries k + r m of the result
  const parts = dft(x.reshape([...lead, r, s, 2]).transpose(-3, -2), sign); // (…, l, k, 2)
  const turned = timesPairs(parts, turns(grid(s, r), n, sign, [s, r], x)).transpose(-3, -2);
  return dft(turned, sign) // (…, k, m, 2)
    .transpose(-3, -2)
    .reshape([...lead, n, 2]);
}

/** One product with the matrix of the transform, whose blocks [c, s; -s, c] multiply pairs. */
function direct(x: Tensor, sign: Sign): Tensor {
  const n = x.sizeAt(-2);
  const rows = turns(grid(n, n), n, sign, [n, 1, n], x); // (j, ·, k, 2)
  const matrix = cat([rows, timesPairs(rows, tensor([0, 1], { dtype: x.dtype, device: x.device }))], { dim: 1 });
  return x
    .reshape([...x.shape.slice(0, -2), 1, 2 * n])
    .matmul(matrix.reshape([2 * n, 2 * n]))
    .reshape(x.shape);
}

/** Bluestein: jk = (j² + k² - (k - j)²) / 2 makes a convolution of the transform, and that is made by transforms of a power of two. */
function byChirps(x: Tensor, sign: Sign): Tensor {
  const n = x.sizeAt(-2);
  const m = 2 ** Math.ceil(Math.log2(2 * n - 1));
  const squares = Array.from({ length: n }, (_, j) => (j * j) % (2 * n));
  const chirp = turns(squares, 2 * n, sign, [n], x);
  const around = Array.from({ length: m }, (_, j) => squares[Math.min(j, m - j)]);
  const inverse = turns(
    around.map((k) => k ?? 0),
    2 * n,
    sign === 1 ? -1 : 1,
    [m],
    x,
  );
  const mask = tensor(
    around.map((k) => (k === undefined ? 0 : 1 / m)),
    { shape: [m, 1], dtype: x.dtype, device: x.device },
  );
  const spectrum = timesPairs(dft(timesPairs(x, chirp).pad([0, 0, 0, m - n]), sign), dft(inverse.mul(mask), sign));
  return timesPairs(dft(spectrum, sign === 1 ? -1 : 1).narrow(-2, 0, n), chirp);
}
