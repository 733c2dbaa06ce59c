// Optimizers, schedules and clipping against PyTorch's own runs (fixtures/optim.py).
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import * as cr from '../../dist/index.js';
import { clipGradNorm_, clipGradValue_, type DType, Parameter, type Tensor, tensor, zeros } from '../../dist/index.js';
import * as optim from '../../dist/optim/index.js';
import { assertClose } from '../support/objectives.js';

type Options = Readonly<Record<string, unknown>>;
interface Moment {
  readonly step: number;
  readonly params: readonly number[];
}
interface Fixture {
  readonly optimizers: readonly {
    readonly name: Name;
    readonly options: Options;
    readonly float64: Moment[];
    readonly float32: Moment[];
    readonly saved: { readonly state: Readonly<Record<string, Readonly<Record<string, Plain>>>>; readonly paramGroups: readonly Options[] };
  }[];
  readonly groups: readonly { readonly name: Name; readonly float64: Moment[]; readonly float32: Moment[] }[];
  readonly schedules: readonly {
    readonly name: keyof typeof schedules;
    readonly args: readonly unknown[];
    readonly options: Options;
    readonly optimizer: 'SGD' | 'AdamW';
    readonly lr: readonly number[][];
    readonly momentum: readonly number[];
  }[];
  readonly combined: Readonly<Record<Combination | 'fractions', readonly number[][]>>;
  readonly plateaus: {
    readonly metrics: readonly number[];
    readonly rows: readonly { readonly options: Options; readonly lr: number[][] }[];
  };
  readonly clipping: {
    readonly norms: readonly {
      readonly normType: number | 'inf';
      readonly maxNorm: number;
      readonly norm: number;
      readonly grads: number[];
    }[];
    readonly value: { readonly clipValue: number; readonly grads: readonly number[] };
  };
}
type Plain = number | { readonly shape: readonly number[]; readonly values: number[] };
const fixture = JSON.parse(readFileSync(new URL('../../fixtures/optim.json', import.meta.url), 'utf8')) as Fixture;

/** [relative, absolute], as PyTorch's own tests have them. */
const tolerance = { float64: [1e-7, 1e-7], float32: [1.3e-6, 1e-5] } as const;
const exact = [1e-12, 1e-12] as const;

const shapes = [[3, 4], [5]] as const;

/** The problem that fixtures/optim.py describes. */
function problem(dtype: DType) {
  const series = (shape: readonly number[], phase: number): number[] =>
    Array.from({ length: shape.reduce((n, d) => n * d, 1) }, (_, i) => Math.sin(phase + 1.7 * i));
  const params = shapes.map((s, k) => new Parameter(tensor(series(s, 0.3 + k), { dtype }).reshape(s)));
  const targets = shapes.map((s, k) => tensor(series(s, 2 + k), { dtype }).reshape(s));
  const curvatures = shapes.map((s, k) =>
    tensor(
      series(s, 4 + k).map((v) => 1.5 + v),
      { dtype },
    ).reshape(s),
  );
  const backward = (step: number): void => {
    let loss = zeros([], { dtype });
    params.forEach((p, k) => {
      const [t, c] = [targets[k], curvatures[k]] as const;
      if (t && c) loss = loss.add(c.mul(p.sub(t).square()).sum().div(2)).add(p.sum().mul(0.1 * Math.cos(0.7 * step)));
    });
    loss.backward();
  };
  return { params, backward };
}

const flat = (params: readonly Parameter[]): number[] => params.flatMap((p) => [...p.detach().reshape([-1]).toArray()]) as number[];
const grads = (params: readonly Parameter[]): number[] => params.flatMap((p) => [...(p.grad?.reshape([-1]).toArray() ?? [])]) as number[];

/** Trains for 200 steps and compares where PyTorch's run was written down. `between` runs after each step. */
function follow(
  optimizer: optim.Optimizer,
  { params, backward }: ReturnType<typeof problem>,
  want: readonly Moment[],
  within: readonly [number, number],
  between?: () => void,
  to = 200,
  from = 1,
): void {
  for (let step = from; step <= to; step++) {
    optimizer.zeroGrad();
    backward(step);
    optimizer.step();
    between?.();
    const moment = want.find((m) => m.step === step);
    if (moment) assertClose(flat(params), moment.params, within, `step ${step}`);
  }
}

