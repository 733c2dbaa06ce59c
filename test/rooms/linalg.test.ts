// Linear algebra where samples cannot tell: singular matrices, whole bases, sizes beyond a block, errors of compiled steps.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  compile,
  grad,
  gradcheck,
  linalg,
  manualSeed,
  pcaLowrank,
  randn,
  svdLowrank,
  type Tensor,
  tensor,
  withDevice,
  zeros,
} from '../../dist/index.js';
import { expectClose } from '../../dist/testing/compare.js';
import { everyBackend } from '../support/backends.js';

const tight = { rtol: 1e-9, atol: 1e-9 };
const float64 = { dtype: 'float64' } as const;
const close = (a: Tensor, b: Tensor, what: string): void => expectClose(a.toArray(), b.toArray(), tight, what);
const identityOf = (q: Tensor): Tensor => linalg.matrixPower(q.transpose(-2, -1).matmul(q).mul(0), 0);

for (const { name, backend } of everyBackend) {
  if (backend === null) continue;
  const on = (body: () => void) => () => withDevice(backend, body);

  test(
    `${name}: the determinant's gradient is the cofactors, whatever the rank`,
    on(() => {
      const a = tensor(
        [
          [1, 2, 3],
          [2, 4, 6.5],
          [-1, -2, 1],
        ],
        float64,
      ).requiresGrad_();
      const cofactors = [17, -8.5, 0, -8, 4, 0, 1, -0.5, 0];
      expectClose((grad(linalg.det(a), [a])[0] as Tensor).toArray(), cofactors, tight, 'rank 2');
      const [again] = grad(linalg.det(a), [a], { createGraph: true }) as [Tensor];
      expectClose(again.toArray(), cofactors, tight, 'rank 2, to be differentiated');
      const [second] = grad(again.select(0, 0).select(0, 0), [a]) as [Tensor]; // a11 a22 - a12 a21
      expectClose(second.toArray(), [0, 0, 0, 0, 1, 2, 0, -6.5, 4], { rtol: 1e-7, atol: 1e-7 }, 'second');
      const none = zeros([3, 3], float64).requiresGrad_();
      expectClose((grad(linalg.det(none), [none])[0] as Tensor).toArray(), new Float64Array(9), tight, 'rank 0');
    }),
  );

  test(
    `${name}: factors multiply to the matrix and bases are orthonormal, beyond a block`,
    on(() => {
      manualSeed(3);
      for (const shape of [
        [90, 70],
        [70, 90],
        [2, 5, 3],
        [3, 1],
      ]) {
        const a = randn(shape, float64);
        const { U, S, Vh } = linalg.svd(a);
        const k = S.sizeAt(-1);
        close(
          U.narrow(-1, 0, k)
            .mul(S.unsqueeze(-2))
            .matmul(Vh.narrow(-2, 0, k)),
          a,
          'U S Vh',
        );
        close(U.transpose(-2, -1).matmul(U), identityOf(U), 'U is orthonormal');
        close(Vh.matmul(Vh.transpose(-2, -1)), identityOf(Vh.transpose(-2, -1)), 'V is orthonormal');
        const { Q, R } = linalg.qr(a, { mode: 'complete' });
        close(Q.matmul(R), a, 'Q R');
        close(Q.transpose(-2, -1).matmul(Q), identityOf(Q), 'Q is orthonormal');
        const { P, L, U: upper } = linalg.lu(a);
        close(P.matmul(L).matmul(upper), a, 'P L U');
        const square = a.matmul(a.transpose(-2, -1));
        const { eigenvalues, eigenvectors } = linalg.eigh(square);
        close(eigenvectors.mul(eigenvalues.unsqueeze(-2)).matmul(eigenvectors.transpose(-2, -1)), square, 'V w Vᵀ');
        const positive = square.add(identityOf(square));
        const l = linalg.cholesky(positive);
        close(l.matmul(l.transpose(-2, -1)), positive, 'L Lᵀ');
        close(linalg.solve(positive, a), linalg.inv(positive).matmul(a), 'solve');
      }
    }),
  );

  test(
    `${name}: a compiled step says which op met which matrix`,
    on(() => {
      const step = compile((a: Tensor) => linalg.inv(a.mul(2)).sum());
      step(tensor([[[2]], [[1]]]));
      assert.throws(() => step(tensor([[[2]], [[0]]])), /linalg\.inv: the matrix must be invertible, got .* in batch element 1/);
    }),
  );
}

test('svdLowrank and pcaLowrank: gradients by factors of a matrix of rank q, where the basis that was found turns with them', () => {
  for (const find of [svdLowrank, pcaLowrank] as const) {
    manualSeed(3);
    const [a, b] = [randn([5, 2], { dtype: 'float64', requiresGrad: true }), randn([4, 2], { dtype: 'float64', requiresGrad: true })];
    const parts = (x: Tensor, y: Tensor): Tensor[] => {
      const { U, S, V } = find(x.matmul(y.mT()), { q: 2 });
      const sign = V.detach().select(0, 0).sign();
      return [U.mul(sign), S, V.mul(sign)];
    };
    assert.ok(gradcheck(parts, [a, b]).passed, find.name);
  }
});
