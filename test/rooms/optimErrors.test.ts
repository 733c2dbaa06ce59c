// What optimizers, schedules and clipping refuse, and in which words.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { clipGradNorm_, LibError, Parameter, tensor, zeros } from '../../dist/index.js';
import * as optim from '../../dist/optim/index.js';

function twoGroups(): optim.SGD {
  const [a, b] = [new Parameter(zeros([1])), new Parameter(zeros([1]))];
  return new optim.SGD([{ params: [a] }, { params: [b], lr: 0.3 }], { lr: 0.8, momentum: 0.9 });
}

describe('optimizers refuse what cannot train', () => {
  const p = (): Parameter => new Parameter(tensor([1, 2]));
  const withGrad = (value: number): Parameter[] => {
    const parameter = p();
    parameter.mul(value).sum().backward();
    return [parameter];
  };
  const cases: readonly (readonly [name: string, run: () => unknown, says: string])[] = [
    ['no parameters', () => new optim.SGD([]), 'SGD: there must be parameters to optimize, got an empty list.'],
    ['lr NaN', () => new optim.SGD([p()], { lr: Number.NaN }), 'SGD: lr must be a tensor or a number, got NaN.'],
    ['lr infinite', () => new optim.Adam([p()], { lr: Number.POSITIVE_INFINITY }), 'Adam: lr must be a finite number >= 0, got Infinity.'],
    ['lr negative', () => new optim.AdamW([p()], { lr: -1 }), 'AdamW: lr must be a finite number >= 0, got -1.'],
    ['beta of 1', () => new optim.Adam([p()], { betas: [0.9, 1] }), 'Adam: betas[1] must be in [0, 1), got 1.'],
    ['negative eps', () => new optim.Adam([p()], { eps: -1 }), 'Adam: eps must be a finite number >= 0, got -1.'],
    ['negative decay', () => new optim.AdamW([p()], { weightDecay: -0.1 }), 'AdamW: weightDecay must be a finite number >= 0, got -0.1.'],
    ['negative momentum', () => new optim.SGD([p()], { momentum: -0.5 }), 'SGD: momentum must be a finite number >= 0, got -0.5.'],
    [
      'nesterov alone',
      () => new optim.SGD([p()], { nesterov: true }),
      'SGD: nesterov needs momentum > 0 and dampening 0, got momentum 0, dampening 0.',
    ],
    [
      'a misspelt option',
      () => new optim.Adam([p()], { weigthDecay: 0.1 } as optim.AdamOptions),
      "got 'weigthDecay'.\n  Hint: did you mean 'weightDecay'?",
    ],
    [
      'a misspelt group option',
      () => new optim.SGD([{ params: [p()], momemtum: 1 } as { params: Parameter[] }]),
      "got 'momemtum'.\n  Hint: did you mean 'momentum'?",
    ],
    ['no leaf', () => new optim.SGD([p().mul(2) as Parameter]), 'SGD: only leaf tensors can be optimized, got one that mul made.'],
    ['a negative factor', () => new optim.ExponentialLR(twoGroups(), -1), 'ExponentialLR: gamma must be a finite number >= 0, got -1.'],
    ['a negative floor', () => new optim.ReduceLROnPlateau(twoGroups(), { minLr: -1 }), 'minLr must be a number >= 0, got -1.'],
    [
      'a divisor of 0',
      () => new optim.OneCycleLR(twoGroups(), 1, { totalSteps: 3, divFactor: 0 }),
      'OneCycleLR: divFactor must be a finite number > 0, got 0.',
    ],
    ['a broken schedule', () => new optim.StepLR(twoGroups(), 0), 'StepLR: stepSize must be a positive integer, got 0.'],
    [
      'no length',
      () => new optim.OneCycleLR(twoGroups(), 1, {}),
      'OneCycleLR: totalSteps (or epochs · stepsPerEpoch) must be a positive integer, got NaN.',
    ],
    ['a factor of 1', () => new optim.ReduceLROnPlateau(twoGroups(), { factor: 1 }), 'ReduceLROnPlateau: factor must be in (0, 1), got 1.'],
    [
      'a milestone too few',
      () => new optim.SequentialLR(twoGroups(), [], [3]),
      'SequentialLR: there must be one milestone between two schedules, got 0 and 1.',
    ],
    ['nothing to clip', () => clipGradNorm_([p()], 1), 'clipGradNorm_: some parameter must have a gradient, got none.'],
    ['clipping to NaN', () => clipGradNorm_(withGrad(1), Number.NaN), 'clipGradNorm_: maxNorm must be a number, got NaN.'],
    [
      'a gradient that is not finite',
      () => clipGradNorm_(withGrad(Number.NaN), 1, { errorIfNonfinite: true }),
      "clipGradNorm_: the gradients' norm must be finite, got NaN.",
    ],
  ];
  for (const [name, run, says] of cases) {
    test(name, () => {
      assert.throws(run, (error: Error) => {
        assert.ok(error.message.includes(says), error.message);
        return true;
      });
    });
  }

  test('a learning rate that a schedule broke is noticed at the next step', () => {
    const [parameter] = withGrad(1) as [Parameter];
    const optimizer = new optim.SGD([parameter], { lr: 1 });
    new optim.LambdaLR(optimizer, () => Number.NaN);
    assert.throws(() => optimizer.step(), /SGD: lr must be a finite number >= 0, got NaN\./);
    assert.deepEqual([...parameter.detach().toArray()], [1, 2]);
  });

  test('one parameter in two groups', () => {
    const parameter = p();
    assert.throws(
      () => new optim.SGD([{ params: [parameter] }, { params: [parameter] }]),
      /SGD: a parameter may be in one group, got one twice\./,
    );
    assert.throws(() => new optim.SGD([parameter, parameter]), /SGD: a parameter may be in one group, got one twice\./);
  });

  test('the state of another model', () => {
    const saved = new optim.SGD([p(), p()]).stateDict();
    assert.throws(
      () => new optim.SGD([p()]).loadStateDict(saved),
      /SGD: groups must hold as many parameters as before, got \[2\] for \[1\]\./,
    );
  });

  test('a cycle that is over', () => {
    const schedule = new optim.OneCycleLR(twoGroups(), 1, { totalSteps: 3 });
    (schedule.optimizer as optim.SGD).step();
    for (let i = 0; i < 3; i++) schedule.step();
    assert.throws(() => schedule.step(), /OneCycleLR: step\(\) may be called 3 times, got call 4\./);
  });
});

