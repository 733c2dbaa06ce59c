// A user's op gets methods, gradients and proofs from the same functions as the library's own; and proofs find its mistakes.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Backend, defineComposite, defineOp, input, type Op, type Tensor, withDevice } from 'chainrule';
import { agreesWithReference, errorsSpeak, gradientsAgree, hasSamples, modesAgree } from 'chainrule/testing';
import { engines, reference } from '../support/backends.js';

/** x³, with a gradient that is `factor` · x². */
const cube = (factor: number): Op<[x: Tensor]> =>
  defineOp({
    name: 'cube',
    args: (x: Tensor) => ({ inputs: [x], params: null }),
    infer: ([x]) => x as NonNullable<typeof x>,
    kernel: (_, [x]) => ({
      family: 'map',
      exprs: [input(0).mul(input(0)).mul(input(0))],
      compute: x?.dtype === 'float64' ? 'float64' : 'float32',
    }),
    grad: ([g], { inputs: [x] }) => [g && x ? g.mul(x).mul(x).mul(factor) : null],
    saves: [0],
    *samples(random) {
      yield [random([3])];
      yield [random([2, 4])];
    },
    torch: null,
  });

test('a right op has every property', () => {
  const op = cube(3);
  withDevice(reference, () => {
    hasSamples(op);
    assert.equal(gradientsAgree(op), 2);
    assert.equal(modesAgree(op), 2);
  });
  for (const { backend } of engines) if (backend !== null) agreesWithReference(op, backend, reference);
});

test('a wrong gradient is found', () => {
  assert.throws(() => withDevice(reference, () => gradientsAgree(cube(2))), /cube sample 0: gradients must agree with differences/);
});

const [engine] = engines.flatMap(({ backend }) => backend ?? []);

test('a backend that computes something else is found', { skip: engine === undefined && 'no engine to compare with the reference' }, () => {
  const drifting = defineComposite({
    name: 'drifting',
    compose: (x: Tensor) => x.mul(x.device === engine ? 1.0001 : 1),
    *samples(random) {
      yield [random([3])];
    },
  });
  assert.throws(() => agreesWithReference(drifting, engine as Backend, reference), /drifting sample 0 dense, result 0: must agree/);
});

test('an op without samples, and an error that says something else, are found', () => {
  const silent = defineComposite({
    name: 'silent',
    compose: (x: Tensor) => x,
    *samples() {},
    *errors(random): Iterable<readonly [[x: Tensor], string]> {
      yield [[random([2])], 'must not be'];
    },
  });
  assert.throws(() => hasSamples(silent), /silent: a row must have samples/);
  assert.throws(() => errorsSpeak(silent), /silent: the error must say 'must not be', got 'no error'/);
});
