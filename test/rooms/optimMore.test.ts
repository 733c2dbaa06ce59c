// Optimizers that PyTorch lacks, against their formulas in float64; wrappers.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Parameter, Tensor } from '../../dist/index.js';
import * as cr from '../../dist/index.js';
import * as optim from '../../dist/optim/index.js';
import { assertClose, bowl, flat, type Problem } from '../support/objectives.js';

const clear = (params: readonly Parameter[]): void => {
  for (const p of params) p.grad = null;
};

const closureOf =
  (optimizer: { zeroGrad(): void }, { loss }: Problem): (() => Tensor) =>
  () => {
    optimizer.zeroGrad();
    const value = loss();
    value.backward();
    return value;
  };

/** One step of an optimizer on plain numbers: parameter, gradient, step from 1, and what it remembers. */
type Formula = (p: number[], g: number[], t: number, state: Record<string, number[]>) => number[];
const remembered = (state: Record<string, number[]>, key: string, size: number): number[] => {
  state[key] ??= new Array<number>(size).fill(0);
  return state[key];
};
const norm = (x: readonly number[]): number => Math.sqrt(x.reduce((s, v) => s + v * v, 0));

/** Follows every element of a parameter by itself. */
const each =
  (rule: (p: number, g: number, t: number, get: (key: string) => number, set: (key: string, v: number) => void) => number): Formula =>
  (p, g, t, state) =>
    p.map((value, i) =>
      rule(
        value,
        g[i] as number,
        t,
        (key) => remembered(state, key, p.length)[i] as number,
        (key, v) => {
          remembered(state, key, p.length)[i] = v;
        },
      ),
    );

interface Case {
  readonly make: (p: Parameter[]) => optim.Optimizer;
  readonly formula: Formula;
}

