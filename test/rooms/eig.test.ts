// Eigenvalues of general matrices, where samples cannot tell: A V = V diag(w) whatever the matrix, conjugate pairs, and gradients.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { eye, grad, gradcheck, linalg, manualSeed, ones, randn, type Tensor, tensor, withDevice, zeros } from '../../dist/index.js';
import { everyBackend } from '../support/backends.js';

const float64 = { dtype: 'float64' } as const;

const built = (n: number, entry: (i: number, j: number) => number): Tensor =>
  tensor(
    Array.from({ length: n * n }, (_, k) => entry(Math.floor(k / n), k % n)),
    { ...float64, shape: [n, n] },
  );
/** Turned by an orthogonal matrix, which hides what it is made of. */
function hidden(a: Tensor): Tensor {
  const { Q } = linalg.qr(randn(a.shape, float64));
  return Q.matmul(a).matmul(Q.transpose(-2, -1));
}
const jordan = (n: number, value: number): Tensor => built(n, (i, j) => (i === j ? value : j === i + 1 ? 1 : 0));
const companion = (coefficients: readonly number[]): Tensor =>
  built(coefficients.length, (i, j) => (j === coefficients.length - 1 ? -(coefficients[i] as number) : i === j + 1 ? 1 : 0));

const matrices = (n: number): Readonly<Record<string, () => Tensor>> => ({
  random: () => randn([n, n], float64),
  'a batch': () => randn([2, 3, 5, 5], float64),
  zero: () => zeros([n, n], float64),
  'the identity': () => eye(n, float64),
  'all ones': () => ones([n, n], float64),
  'an upper triangle': () => randn([n, n], float64).triu(),
  'a lower triangle': () => randn([n, n], float64).tril(),
  'a Jordan block': () => jordan(n, 2),
  'a nilpotent one': () => jordan(n, 0),
  'a hidden Jordan block': () => hidden(jordan(n, 1)),
  'eigenvalues that repeat, hidden': () => hidden(built(n, (i, j) => (i === j ? 1 + Math.floor(i / 3) : 0))),
  'roots of one': () => companion([-1, ...new Array<number>(n - 1).fill(0)]),
  'a polynomial': () => companion(Array.from({ length: n }, (_, i) => Math.sin(3 * i + 1))),
  orthogonal: () => linalg.qr(randn([n, n], float64)).Q,
  skew: () =>
    randn([n, n], float64)
      .triu({ diagonal: 1 })
      .sub(randn([n, n], float64).tril({ diagonal: -1 })),
  'of rank 2': () => randn([n, 2], float64).matmul(randn([2, n], float64)),
  graded: () => built(n, (i, j) => Math.cos(i + 2 * j) * 10 ** (j - i)),
  large: () => randn([n, n], float64).mul(1e150),
  tiny: () => randn([n, n], float64).mul(1e-150),
});

const parts = (z: Tensor): readonly [Tensor, Tensor] => [z.select(-1, 0), z.select(-1, 1)];
const largest = (x: Tensor): number => Array.from(x.toArray()).reduce((most, e) => Math.max(most, Math.abs(e)), 0);

/** The largest entry of A V - V diag(w), with unit columns of V, over the largest of A. */
function residual(a: Tensor, w: Tensor, v: Tensor): number {
  const [x, y] = parts(v);
  const [p, q] = parts(w.unsqueeze(-3));
  const real = a.matmul(x).sub(x.mul(p)).add(y.mul(q));
  const imaginary = a.matmul(y).sub(x.mul(q)).sub(y.mul(p));
  return Math.max(largest(real), largest(imaginary)) / Math.max(largest(a), Number.MIN_VALUE);
}

function checkMatrix(a: Tensor, what: string): void {
  const n = a.sizeAt(-1);
  const { eigenvalues, eigenvectors } = linalg.eig(a);
  assert.ok(residual(a, eigenvalues, eigenvectors) < 1e-14 * (n + 10), `${what}: A V = V diag(w)`);
  const lengths = eigenvectors.square().sum({ dim: -1 }).sum({ dim: -2 });
  assert.ok(largest(lengths.sub(1)) < 1e-13, `${what}: columns have length 1`);
  assert.deepEqual(linalg.eigvals(a).toArray(), eigenvalues.toArray(), `${what}: eigvals`);
  const w = eigenvalues.reshape([-1, n, 2]).toArray();
  for (let k = 0; k < w.length; k += 2) {
    const [re, im] = [w[k] as number, w[k + 1] as number];
    if (k % (2 * n) > 0) assert.ok(re > (w[k - 2] as number) || (re === w[k - 2] && im >= (w[k - 1] as number)), `${what}: ascending`);
    if (im < 0) assert.deepEqual([w[k + 2], w[k + 3]], [re, -im], `${what}: conjugate pairs`);
  }
}

for (const { name, backend } of everyBackend) {
  if (backend === null) continue;
  const on = (body: () => void) => () => withDevice(backend, body);
  const reference = name === 'reference';

  test(
    `${name}: eigenvalues and eigenvectors belong together, whatever the matrix`,
    on(() => {
      manualSeed(5);
      for (const n of reference ? [6] : [2, 3, 9, 17, 33, 70])
        for (const [what, make] of Object.entries(matrices(n)))
          if (!reference || what !== 'graded') checkMatrix(make(), `${what}, n = ${n}`);
      for (let n = 1; n <= (reference ? 12 : 100); n++) checkMatrix(randn([n, n], float64), `n = ${n}`);
      for (const shape of [
        [0, 0],
        [3, 0, 0],
        [0, 4, 4],
      ]) {
        const { eigenvalues, eigenvectors } = linalg.eig(zeros(shape));
        assert.deepEqual(
          [eigenvalues.shape, eigenvectors.shape],
          [
            [...shape.slice(0, -1), 2],
            [...shape, 2],
          ],
        );
        assert.deepEqual(linalg.eigvals(zeros(shape)).shape, eigenvalues.shape);
      }
    }),
  );

  test(
    `${name}: what stands alone on a diagonal is found exactly`,
    on(() => {
      const a = built(7, (i, j) => (i >= j ? i + 1 + Math.sqrt(i * j) : 0));
      const diagonal = Array.from({ length: 7 }, (_, i) => [2 * i + 1, 0]);
      for (const x of reference ? [a.transpose(0, 1)] : [a, a.transpose(0, 1)]) assert.deepEqual(linalg.eigvals(x).tolist(), diagonal);
    }),
  );

  test(
    `${name}: gradients of eigenvalues and eigenvectors, complex ones too`,
    on(() => {
      manualSeed(8);
      const a = randn([4, 4], float64)
        .add(built(4, (i, j) => j - i))
        .requiresGrad_();
      assert.ok(
        linalg
          .eigvals(a)
          .select(-1, 1)
          .toArray()
          .some((im) => im !== 0),
        'some are complex',
      );
      const both = (x: Tensor): Tensor[] => Object.values(linalg.eig(x)) as Tensor[];
      assert.ok(gradcheck(both, [a]).passed);
      // The sum of eigenvalues is the trace, that of their squares the trace of A A.
      const sum = linalg.eigvals(a).select(-1, 0).sum();
      assert.ok(largest((grad(sum, [a])[0] as Tensor).sub(eye(4, float64))) < 1e-12);
      const [re, im] = parts(linalg.eigvals(a));
      const squares = grad(re.square().sub(im.square()).sum(), [a])[0] as Tensor;
      assert.ok(largest(squares.sub(a.transpose(0, 1).mul(2))) < 1e-12);
    }),
  );
}