type Kind = new (params: readonly Parameter[] | readonly { readonly params: readonly Parameter[] }[], options: Options) => optim.Optimizer;
const kinds = {
  ...{ SGD: optim.SGD, Adam: optim.Adam, AdamW: optim.AdamW, Adagrad: optim.Adagrad, RMSprop: optim.RMSprop, NAdam: optim.NAdam },
  ...{ Adamax: optim.Adamax, Adadelta: optim.Adadelta, RAdam: optim.RAdam, Rprop: optim.Rprop, ASGD: optim.ASGD },
  ...{ Adafactor: optim.Adafactor },
} as const;
type Name = keyof typeof kinds;
const make = (name: Name, params: ConstructorParameters<Kind>[0], options: Options): optim.Optimizer =>
  new (kinds[name] as unknown as Kind)(params, options);

describe('optimizers: 200 steps as in PyTorch', () => {
  for (const { name, options, ...runs } of fixture.optimizers) {
    for (const dtype of ['float64', 'float32'] as const) {
      test(`${name} ${JSON.stringify(options)} ${dtype}`, () => {
        const given = problem(dtype);
        follow(make(name, given.params, options), given, runs[dtype], tolerance[dtype]);
      });
    }
  }

  for (const { name, ...runs } of fixture.groups) {
    for (const dtype of ['float64', 'float32'] as const) {
      test(`${name}: groups with options of their own, under a schedule, ${dtype}`, () => {
        const given = problem(dtype);
        const [matrix, vector] = given.params as [Parameter, Parameter];
        const own = { params: [matrix], lr: 0.02, ...(name !== 'Rprop' && { weightDecay: 0.1 }) };
        const optimizer = make(name, [own, { params: [vector] }], { lr: 0.005 });
        const schedule = new optim.StepLR(optimizer, 10, { gamma: 0.8 });
        follow(optimizer, given, runs[dtype], tolerance[dtype], () => schedule.step());
      });
    }
  }
});

/** A state dict of the fixture with tensors in it. */
function torchState({ state, paramGroups }: Fixture['optimizers'][number]['saved']): optim.TorchOptimizerState {
  const revive = (value: Plain | null): Tensor | number | null =>
    value !== null && typeof value === 'object' ? tensor(value.values, { dtype: 'float64' }).reshape(value.shape) : value;
  const states = Object.entries(state).map(([i, s]) => [i, Object.fromEntries(Object.entries(s).map(([k, v]) => [k, revive(v)]))]);
  return {
    state: Object.fromEntries(states) as optim.TorchOptimizerState['state'],
    param_groups: paramGroups as optim.TorchOptimizerState['param_groups'],
  };
}