const cases: Readonly<Record<string, Case>> = {
  'SGD, rate inside': {
    make: (p) => new optim.SGD(p, { lr: 0.05, momentum: 0.9, momentumConvention: 'rateInside' }),
    formula: each((p, g, _t, get, set) => {
      set('v', 0.9 * get('v') + 0.05 * g);
      return p - get('v');
    }),
  },
  'SGD, average': {
    make: (p) => new optim.SGD(p, { lr: 0.5, momentum: 0.9, momentumConvention: 'average', weightDecay: 0.1 }),
    formula: each((p, g, _t, get, set) => {
      set('v', 0.9 * get('v') + (1 - 0.9) * (g + 0.1 * p));
      return p - 0.5 * get('v');
    }),
  },
  'Adam without bias correction': {
    make: (p) => new optim.Adam(p, { lr: 0.01, biasCorrection: false }),
    formula: each((p, g, _t, get, set) => {
      set('m', 0.9 * get('m') + (1 - 0.9) * g);
      set('v', 0.999 * get('v') + (1 - 0.999) * g * g);
      return p - (0.01 * get('m')) / (Math.sqrt(get('v')) + 1e-8);
    }),
  },
  'RMSprop, eps inside the root': {
    make: (p) => new optim.RMSprop(p, { lr: 0.01, alpha: 0.9, eps: 1e-3, epsInsideRoot: true }),
    formula: each((p, g, _t, get, set) => {
      set('v', 0.9 * get('v') + (1 - 0.9) * g * g);
      return p - (0.01 * g) / Math.sqrt(get('v') + 1e-3);
    }),
  },
  'NAdam, constant momentum': {
    make: (p) => new optim.NAdam(p, { lr: 0.01, momentumSchedule: false }),
    formula: each((p, g, t, get, set) => {
      set('m', 0.9 * get('m') + (1 - 0.9) * g);
      set('v', 0.999 * get('v') + (1 - 0.999) * g * g);
      const ahead = (0.9 * get('m')) / (1 - 0.9 ** (t + 1)) + ((1 - 0.9) * g) / (1 - 0.9 ** t);
      return p - (0.01 * ahead) / (Math.sqrt(get('v') / (1 - 0.999 ** t)) + 1e-8);
    }),
  },
  AdaBelief: {
    make: (p) => new optim.AdaBelief(p, { lr: 0.02, weightDecay: 0.1 }),
    formula: each((p, g, t, get, set) => {
      set('m', 0.9 * get('m') + (1 - 0.9) * g);
      set('s', 0.999 * get('s') + (1 - 0.999) * (g - get('m')) ** 2 + 1e-16);
      const step = get('m') / (1 - 0.9 ** t) / (Math.sqrt(get('s') / (1 - 0.999 ** t)) + 1e-16);
      return p * (1 - 0.02 * 0.1) - 0.02 * step;
    }),
  },
  Lion: {
    make: (p) => new optim.Lion(p, { lr: 0.01, weightDecay: 0.5 }),
    formula: each((p, g, _t, get, set) => {
      const c = 0.9 * get('m') + (1 - 0.9) * g;
      set('m', 0.99 * get('m') + (1 - 0.99) * g);
      return p - 0.01 * (Math.sign(c) + 0.5 * p);
    }),
  },
  LAMB: {
    make: (p) => new optim.LAMB(p, { lr: 0.01, weightDecay: 0.1 }),
    formula: (p, g, t, state) => {
      const [m, v] = [remembered(state, 'm', p.length), remembered(state, 'v', p.length)];
      const r = p.map((value, i) => {
        const slope = g[i] as number;
        m[i] = 0.9 * (m[i] as number) + (1 - 0.9) * slope;
        v[i] = 0.999 * (v[i] as number) + (1 - 0.999) * slope * slope;
        return (m[i] as number) / (1 - 0.9 ** t) / (Math.sqrt((v[i] as number) / (1 - 0.999 ** t)) + 1e-6) + 0.1 * value;
      });
      return p.map((value, i) => value - ((0.01 * norm(p)) / norm(r)) * (r[i] as number));
    },
  },
  LARS: {
    make: (p) => new optim.LARS(p, { lr: 5, weightDecay: 0.1 }),
    formula: (p, g, _t, state) => {
      const v = remembered(state, 'v', p.length);
      const local = (1e-3 * norm(p)) / (norm(g) + 0.1 * norm(p) + 1e-8);
      return p.map((value, i) => {
        v[i] = 0.9 * (v[i] as number) + 5 * local * ((g[i] as number) + 0.1 * value);
        return value - v[i];
      });
    },
  },
  Muon: {
    make: (p) => new optim.Muon(p.slice(0, 1), { lr: 0.05, nsDtype: 'float64' }),
    formula: (p, g, _t, state) => {
      if (p.length !== 12) return p;
      const buffer = remembered(state, 'm', p.length);
      const mixed = g.map((slope, i) => {
        buffer[i] = (buffer[i] as number) + 0.05 * (slope - (buffer[i] as number));
        return slope + 0.95 * (buffer[i] - slope);
      });
      let x = mixed.map((v) => v / Math.max(norm(mixed), 1e-7)); // (3, 4)
      const times = (a: number[], b: number[], n: number, k: number, m: number): number[] =>
        Array.from({ length: n * m }, (_, e) => {
          let sum = 0;
          for (let j = 0; j < k; j++) sum += (a[Math.floor(e / m) * k + j] as number) * (b[j * m + (e % m)] as number);
          return sum;
        });
      for (let i = 0; i < 5; i++) {
        const transposed = Array.from({ length: 12 }, (_, e) => x[(e % 3) * 4 + Math.floor(e / 3)] as number);
        const gram = times(x, transposed, 3, 4, 3);
        const square = times(gram, gram, 3, 3, 3);
        const both = gram.map((v, e) => -4.775 * v + 2.0315 * (square[e] as number));
        const next = times(both, x, 3, 3, 4);
        x = x.map((v, e) => 3.4445 * v + (next[e] as number));
      }
      return p.map((value, i) => value * (1 - 0.05 * 0.1) - 0.05 * (x[i] as number));
    },
  },
};

describe('formulas, 200 steps in float64', () => {
  for (const [name, { make, formula }] of Object.entries(cases)) {
    test(name, () => {
      const problem = bowl('float64');
      const optimizer = make(problem.params);
      const closure = closureOf({ zeroGrad: () => clear(problem.params) }, problem);
      const states = problem.params.map((): Record<string, number[]> => ({}));
      let expected = problem.params.map((p) => [...p.detach().reshape([-1]).toArray()] as number[]);
      for (let t = 1; t <= 200; t++) {
        closure();
        const gradients = problem.params.map((p) => [...(p.grad?.reshape([-1]).toArray() ?? [])] as number[]);
        expected = expected.map((p, k) => formula(p, gradients[k] as number[], t, states[k] as Record<string, number[]>));
        optimizer.step();
        assertClose(flat(problem.params), expected.flat(), [1e-7, 1e-7], `step ${t}`);
      }
    });
  }

  test('momentum: the sum at rate η is the rate inside; the average is the sum at η (1 - β)', () => {
    const run = (options: optim.SGDOptions): number[] => {
      const problem = bowl('float64');
      const optimizer = new optim.SGD(problem.params, options);
      for (let i = 0; i < 50; i++) optimizer.step(closureOf(optimizer, problem));
      return flat(problem.params);
    };
    const sum = run({ lr: 0.02, momentum: 0.9 });
    assertClose(run({ lr: 0.02, momentum: 0.9, momentumConvention: 'rateInside' }), sum, [1e-12, 1e-12], 'rate inside');
    assertClose(run({ lr: 0.2, momentum: 0.9, momentumConvention: 'average' }), sum, [1e-12, 1e-12], 'average');
  });

  test("Nesterov: the look-ahead form's shifted parameters are PyTorch's", () => {
    const [a, b] = [bowl('float64'), bowl('float64')];
    const literal = new optim.SGD(a.params, { lr: 0.02, momentum: 0.9, nesterov: 'lookAhead' });
    const shifted = new optim.SGD(b.params, { lr: 0.02, momentum: 0.9, nesterov: true });
    for (let i = 0; i < 50; i++) {
      literal.step(closureOf(literal, a));
      shifted.step(closureOf(shifted, b));
      const ahead = a.params.flatMap((p) => {
        const v = literal.state.get(p)?.momentumBuffer as Tensor;
        return [
          ...p
            .detach()
            .sub(v.mul(0.02 * 0.9))
            .reshape([-1])
            .toArray(),
        ] as number[];
      });
      assertClose(flat(b.params), ahead, [1e-10, 1e-10], `step ${i}`);
    }
    assert.throws(() => literal.step(), /SGD: nesterov 'lookAhead' takes gradients at another point/);
  });
});