describe('every optimizer refuses what its options are not', () => {
  type Make = new (params: unknown, options?: unknown) => optim.Optimizer;
  const makers = Object.entries(optim as unknown as Readonly<Record<string, Make>>).filter(
    ([name, make]) => name !== 'Optimizer' && make.prototype instanceof optim.Optimizer,
  );
  assert.ok(makers.length >= 18, `only ${makers.length} optimizers`);
  const params = (): Parameter[] => [new Parameter(zeros([2, 2]))];
  const refused = (run: () => unknown, says: RegExp): void =>
    assert.throws(run, (error: unknown) => error instanceof LibError && says.test(error.message));
  for (const [name, make] of makers) {
    test(name, () => {
      const { defaults } = new make(params());
      refused(() => new make(params(), { lrr: 0.1 }), /options must be among .*, got 'lrr'/);
      refused(() => new make(params(), 0.1), /options must be an object, got 0.1/);
      for (const wrong of [null, 3, zeros([2])]) refused(() => new make(wrong), /parameters must come in a list/);
      refused(() => new make([1, 2]), /parameters must/);
      for (const [key, usual] of Object.entries(defaults)) {
        for (const wrong of wrongFor(usual)) refused(() => new make(params(), { [key]: wrong }), /must be|must have|got/);
      }
    });
  }
});

/** Values that no option with such a default takes. */
function wrongFor(usual: unknown): readonly unknown[] {
  if (typeof usual === 'boolean') return ['yes', 1, null, {}];
  if (Array.isArray(usual)) return [Number.NaN, 'x', {}, ['x', 'y'], [Number.NaN, 0.9], [0.9]].slice(0, usual[0] === null ? 3 : 6);
  return typeof usual === 'number' ? [Number.NaN, 'x', null, {}] : ['nonsense', {}];
}
