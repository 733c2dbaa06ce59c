// The seven workloads that speed is judged by, in small, 50 steps each: compiled runs are the eager ones at every step.
//
// Losses, weights, statistics and the optimizer's moments: without fusion the replay is eager training bit by bit, and with fusion
// too where the kernels are the same. Batch norm's sums are not: fused into what makes or uses their values they are taken in another
// order. There compile({ verify }) compares each of the 50 steps with its unfused form: sums within what another order may change, all
// else in every bit (two runs side by side would show how fast training amplifies a rounding, not whether a step is right).
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { compile, manualSeed, type Tensor, withDevice } from '../../dist/index.js';
import { Dropout } from '../../dist/nn/index.js';
import type { Backend } from '../../dist/program/backend.js';
import { engineNames, open } from '../support/backends.js';
import { type Workload, workloads } from '../support/workloads.js';

const STEPS = 50;
/** Enough for everything that changes to have changed, and changed back. */
const RESTLESS_STEPS = 30;

interface Run {
  readonly losses: readonly number[];
  readonly weights: readonly (readonly [name: string, Float64Array])[];
  readonly moments: readonly Float64Array[];
  readonly programs: number;
}
/** Changes what it likes before a step, and says how many examples come next. */
type Before = (workload: Workload, step: number) => number;

/** How a step runs. */
const ways = {
  eager: (step: Step): Step => step,
  unfused: (step: Step) => compile(step, { fuse: false }),
  fused: (step: Step) => compile(step),
  verified: (step: Step) => compile(step, { verify: STEPS }),
} as const;
type Step = (x: Tensor, y: Tensor) => Tensor;
type Way = keyof typeof ways;

/** With fusion, sums are taken in another order. */
const reordered = new Set(['cnn', 'resnet20']);

const values = (t: Tensor): Float64Array => Float64Array.from(t.toArray(), Number);
const asEver: Before = () => 8;

function stepOf({ model, optimizer, loss }: Workload): Step {
  return (x, y) => {
    optimizer.zeroGrad();
    const value = loss(model.forward(x), y);
    if (!model.training) return value;
    value.backward();
    optimizer.step();
    return value;
  };
}

function train(device: Backend, make: () => Workload, way: Way, before: Before = asEver): Run {
  return withDevice(device, () => {
    manualSeed(3);
    const workload = make();
    const { model } = workload;
    const step = ways[way](stepOf(workload));
    const losses = Array.from({ length: before === asEver ? STEPS : RESTLESS_STEPS }, (_, i) => {
      const size = before(workload, i);
      return step(...workload.batch(size)).itemNow();
    });
    const moments = momentsOf(workload);
    return {
      losses,
      weights: [...model.stateDict()].map(([name, t]) => [name, values(t)] as const),
      moments: moments.map(values),
      programs: 'programs' in step ? (step as ReturnType<typeof ways.fused>).programs.length : 0,
    };
  });
}

function assertSame(got: Run, want: Run, what: string): void {
  for (const [i, loss] of want.losses.entries()) assert.equal(got.losses[i], loss, `${what}: loss ${i + 1}`);
  assert.deepEqual(got.weights, want.weights, `${what}: weights`);
  assert.deepEqual(got.moments, want.moments, `${what}: moments`);
}

const momentsOf = ({ optimizer }: Workload): Tensor[] =>
  Object.values(optimizer.stateDict().state).flatMap((s) => Object.values(s).filter((v) => typeof v !== 'number') as Tensor[]);

/** Rates, modes, batch sizes and a probability move, some often, some once. */
const restless: Before = ({ model, optimizer }, i) => {
  for (const group of optimizer.paramGroups) group.lr = 0.01 / (1 + i);
  model.train(i % 5 !== 4);
  for (const m of model.modules()) if (m instanceof Dropout && i === 20) Object.assign(m, { p: 0.6 });
  return i % 7 === 6 ? 5 : 8;
};

for (const name of engineNames) {
  const [one, two] = await Promise.all([1, 2].map((threads) => open(name, { threads })));
  describe(name, { skip: !one?.backend && `no ${name}: ${one?.why}` }, () => {
    const [device, threaded] = [one?.backend as Backend, two?.backend as Backend];
    for (const [workload, make] of Object.entries(workloads)) {
      test(`${workload}: ${STEPS} compiled steps are the eager ones, with one thread and with two (${name})`, () => {
        const eager = train(device, make, 'eager');
        assert.ok(eager.losses.every(Number.isFinite));
        assertSame(train(device, make, 'unfused'), eager, 'unfused for eager');
        const fused = train(device, make, 'fused');
        assert.equal(fused.programs, 1);
        if (reordered.has(workload)) assertSame(train(device, make, 'verified'), fused, 'verified for compiled');
        else assertSame(fused, eager, 'compiled for eager');
        assertSame(train(threaded, make, 'fused'), fused, 'two threads for one');
      });

      test(`${workload}: rates, modes, batch sizes and the dropout probability change mid-run (${name})`, () => {
        const eager = train(device, make, 'eager', restless);
        assertSame(train(device, make, 'unfused', restless), eager, 'unfused for eager');
        const fused = train(device, make, 'fused', restless);
        assert.ok(fused.programs >= 3 && fused.programs <= 8, `${fused.programs} programs`); // modes x sizes, and another probability
        if (reordered.has(workload)) assertSame(train(device, make, 'verified', restless), fused, 'verified for compiled');
        else assertSame(fused, eager, 'compiled for eager');
        assertSame(train(threaded, make, 'fused', restless), fused, 'two threads for one');
      });
    }
  });
}