describe('wrappers', () => {
  test('SAM takes the gradient at the worst point nearby', () => {
    const problem = bowl('float64');
    const optimizer = new optim.SAM(new optim.SGD(problem.params, { lr: 0.1 }), { rho: 0.2 });
    const other = bowl('float64');
    for (let i = 0; i < 20; i++) {
      const was = other.params.map((p) => p.detach().clone());
      closureOf({ zeroGrad: () => clear(other.params) }, other)();
      const gradients = other.params.map((p) => p.grad as Tensor);
      const length = norm(gradients.flatMap((g) => [...g.reshape([-1]).toArray()] as number[]));
      cr.noGrad(() => other.params.forEach((p, k) => void p.add_((gradients[k] as Tensor).mul(0.2 / (length + 1e-12)))));
      clear(other.params);
      other.loss().backward();
      cr.noGrad(() => other.params.forEach((p, k) => void p.copy_((was[k] as Tensor).sub((p.grad as Tensor).mul(0.1)))));
      const loss = optimizer.step(closureOf(optimizer, problem));
      assert.ok(Number.isFinite(loss.itemNow()));
      assertClose(flat(problem.params), flat(other.params), [1e-12, 1e-12], `step ${i}`);
    }
  });

  test('Lookahead goes back half of the way every k steps', () => {
    const [a, b] = [bowl('float64'), bowl('float64')];
    const optimizer = new optim.Lookahead(new optim.SGD(a.params, { lr: 0.1 }), { k: 3 });
    const plain = new optim.SGD(b.params, { lr: 0.1 });
    let slow = b.params.map((p) => p.detach().clone());
    for (let i = 1; i <= 20; i++) {
      optimizer.step(closureOf(optimizer, a));
      plain.step(closureOf(plain, b));
      if (i % 3 === 0) {
        slow = slow.map((s, k) => s.add((b.params[k] as Parameter).detach().sub(s).mul(0.5)));
        cr.noGrad(() => b.params.forEach((p, k) => void p.copy_(slow[k] as Tensor)));
      }
      assertClose(flat(a.params), flat(b.params), [1e-12, 1e-12], `step ${i}`);
    }
    const state = optimizer.stateDict();
    assert.deepEqual([state.steps, state.slow.length], [20, 2]);
    optimizer.loadStateDict(state);
  });

  for (const [name, make] of Object.entries({
    SAM: (p: Parameter[]) => new optim.SAM(new optim.Adam(p, { lr: 0.1 })),
    'SAM, adaptive': (p: Parameter[]) => new optim.SAM(new optim.SGD(p, { lr: 0.1 }), { adaptive: true, rho: 0.5 }),
    Lookahead: (p: Parameter[]) => new optim.Lookahead(new optim.Adam(p, { lr: 0.1 }), { k: 3 }),
    'SGD, look-ahead': (p: Parameter[]) => new optim.SGD(p, { lr: 0.05, momentum: 0.9, nesterov: 'lookAhead' }),
  })) {
    test(`${name}: compiled steps are the eager ones`, () => {
      const run = (wrap: (f: () => Tensor) => () => Tensor): unknown => {
        const problem = bowl('float32');
        const optimizer = make(problem.params);
        const step = wrap(() => optimizer.step(closureOf(optimizer, problem)));
        const losses = Array.from({ length: 10 }, (_, i) => {
          for (const group of optimizer.paramGroups) group.lr = 0.1 / (1 + i);
          return step().itemNow();
        });
        return [losses, flat(problem.params), optimizer.stepCount];
      };
      assert.deepEqual(
        run((f) => cr.compile(f, { fuse: false })),
        run((f) => f),
      );
    });
  }
});