describe('optimizers: state', () => {
  for (const { name, options } of fixture.optimizers) {
    test(`${name} ${JSON.stringify(options)}: saved and loaded half-way, it ends at the same bits`, () => {
      const straight = problem('float32');
      const first = make(name, straight.params, options);
      const other = problem('float32');
      const before = make(name, other.params, options);
      const advance = (o: optim.Optimizer, { backward }: ReturnType<typeof problem>, from: number, to: number): void => {
        for (let step = from; step <= to; step++) {
          o.zeroGrad();
          backward(step);
          o.step();
        }
      };
      advance(first, straight, 1, 12);
      advance(before, other, 1, 6);
      const after = make(name, other.params, { ...options, lr: 0.9 });
      after.loadStateDict(before.stateDict());
      advance(after, other, 7, 12);
      assert.deepEqual(flat(other.params), flat(straight.params));
    });
  }

  for (const { name, options, float64, saved } of fixture.optimizers) {
    test(`${name} ${JSON.stringify(options)}: PyTorch's state after 50 steps is this library's, and can be gone on from`, () => {
      const own = problem('float64');
      const optimizer = make(name, own.params, options);
      follow(optimizer, own, float64, tolerance.float64, undefined, 50);
      const { state, param_groups } = optim.toTorchState(optimizer.stateDict());
      for (const [i, values] of Object.entries(saved.state)) {
        const mine = state[Number(i)] ?? {};
        const wanted = Object.entries(values).filter(([, v]) => v !== null);
        assert.deepEqual(Object.keys(mine).sort(), wanted.map(([key]) => key).sort());
        for (const [key, value] of wanted) {
          const want = value as Exclude<Plain, number>;
          assert.deepEqual(mine[key] && (mine[key] as Tensor).shape, want.shape, key);
          // Numbers are float32 tensors here, as PyTorch has them unless its default type is another.
          const within = ['eta', 'mu', 'mu_product'].includes(key) ? tolerance.float32 : tolerance.float64;
          assertClose([...(mine[key] as Tensor).toArray()] as number[], want.values, within, key);
        }
      }
      for (const [key, value] of Object.entries(saved.paramGroups[0] ?? {})) {
        const mine = param_groups[0]?.[key];
        if (mine !== undefined && value !== null) assert.deepEqual(mine, value, key);
      }

      const other = problem('float64');
      const moment = float64.find((m) => m.step === 50);
      const at = [0, 12];
      cr.noGrad(() => {
        other.params.forEach((p, k) => {
          p.copy_(tensor(moment?.params.slice(at[k], (at[k] ?? 0) + p.size) as number[], { dtype: 'float64' }).reshape(p.shape));
        });
      });
      const after = make(name, other.params, {});
      after.loadStateDict(torchState(saved));
      follow(after, other, float64, tolerance.float64, undefined, 200, 51);
    });
  }

  test('state and groups are numbered by position, as in PyTorch', () => {
    const { params, backward } = problem('float32');
    const optimizer = new optim.Adam(params, { lr: 0.5 });
    assert.deepEqual(optimizer.stateDict().state, {});
    backward(1);
    optimizer.step();
    const { state, paramGroups } = optimizer.stateDict();
    assert.deepEqual(Object.keys(state), ['0', '1']);
    assert.deepEqual(Object.keys(state[0] ?? {}), ['step', 'expAvg', 'expAvgSq']);
    assert.deepEqual(paramGroups[0]?.params, [0, 1]);
    assert.equal(paramGroups[0]?.lr, 0.5);
  });

  test('loading copies: the saved state does not follow', () => {
    const { params, backward } = problem('float32');
    const optimizer = new optim.SGD(params, { momentum: 0.9 });
    backward(1);
    optimizer.step();
    const saved = optimizer.stateDict();
    const other = new optim.SGD(params, { momentum: 0.9 });
    other.loadStateDict(saved);
    const buffer = optimizer.state.get(params[0] as Parameter)?.momentumBuffer;
    assert.ok(typeof buffer === 'object');
    const was = [...buffer.toArray()];
    other.step();
    assert.deepEqual([...buffer.toArray()], was);
  });

  test('a parameter without gradient is left alone; zeroGrad forgets or zeroes', () => {
    const [used, idle] = [new Parameter(tensor([1, 2])), new Parameter(tensor([3]))];
    const optimizer = new optim.Adam([used, idle], { lr: 0.1 });
    used.mul(2).sum().backward();
    optimizer.step();
    assert.equal(idle.itemNow(), 3);
    assert.equal(optimizer.state.size, 1);
    optimizer.zeroGrad({ setToNone: false });
    assert.deepEqual([...(used.grad?.toArray() ?? [])], [0, 0]);
    optimizer.zeroGrad();
    assert.equal(used.grad, null);
  });

  test('parameters may be added later', () => {
    const [early, late] = [new Parameter(tensor([1])), new Parameter(tensor([1]))];
    const optimizer = new optim.SGD([early], { lr: 1 });
    optimizer.addParamGroup({ params: [late], lr: 0.5 });
    early.add(late).sum().backward();
    optimizer.step();
    assert.deepEqual([early.itemNow(), late.itemNow()], [0, 0.5]);
  });
});

/** Two groups with rates 0.8 and 0.3, as in the fixture. */
function twoGroups(kind: 'SGD' | 'AdamW' = 'SGD'): optim.SGD | optim.AdamW {
  const [a, b] = [new Parameter(zeros([1])), new Parameter(zeros([1]))];
  const groups = [{ params: [a] }, { params: [b], lr: 0.3 }];
  return kind === 'SGD' ? new optim.SGD(groups, { lr: 0.8, momentum: 0.9 }) : new optim.AdamW(groups, { lr: 0.8 });
}

type Maker = new (optimizer: optim.Schedulable, ...rest: unknown[]) => optim.Scheduler;
const schedules = {
  ...{ StepLR: optim.StepLR, MultiStepLR: optim.MultiStepLR, ExponentialLR: optim.ExponentialLR, LinearLR: optim.LinearLR },
  ...{ ConstantLR: optim.ConstantLR, PolynomialLR: optim.PolynomialLR, CosineAnnealingLR: optim.CosineAnnealingLR },
  ...{ CosineAnnealingWarmRestarts: optim.CosineAnnealingWarmRestarts, OneCycleLR: optim.OneCycleLR, CyclicLR: optim.CyclicLR },
  ...{ SWALR: optim.SWALR },
} as const;
type Combination = 'SequentialLR' | 'ChainedScheduler' | 'LambdaLR' | 'MultiplicativeLR' | 'together';

const construct = (
  name: keyof typeof schedules,
  optimizer: optim.SGD | optim.AdamW,
  args: readonly unknown[],
  o: Options,
): optim.Scheduler => new (schedules[name] as unknown as Maker)(optimizer, ...args, o);

/** The rates before the first step and after each. */
function ratesOf(schedule: optim.Scheduler, count: number): number[][] {
  const rates = [schedule.getLastLr()];
  while (rates.length < count) {
    (schedule.optimizer as optim.SGD).step();
    schedule.step();
    rates.push(schedule.getLastLr());
  }
  return rates;
}

