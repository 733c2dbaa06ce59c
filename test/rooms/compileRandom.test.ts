// Random programs, full of views, writes in place and tensors under two names: whatever the passes do, numbers stay.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { cat, compile, noGrad, type Tensor, tensor } from '../../dist/index.js';
import { withDevice } from '../../dist/tensor/device.js';
import { seededRandom } from '../../dist/testing/samples.js';
import { everyBackend, reference } from '../support/backends.js';

const ROWS = 6;
const COLUMNS = 8;

type Pick = (below: number) => number;

function picker(seed: number): Pick {
  let state = (seed * 7919 + 17) % 2147483647;
  return (below) => {
    state = (state * 48271) % 2147483647;
    return state % below;
  };
}

type Act = (pool: Tensor[], pick: Pick, outside: readonly Tensor[]) => Tensor;

const any = (pool: readonly Tensor[], pick: Pick): Tensor => pool[pick(pool.length)] as Tensor;

/** Each makes one more (ROWS, COLUMNS) tensor. */
const acts: readonly Act[] = [
  (pool, pick) => any(pool, pick).add(any(pool, pick)).tanh(),
  (pool, pick) => any(pool, pick).mul(any(pool, pick)).sub(0.25),
  (pool, pick) => any(pool, pick).relu(),
  (pool, pick) => any(pool, pick).sigmoid().mul(1.5),
  (pool, pick) => any(pool, pick).sub(any(pool, pick).mean({ dim: 1, keepdim: true })),
  (pool, pick) => any(pool, pick).mul(any(pool, pick)).sum({ dim: 0 }).tanh().expand([ROWS, COLUMNS]),
  (pool, pick) => any(pool, pick).matmul(any(pool, pick).transpose(0, 1)).matmul(any(pool, pick)).tanh(),
  (pool, pick) => any(pool, pick).reshape([COLUMNS, ROWS]).transpose(0, 1),
  (pool, pick) => cat([any(pool, pick).slice([0, 2]), any(pool, pick).slice([2, ROWS])]),
  (pool, pick) => any(pool, pick).softmax({ dim: 1 }),
  (pool, pick) => any(pool, pick).clone().add_(any(pool, pick)).mul_(0.5),
  (pool, pick) => {
    const target = any(pool, pick).clone();
    target.slice([1, 3]).mul_(any(pool, pick).slice([2, 4]));
    return target;
  },
  (pool, pick, outside) => any(outside, pick).copy_(any(pool, pick).tanh()),
  (pool, pick, outside) => any(outside, pick).mul_(0.5).add_(any(pool, pick).sigmoid()),
];

/** The program of a seed; what it writes to `outside` and to its arguments counts as its result too. */
const programOf =
  (seed: number, outside: readonly Tensor[]) =>
  (x: Tensor, y: Tensor): Tensor[] =>
    noGrad(() => {
      const pick = picker(seed);
      const pool = [x, y, ...outside];
      for (let i = 0; i < 24; i++) pool.push((acts[pick(acts.length)] as Act)(pool, pick, [x, ...outside]));
      return [any(pool, pick), any(pool, pick), pool.at(-1) as Tensor];
    });

function runs(seed: number, wrap: (f: (x: Tensor, y: Tensor) => Tensor[]) => (x: Tensor, y: Tensor) => Tensor[]): number[][] {
  const random = seededRandom(seed + 1);
  const outside = [random([ROWS, COLUMNS]), random([ROWS, COLUMNS])];
  const f = wrap(programOf(seed, outside));
  const [a, b] = [random([ROWS, COLUMNS]), random([ROWS, COLUMNS])];
  const seen: Tensor[] = [];
  // The same tensor twice, and one that the program knows from outside.
  const calls = [
    [a, b],
    [b, a],
    [a, a],
    [outside[0] as Tensor, a],
    [tensor(a.tolist() as number[][]), b],
  ] as const;
  return calls.flatMap(([x, y]) => {
    const results = f(x, y);
    seen.push(...results, x, y, ...outside);
    return [...results, x, y, ...outside].map((t) => [...t.toArray()]);
  });
}

for (const { name, backend } of everyBackend) {
  if (backend === null) continue;
  test(`random programs: compiled equals eager on ${name}`, () => {
    const fuse = backend !== reference;
    withDevice(backend, () => {
      for (let seed = 0; seed < 60; seed++) {
        const [actual, expected] = [runs(seed, (f) => compile(f, { fuse })), runs(seed, (f) => f)];
        assert.deepEqual(actual, expected, `seed ${seed}`);
      }
    });
  });
}
