// A short list of programs for the engine's own tests: stands in for dist/ops/aot.js.
import { input, scalar } from '../../dist/expr/expr.js';

const [a, b] = [input(0), input(1)];
const gelu = a.mul(0.5).mul(a.mul(Math.SQRT1_2).erf().add(1));

function adamw() {
  const [p, g, m0, v0] = [0, 1, 2, 3].map(input);
  const [lr, beta1, beta2, eps, decay, c1, c2] = [0, 1, 2, 3, 4, 5, 6].map(scalar);
  const m = m0.mul(beta1).add(g.sub(g.mul(beta1)));
  const v = v0.mul(beta2).add(g.mul(g).mul(beta2.neg().add(1)));
  const denominator = v.div(c2).sqrt().add(eps);
  return [p.sub(p.mul(lr.mul(decay))).sub(lr.mul(m).div(c1).div(denominator)), m, v];
}

export const aotPrograms = () => [[a.add(b)], [a.mul(b)], [a.max(0)], [gelu], adamw()].map((exprs) => ({ exprs }));