describe('schedules: 100 steps as in PyTorch', () => {
  for (const { name, args, options, optimizer: kind, lr, momentum } of fixture.schedules) {
    test(`${name}(${JSON.stringify(args)}, ${JSON.stringify(options)}) of ${kind}`, () => {
      const optimizer = twoGroups(kind);
      const schedule = construct(name, optimizer, args, options);
      lr.forEach((want, t) => {
        optimizer.step();
        if (t > 0) schedule.step();
        assertClose(schedule.getLastLr(), want, exact, `rates after ${t} steps`);
        const group = optimizer.paramGroups[0] as { readonly momentum?: number; readonly betas?: readonly number[] };
        assertClose([group.betas?.[0] ?? group.momentum ?? Number.NaN], [momentum[t] as number], exact, `momentum after ${t} steps`);
      });
    });
  }

  const combinations: Readonly<Record<Combination, (o: optim.SGD | optim.AdamW) => optim.Scheduler>> = {
    SequentialLR: (o) => {
      const parts = [new optim.LinearLR(o, { startFactor: 0.1, totalIters: 5 }), new optim.CosineAnnealingLR(o, 12, { etaMin: 0.001 })];
      return new optim.SequentialLR(o, [...parts, new optim.ExponentialLR(o, 0.8)], [5, 17]);
    },
    ChainedScheduler: (o) =>
      new optim.ChainedScheduler([new optim.ConstantLR(o, { factor: 0.1, totalIters: 6 }), new optim.ExponentialLR(o, 0.9)]),
    // Two schedules that know nothing of each other; one reads as both.
    together: (o) => {
      const parts = [new optim.CosineAnnealingLR(o, 40), new optim.LinearLR(o, { startFactor: 0.01, totalIters: 20 })] as const;
      const [first, second] = parts;
      const step = first.step.bind(first);
      first.step = () => {
        step();
        second.step();
      };
      return first;
    },
    MultiplicativeLR: (o) => new optim.MultiplicativeLR(o, (t) => 1 - 1 / (t + 3)),
    LambdaLR: (o) => new optim.LambdaLR(o, [(t) => 1 / (1 + t), (t) => 0.5 ** t]),
  };
  for (const [name, combine] of Object.entries(combinations)) {
    test(name, () => {
      const want = fixture.combined[name as keyof typeof combinations];
      const got = ratesOf(combine(twoGroups()), want.length);
      for (const [t, rates] of got.entries()) assertClose(rates, want[t] as number[], exact, `rates after ${t} steps`);
    });
  }

  test('warm restarts at fractions of epochs', () => {
    const schedule = new optim.CosineAnnealingWarmRestarts(twoGroups(), 3, { tMult: 2 });
    for (const [t, want] of fixture.combined.fractions.entries()) {
      schedule.step(t / 7);
      assertClose(schedule.getLastLr(), want, exact, `rates at ${t} / 7`);
    }
  });

  for (const { options, lr } of fixture.plateaus.rows) {
    test(`ReduceLROnPlateau(${JSON.stringify(options)})`, () => {
      const schedule = new optim.ReduceLROnPlateau(twoGroups(), options);
      fixture.plateaus.metrics.forEach((metric, t) => {
        schedule.step(metric);
        assertClose(schedule.getLastLr(), lr[t] as number[], exact, `rates after ${t + 1} metrics`);
      });
    });
  }

  test('a schedule saved and loaded goes on where it was', () => {
    for (const { name, args, options, lr } of fixture.schedules) {
      const before = construct(name, twoGroups(), args, options);
      ratesOf(before, 8);
      const after = construct(name, twoGroups(), args, options);
      after.loadStateDict(before.stateDict());
      after.step();
      assertClose(after.getLastLr(), lr[8] as number[], exact, name);
    }
  });
});

describe('clipping as in PyTorch', () => {
  for (const { normType, maxNorm, norm, grads: want } of fixture.clipping.norms) {
    test(`clipGradNorm_ to ${maxNorm} in the ${normType}-norm`, () => {
      const { params, backward } = problem('float64');
      backward(1);
      const total = clipGradNorm_(params, maxNorm, { normType: normType === 'inf' ? Number.POSITIVE_INFINITY : normType });
      assertClose([total.itemNow()], [norm], exact, 'the norm before');
      assertClose(grads(params), want, exact, 'gradients');
    });
  }

  test('clipGradValue_', () => {
    const { params, backward } = problem('float64');
    backward(1);
    clipGradValue_(params, fixture.clipping.value.clipValue);
    assertClose(grads(params), fixture.clipping.value.grads, exact, 'gradients');
  });
});
