// What is said of each activation is measured: range, slopes, where it saturates, its mean and second moment, its derivatives.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as nn from '../../dist/entries/nn.js';
import { linspace, type Tensor } from '../../dist/index.js';

const numbers = (t: Tensor): number[] => Array.from(t.toArray(), Number);
const grid = linspace(-30, 30, 60_000, { dtype: 'float64' }); // even: misses the bends at 0
const near = (got: number, want: number, tolerance: number, what: string): void =>
  assert.ok(got === want || Math.abs(got - want) <= tolerance, `${what}: ${got}, not ${want}`);

for (const name of nn.knownActivations) {
  test(`${name}: its card is true`, () => {
    const facts = nn.activationFacts(name);
    const [values, slopes] = [numbers(facts.value(grid)), numbers(facts.slope(grid))];
    const ends = (list: readonly number[]): [number, number] => [Math.min(...list), Math.max(...list)];
    const within = (got: number, want: number, what: string): void =>
      Number.isFinite(want) ? near(got, want, 1e-4, what) : assert.ok(Math.abs(got) > 0.25 && Math.sign(got) === Math.sign(want), what);
    ends(values).forEach((v, i) => {
      within(v, facts.range[i] as number, `range ${i}`);
    });
    ends(slopes).forEach((v, i) => {
      near(v, facts.slopes[i] as number, 1e-3, `slope ${i}`);
    });
    const flat = (at: number): boolean => Math.abs(slopes[at] as number) < 1e-3;
    const sides = [flat(0) ? 'left' : '', flat(slopes.length - 1) ? 'right' : ''].filter(Boolean);
    const saturates = slopes.every((s) => s === 0) ? 'everywhere' : ['nowhere', sides[0], 'both sides'][sides.length];
    assert.equal(facts.saturates, saturates);
    const density = grid.square().mul(-0.5).exp();
    const mean = facts.value(grid).mul(density).sum().div(density.sum()).itemNow();
    assert.equal(facts.zeroCentred, Math.abs(mean) < 0.2, 'zero-centred');
    near(facts.secondMoment * facts.gain ** 2, 1, 1e-12, 'gain');
    const step = 1e-5;
    const at = linspace(-3.05, 3, 12, { dtype: 'float64' });
    const difference = facts
      .slope(at.add(step))
      .sub(facts.slope(at.sub(step)))
      .div(2 * step);
    numbers(facts.curvature(at).sub(difference)).forEach((d) => {
      near(d, 0, 1e-8, 'second derivative');
    });
  });
}

test('an unknown name is refused', () => {
  assert.throws(() => nn.activationFacts('Relu' as 'ReLU'), /got 'Relu'/);
});
