// Optimizers that need a closure: LBFGS against PyTorch, Hessian-free against its properties.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import * as cr from '../../dist/index.js';
import { type DType, Parameter, type Tensor, tensor } from '../../dist/index.js';
import * as optim from '../../dist/optim/index.js';
import { assertClose, bowl, flat, type Problem, sine } from '../support/objectives.js';

interface Moment {
  readonly loss: number;
  readonly params: readonly number[];
}
interface Row {
  readonly options: optim.LBFGSOptions;
  readonly float64: readonly (readonly Moment[])[];
  readonly float32: readonly (readonly Moment[])[];
}
const fixture = JSON.parse(readFileSync(new URL('../../fixtures/optim.json', import.meta.url), 'utf8')) as {
  readonly lbfgs: readonly Row[];
};

function valley(dtype: DType): Problem {
  const x = new Parameter(tensor(sine(4, 0.7), { dtype }));
  const loss = (): Tensor => {
    const [a, b] = [x.slice([0, 3]), x.slice([1, 4])];
    return b.sub(a.square()).square().mul(100).add(a.neg().add(1).square()).sum();
  };
  return { params: [x], loss };
}

const closureOf =
  (optimizer: { zeroGrad(): void }, { loss }: Problem): (() => Tensor) =>
  () => {
    optimizer.zeroGrad();
    const value = loss();
    value.backward();
    return value;
  };

describe('LBFGS as in PyTorch', () => {
  for (const { options, ...runs } of fixture.lbfgs) {
    for (const [dtype, within] of [
      ['float64', [1e-7, 1e-7]],
      ['float32', [1.3e-6, 1e-5]],
    ] as const) {
      runs[dtype].forEach((moments, k) => {
        // A line search compares losses: in float32 their last bits decide where it stops, so that only the loss is the same.
        const rough = dtype === 'float32' && options.lineSearchFn === 'strongWolfe';
        test(`${JSON.stringify(options)} ${k === 0 ? 'bowl' : 'valley'} ${dtype}`, () => {
          const problem = k === 0 ? bowl(dtype) : valley(dtype);
          const optimizer = new optim.LBFGS(problem.params, options);
          for (const [i, want] of moments.slice(0, rough && k === 1 ? 1 : 6).entries()) {
            const loss = optimizer.step(closureOf(optimizer, problem));
            assertClose([loss.itemNow()], [want.loss], within, `loss of step ${i}`);
            if (!rough) assertClose(flat(problem.params), want.params, within, `step ${i}`);
          }
        });
      });
    }
  }

  test('saved and loaded, it goes on at the same bits', () => {
    const run = (from: Problem, steps: number, load?: optim.OptimizerState): optim.LBFGS => {
      const optimizer = new optim.LBFGS(from.params, { lineSearchFn: 'strongWolfe', maxIter: 3 });
      if (load) optimizer.loadStateDict(load);
      for (let i = 0; i < steps; i++) optimizer.step(closureOf(optimizer, from));
      return optimizer;
    };
    const [whole, halves] = [valley('float64'), valley('float64')];
    run(whole, 6);
    run(halves, 3, run(halves, 3).stateDict());
    assert.deepEqual(flat(halves.params), flat(whole.params));
  });

  test('steps without a closure, and in a capture, are refused', () => {
    const problem = bowl('float32');
    const optimizer = new optim.LBFGS(problem.params);
    assert.throws(() => optimizer.step(), /LBFGS: step needs a closure/);
    assert.throws(() => cr.compile(() => optimizer.step(closureOf(optimizer, problem)))(), /is not known while compile\(\) is capturing/);
  });
});

describe('Hessian-free', () => {
  test('a quadratic problem is solved by one undamped step', () => {
    const { params, loss } = bowl('float64');
    const optimizer = new optim.HessianFree(params, { damping: 0, cgTolerance: 1e-12 });
    optimizer.step(loss);
    loss().backward();
    assertClose(
      params.flatMap((p) => [...(p.grad?.reshape([-1]).toArray() ?? [])]) as number[],
      sine(17, 0).map(() => 0),
      [0, 1e-9],
      'gradient',
    );
  });

  test('damping makes the step (H + λ)⁻¹ g', () => {
    const { params, loss } = bowl('float64');
    const was = flat(params);
    loss().backward();
    const g = params.flatMap((p) => [...(p.grad?.reshape([-1]).toArray() ?? [])]) as number[];
    const curvatures = [...sine(12, 4), ...sine(5, 5)].map((v) => v + 1.5);
    new optim.HessianFree(params, { damping: 0.7, adaptDamping: false, cgTolerance: 1e-12 }).step(loss);
    assertClose(
      flat(params),
      was.map((w, i) => w - (g[i] as number) / ((curvatures[i] as number) + 0.7)),
      [1e-9, 1e-9],
      'step',
    );
  });

  test('the valley is followed to its end, and the loss never rises', () => {
    const { params, loss } = valley('float64');
    const optimizer = new optim.HessianFree(params);
    let before = Number.POSITIVE_INFINITY;
    for (let i = 0; i < 200; i++) {
      optimizer.step(loss);
      const now = loss().itemNow();
      assert.ok(now <= before, `${now} after ${before}`);
      before = now;
    }
    assert.ok(before < 1e-8, `${before}`);
  });

  test('Gauss-Newton: exact for least squares of a linear model, and never uphill for a net', () => {
    cr.manualSeed(4);
    const [x, y] = [cr.randn([20, 3], { dtype: 'float64' }), cr.randn([20, 1], { dtype: 'float64' })];
    const w = new Parameter(cr.randn([3, 1], { dtype: 'float64' }));
    const objective = (): { loss: Tensor; output: Tensor } => {
      const output = x.matmul(w);
      return { output, loss: output.sub(y).square().sum() };
    };
    new optim.HessianFree([w], { damping: 0, gaussNewton: true, cgTolerance: 1e-12 }).step(objective);
    objective().loss.backward();
    assertClose([...(w.grad?.toArray() ?? [])] as number[], [0, 0, 0], [0, 1e-9], 'normal equations');

    const [a, b] = [new Parameter(cr.randn([3, 4])), new Parameter(cr.randn([4, 1]))];
    const net = (): { loss: Tensor; output: Tensor } => {
      const output = x.float().matmul(a).tanh().matmul(b);
      return { output, loss: cr.mseLoss(output, y.float()) };
    };
    const optimizer = new optim.HessianFree([a, b], { gaussNewton: true });
    const first = net().loss.itemNow();
    for (let i = 0; i < 30; i++) optimizer.step(net);
    assert.ok(net().loss.itemNow() < first / 2);
  });
});
