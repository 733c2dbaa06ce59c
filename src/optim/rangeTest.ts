import { LibError } from '../core/errors.js';
import type { Parameter } from '../nn/module.js';
import { noGrad } from '../tensor/autograd.js';
import { collectTensors, withTensors } from '../tensor/tree.js';
import { checkNumber, type OptimizerState } from './optimizer.js';
import type { ScheduledGroup } from './scheduler.js';

export interface RangeTestOptions {
  /** Default 1e-7. */
  readonly minLr?: number;
  /** Default 10. */
  readonly maxLr?: number;
  /** How many rates are tried, evenly apart in their logarithm. Default 100. */
  readonly steps?: number;
  /** Share of the smoothed loss that each step keeps. Default 0.9. */
  readonly smoothing?: number;
  /** The loss has diverged when its smoothed value is this many times the smallest. Default 4. */
  readonly divergence?: number;
}

export interface RangeTestResult {
  readonly lrs: readonly number[];
  readonly losses: readonly number[];
  /** The rate at which the loss diverged; null when it never did. */
  readonly diverged: number | null;
  /** A tenth of that rate; null when the loss never diverged. */
  readonly suggested: number | null;
}

interface Tested {
  readonly paramGroups: readonly (ScheduledGroup & { readonly params: readonly Parameter[] })[];
  stateDict?(): OptimizerState;
  loadStateDict?(state: OptimizerState): void;
}

/** As it is now: a state dict shares its tensors with the optimizer, whose steps write them. */
function copied({ state, paramGroups }: OptimizerState): OptimizerState {
  return {
    state: withTensors(
      state,
      collectTensors(state).map((t) => t.clone()),
    ),
    paramGroups,
  };
}

/**
 * Trains for a few steps while the learning rate rises from almost nothing until the loss diverges (Smith 2017). `trainStep` does one
 * step and gives its loss. Rates, parameters and the optimizer's state are as before when it is done; buffers (running statistics) are not.
 */
export async function lrRangeTest(
  optimizer: Tested,
  trainStep: (step: number) => number | Promise<number>,
  { minLr = 1e-7, maxLr = 10, steps = 100, smoothing = 0.9, divergence = 4 }: RangeTestOptions = {},
): Promise<RangeTestResult> {
  checkNumber('lrRangeTest', 'minLr', minLr, (v) => v > 0, 'a finite number > 0');
  checkNumber('lrRangeTest', 'steps', steps, (v) => Number.isInteger(v) && v > 1, 'an integer > 1');
  checkNumber('lrRangeTest', 'smoothing', smoothing, (v) => v >= 0 && v < 1, 'in [0, 1)');
  checkNumber('lrRangeTest', 'divergence', divergence, (v) => v > 1, 'a finite number > 1');
  if (!(maxLr > minLr)) throw new LibError('value', `lrRangeTest: maxLr must be above minLr, got ${maxLr} and ${minLr}.`);
  const saved = optimizer.paramGroups.map((g) => ({ group: g, lr: g.lr, values: noGrad(() => g.params.map((p) => p.clone())) }));
  const state = optimizer.stateDict && noGrad(() => copied(optimizer.stateDict?.() as OptimizerState));
  const [lrs, losses]: [number[], number[]] = [[], []];
  let [average, best, diverged]: [number, number, number | null] = [0, Number.POSITIVE_INFINITY, null];
  try {
    for (let i = 0; i < steps && diverged === null; i++) {
      const lr = minLr * (maxLr / minLr) ** (i / (steps - 1));
      for (const group of optimizer.paramGroups) group.lr = lr;
      const loss = await trainStep(i);
      lrs.push(lr);
      losses.push(loss);
      average = smoothing * average + (1 - smoothing) * loss;
      const smooth = average / (1 - smoothing ** (i + 1));
      best = Math.min(best, smooth);
      if (!Number.isFinite(loss) || (i > 0 && smooth > divergence * Math.abs(best))) diverged = lr;
    }
  } finally {
    if (state) optimizer.loadStateDict?.(state);
    for (const { group, lr, values } of saved) {
      group.lr = lr;
      noGrad(() => {
        group.params.forEach((p, i) => {
          p.copy_(values[i] as Parameter);
        });
      });
    }
  }
  return { lrs, losses, diverged, suggested: diverged === null ? null : diverged / 10 };
}
