// Schedules that PyTorch lacks, against their formulas; stepping units; the range test.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { manualSeed, mseLoss, Parameter, randn, tensor, zeros } from '../../dist/index.js';
import { Linear } from '../../dist/nn/index.js';
import * as optim from '../../dist/optim/index.js';
import { fit } from '../../dist/train/index.js';

const sgd = (lr = 0.8): optim.SGD => new optim.SGD([new Parameter(zeros([1]))], { lr });

function ratesOf(schedule: optim.Scheduler, count: number): number[] {
  return Array.from({ length: count }, () => {
    const [lr] = schedule.getLastLr();
    (schedule.optimizer as optim.SGD).step();
    schedule.step();
    return lr as number;
  });
}

function assertRates(schedule: optim.Scheduler, count: number, want: (t: number) => number): void {
  for (const [t, lr] of ratesOf(schedule, count).entries()) assert.ok(Math.abs(lr - want(t)) < 1e-14, `${t}: ${lr} for ${want(t)}`);
}

describe('schedules by formula', () => {
  test('warm-up multiplies a constant rate', () => assertRates(new optim.WarmupLR(sgd(), 10), 40, (t) => 0.8 * Math.min(1, (t + 1) / 10)));

  test('warm-up multiplies any other schedule', () => {
    const o = sgd();
    const schedule = new optim.WarmupLR(o, 10, { after: new optim.CosineAnnealingLR(o, 50).per('batch') });
    assert.equal(schedule.unit, 'batch');
    assertRates(schedule, 50, (t) => 0.4 * Math.min(1, (t + 1) / 10) * (1 + Math.cos((Math.PI * t) / 50)));
  });

  test('warm-up, then a cosine to a tenth', () => {
    const schedule = new optim.WarmupCosineLR(sgd(), 200, { warmupSteps: 20 });
    const want = (t: number): number => {
      if (t < 20) return (0.8 * (t + 1)) / 20;
      return 0.8 * (0.1 + 0.45 * (1 + Math.cos((Math.PI * Math.min(180, t - 20)) / 180)));
    };
    assertRates(schedule, 230, want);
    assert.equal(new optim.WarmupCosineLR(sgd(), 200).warmupSteps, 6);
  });

  test('inverse square root', () => {
    const schedule = new optim.InverseSqrtLR(sgd(2), 16, { modelDim: 64 });
    assertRates(schedule, 100, (t) => (2 / 8) * Math.min((t + 1) ** -0.5, (t + 1) * 16 ** -1.5));
  });

  test('linear decay', () => {
    const schedule = new optim.LinearDecayLR(sgd(), 50, { endLr: 0.1 });
    assertRates(schedule, 70, (t) => 0.8 * (1 - Math.min(1, t / 50)) + 0.1 * Math.min(1, t / 50));
  });

  test('a combination is saved and loaded with its parts', () => {
    const make = (o: optim.SGD): optim.Scheduler =>
      new optim.SequentialLR(
        o,
        [new optim.LinearLR(o), new optim.ChainedScheduler([new optim.ExponentialLR(o, 0.9), new optim.StepLR(o, 3)])],
        [4],
      );
    const straight = ratesOf(make(sgd()), 30);
    const before = make(sgd());
    ratesOf(before, 9);
    const after = make(sgd());
    after.loadStateDict(JSON.parse(JSON.stringify(before.stateDict())));
    assert.deepEqual(ratesOf(after, 21), straight.slice(9));
  });
});

describe('units and order of steps', () => {
  const job = (schedule: (o: optim.Schedulable) => optim.Scheduler, scheduleEvery: 'step' | 'epoch'): Promise<unknown> =>
    fit({
      model: new Linear(2, 1),
      train: { length: 8, get: () => [tensor([1, 2]), tensor([1])] },
      batchSize: 4,
      loss: mseLoss,
      optimizer: (m) => new optim.SGD(m.parameters()),
      schedule,
      scheduleEvery,
    });

  test('the trainer refuses another unit than the declared one', async () => {
    await assert.rejects(
      job((o) => new optim.StepLR(o, 3), 'step'),
      /fit: scheduleEvery must be what the schedule declares, got 'step' for one that steps per epoch\.\n {2}Hint: declare it: schedule\.per\('batch'\)/,
    );
    await job((o) => new optim.StepLR(o, 3).per('batch'), 'step');
    await assert.rejects(
      job((o) => new optim.OneCycleLR(o, 1, { totalSteps: 9, cycleMomentum: false }), 'epoch'),
      /steps per batch/,
    );
  });

  test('parts of a combination must agree', () => {
    const o = sgd();
    assert.throws(
      () => new optim.ChainedScheduler([new optim.ExponentialLR(o, 0.9), new optim.WarmupLR(o, 3)]),
      /ChainedScheduler: all schedules must step for the same thing, got epoch and batch/,
    );
    assert.throws(
      () => new optim.ChainedScheduler([new optim.ExponentialLR(o, 0.9), new optim.ExponentialLR(sgd(), 0.9)]),
      /all schedules must be of one optimizer/,
    );
  });

  test('a schedule that steps before its optimizer is noted', (t) => {
    const warn = t.mock.method(console, 'warn', () => undefined);
    const o = sgd();
    const schedule = new optim.ExponentialLR(o, 0.5);
    schedule.step();
    assert.match(String(warn.mock.calls[0]?.arguments[0]), /step\(\) was called before the optimizer's/);
    o.step();
    schedule.step();
    assert.equal(warn.mock.callCount(), 1);
  });
});

test('the range test finds where a loss diverges, and puts things back', async () => {
  manualSeed(2);
  const w = new Parameter(randn([4]));
  const was = [...w.detach().toArray()];
  const optimizer = new optim.SGD([w], { lr: 0.01 });
  const result = await optim.lrRangeTest(optimizer, () => {
    optimizer.zeroGrad();
    const loss = w
      .sub(randn([4]))
      .square()
      .sum()
      .div(2);
    loss.backward();
    optimizer.step();
    return loss.itemNow();
  });
  // Gradient descent on (w - noise)² / 2 diverges beyond a rate of 2.
  assert.ok(result.diverged !== null && result.diverged > 2 && result.diverged <= 10, `${result.diverged}`);
  assert.equal(result.suggested, (result.diverged as number) / 10);
  assert.deepEqual([...w.detach().toArray()], was);
  assert.equal(optimizer.paramGroups[0]?.lr, 0.01);
  const adam = new optim.Adam([w], { lr: 0.01 });
  const step = (): number => {
    adam.zeroGrad();
    const loss = w.square().sum();
    loss.backward();
    adam.step();
    return loss.itemNow();
  };
  step();
  const [before, after] = [JSON.stringify(adam.stateDict()), () => JSON.stringify(adam.stateDict())];
  await optim.lrRangeTest(adam, step, { steps: 8 });
  assert.equal(after(), before, 'state of the optimizer');
});
