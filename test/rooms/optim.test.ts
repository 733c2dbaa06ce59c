// Optimizers, schedules and clipping against PyTorch's own runs (fixtures/optim.py).
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import { clipGradNorm_, clipGradValue_, type DType, Parameter, tensor, zeros } from '../../dist/index.js';
import * as optim from '../../dist/optim/index.js';

type Options = Readonly<Record<string, unknown>>;
interface Moment {
  readonly step: number;
  readonly params: readonly number[];
}
interface Fixture {
  readonly optimizers: readonly {
    readonly name: 'SGD' | 'Adam' | 'AdamW';
    readonly options: Options;
    readonly float64: Moment[];
    readonly float32: Moment[];
  }[];
  readonly groups: readonly Moment[];
  readonly schedules: readonly {
    readonly name: ScheduleName;
    readonly args: readonly unknown[];
    readonly options: Options;
    readonly optimizer: 'SGD' | 'AdamW';
    readonly lr: readonly number[][];
    readonly momentum: readonly number[];
  }[];
  readonly combined: Readonly<Record<'SequentialLR' | 'ChainedScheduler' | 'LambdaLR', readonly number[][]>>;
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
type ScheduleName = 'StepLR' | 'MultiStepLR' | 'ExponentialLR' | 'LinearLR' | 'ConstantLR' | 'CosineAnnealingLR' | 'OneCycleLR';

const fixture = JSON.parse(readFileSync(new URL('../../fixtures/optim.json', import.meta.url), 'utf8')) as Fixture;
const tolerance = { float64: 1e-10, float32: 1e-5 } as const;

function assertClose(got: readonly number[], want: readonly number[], rtol: number, what: string): void {
  assert.equal(got.length, want.length, what);
  got.forEach((g, i) => {
    const w = want[i] as number;
    assert.ok(Math.abs(g - w) <= rtol * (0.1 + Math.abs(w)), `${what}: element ${i} is ${g}, PyTorch has ${w}`);
  });
}

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

/** Trains for 40 steps and compares where PyTorch's run was written down. `between` runs after each step. */
function follow(
  optimizer: optim.Optimizer,
  { params, backward }: ReturnType<typeof problem>,
  want: readonly Moment[],
  rtol: number,
  between?: () => void,
): void {
  for (let step = 1; step <= 40; step++) {
    optimizer.zeroGrad();
    backward(step);
    optimizer.step();
    between?.();
    const moment = want.find((m) => m.step === step);
    if (moment) assertClose(flat(params), moment.params, rtol, `step ${step}`);
  }
}

function make(name: 'SGD' | 'Adam' | 'AdamW', params: readonly Parameter[], options: Options): optim.Optimizer {
  if (name === 'SGD') return new optim.SGD(params, options);
  return name === 'Adam' ? new optim.Adam(params, options) : new optim.AdamW(params, options);
}

describe('optimizers: 40 steps as in PyTorch', () => {
  for (const { name, options, ...runs } of fixture.optimizers) {
    for (const dtype of ['float64', 'float32'] as const) {
      test(`${name} ${JSON.stringify(options)} ${dtype}`, () => {
        const given = problem(dtype);
        follow(make(name, given.params, options), given, runs[dtype], tolerance[dtype]);
      });
    }
  }

  test('groups with options of their own, under a schedule', () => {
    const given = problem('float64');
    const [matrix, vector] = given.params as [Parameter, Parameter];
    const groups = [
      { params: [matrix], lr: 0.2, weightDecay: 0 },
      { params: [vector], betas: [0.8, 0.9] as const },
    ];
    const optimizer = new optim.AdamW(groups, { lr: 0.05 });
    const schedule = new optim.StepLR(optimizer, 10, 0.5);
    follow(optimizer, given, fixture.groups, tolerance.float64, () => schedule.step());
  });
});

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

function construct(name: ScheduleName, optimizer: optim.SGD | optim.AdamW, args: readonly unknown[], options: Options): optim.Scheduler {
  const [first, second] = args as [number, number | undefined];
  switch (name) {
    case 'StepLR':
      return new optim.StepLR(optimizer, first, second);
    case 'MultiStepLR':
      return new optim.MultiStepLR(optimizer, args[0] as number[], second);
    case 'ExponentialLR':
      return new optim.ExponentialLR(optimizer, first);
    case 'LinearLR':
      return new optim.LinearLR(optimizer, options);
    case 'ConstantLR':
      return new optim.ConstantLR(optimizer, options);
    case 'CosineAnnealingLR':
      return new optim.CosineAnnealingLR(optimizer, first, options);
    case 'OneCycleLR':
      return new optim.OneCycleLR(optimizer, first, options);
  }
}

function ratesOf(schedule: optim.Scheduler, count: number): number[][] {
  const rates = [schedule.getLastLr()];
  while (rates.length < count) {
    schedule.step();
    rates.push(schedule.getLastLr());
  }
  return rates;
}

describe('schedules: 30 steps as in PyTorch', () => {
  for (const { name, args, options, optimizer: kind, lr, momentum } of fixture.schedules) {
    test(`${name}(${JSON.stringify(args)}, ${JSON.stringify(options)}) of ${kind}`, () => {
      const optimizer = twoGroups(kind);
      const schedule = construct(name, optimizer, args, options);
      lr.forEach((want, t) => {
        if (t > 0) schedule.step();
        assertClose(schedule.getLastLr(), want, 1e-12, `rates after ${t} steps`);
        const group = optimizer.paramGroups[0] as { readonly momentum?: number; readonly betas?: readonly number[] };
        assertClose([group.betas?.[0] ?? group.momentum ?? Number.NaN], [momentum[t] as number], 1e-12, `momentum after ${t} steps`);
      });
    });
  }

  const combinations: Readonly<Record<keyof Fixture['combined'], (o: optim.SGD | optim.AdamW) => optim.Scheduler>> = {
    SequentialLR: (o) => {
      const parts = [new optim.LinearLR(o, { startFactor: 0.1, totalIters: 5 }), new optim.CosineAnnealingLR(o, 12, { etaMin: 0.001 })];
      return new optim.SequentialLR(o, [...parts, new optim.ExponentialLR(o, 0.8)], [5, 17]);
    },
    ChainedScheduler: (o) =>
      new optim.ChainedScheduler(o, [new optim.ConstantLR(o, { factor: 0.1, totalIters: 6 }), new optim.ExponentialLR(o, 0.9)]),
    LambdaLR: (o) => new optim.LambdaLR(o, [(t) => 1 / (1 + t), (t) => 0.5 ** t]),
  };
  for (const [name, combine] of Object.entries(combinations)) {
    test(name, () => {
      const want = fixture.combined[name as keyof typeof combinations];
      const got = ratesOf(combine(twoGroups()), want.length);
      for (const [t, rates] of got.entries()) assertClose(rates, want[t] as number[], 1e-12, `rates after ${t} steps`);
    });
  }

  for (const { options, lr } of fixture.plateaus.rows) {
    test(`ReduceLROnPlateau(${JSON.stringify(options)})`, () => {
      const schedule = new optim.ReduceLROnPlateau(twoGroups(), options);
      fixture.plateaus.metrics.forEach((metric, t) => {
        schedule.step(metric);
        assertClose(schedule.getLastLr(), lr[t] as number[], 1e-12, `rates after ${t + 1} metrics`);
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
      assertClose(after.getLastLr(), lr[8] as number[], 1e-12, name);
    }
  });
});

describe('clipping as in PyTorch', () => {
  for (const { normType, maxNorm, norm, grads: want } of fixture.clipping.norms) {
    test(`clipGradNorm_ to ${maxNorm} in the ${normType}-norm`, () => {
      const { params, backward } = problem('float64');
      backward(1);
      const total = clipGradNorm_(params, maxNorm, { normType: normType === 'inf' ? Number.POSITIVE_INFINITY : normType });
      assertClose([total.itemNow()], [norm], 1e-12, 'the norm before');
      assertClose(grads(params), want, 1e-12, 'gradients');
    });
  }

  test('clipGradValue_', () => {
    const { params, backward } = problem('float64');
    backward(1);
    clipGradValue_(params, fixture.clipping.value.clipValue);
    assertClose(grads(params), fixture.clipping.value.grads, 1e-12, 'gradients');
  });
});
