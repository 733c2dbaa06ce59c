import { LibError } from '../core/errors.js';
import type { Callback, RunSnapshot } from './callbacks.js';

export interface DivergenceOptions {
  /**
   * 'stop' (default) ends the run; 'restore' goes back to the last good weights and optimizer state and cuts the learning rate; 'note'
   * warns and goes on, and stops at NaN and Infinity only.
   */
  readonly action?: 'stop' | 'restore' | 'note';
  /** A loss above this many times the running median is bad (of negative losses: as far above it). Default 10. */
  readonly factor?: number;
  /** Bad losses in a row that are divergence; NaN and Infinity are at once. Default 3. */
  readonly patience?: number;
  /** Good losses that the median is of. Default 50. */
  readonly window?: number;
  /** What learning rates are multiplied by at each return. Default 0.5. */
  readonly lrFactor?: number;
  /** Steps between the states that can be returned to. Default 20. */
  readonly every?: number;
  /** Returns before the run is given up. Default 3. */
  readonly maxRestores?: number;
}

const defaults: Required<DivergenceOptions> = {
  action: 'stop',
  factor: 10,
  patience: 3,
  window: 50,
  lrFactor: 0.5,
  every: 20,
  maxRestores: 3,
};

function checked(options: DivergenceOptions): Required<DivergenceOptions> {
  const all = { ...defaults, ...options };
  const rules: Record<string, readonly [ok: boolean, rule: string]> = {
    action: [['stop', 'restore', 'note'].includes(all.action), "'stop', 'restore' or 'note'"],
    factor: [all.factor > 1 && Number.isFinite(all.factor), 'a finite number > 1'],
    lrFactor: [all.lrFactor > 0 && all.lrFactor < 1, 'in (0, 1)'],
  };
  for (const key of ['patience', 'window', 'every', 'maxRestores'] as const)
    rules[key] = [Number.isInteger(all[key]) && all[key] > 0, 'a positive integer'];
  for (const [key, [ok, rule]] of Object.entries(rules)) {
    const value = all[key as keyof DivergenceOptions];
    if (!ok) throw new LibError('value', `divergence: ${key} must be ${rule}, got ${String(value)}.`);
  }
  return all;
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? (sorted[middle] as number) : ((sorted[middle - 1] as number) + (sorted[middle] as number)) / 2;
}

/** Whether a loss is above `factor` times the median of earlier ones, or as far above a negative one. */
function isFar(loss: number, losses: readonly number[], factor: number): boolean {
  if (losses.length < 3 || loss <= (losses.at(-1) as number)) return false;
  const middle = median(losses);
  return loss - middle > (factor - 1) * Math.abs(middle);
}

/**
 * Watches for divergence: a loss that is NaN or infinite, or far above its running median several times in a row. The run is stopped, or
 * goes on from the last good state with lower learning rates; it never goes on silently. `fit` has one that notes; `fit({ divergence: 'restore' })` another.
 */
export function divergence(options: DivergenceOptions = {}): Callback {
  const { action, factor, patience, window, lrFactor, every, maxRestores } = checked(options);
  const losses: number[] = [];
  let [bad, restores, restoredAt, takenAt] = [0, 0, 0, 0];
  /** A state is good once `patience` more losses were; until then the one before is. */
  let good: RunSnapshot | null = null;
  let fresh: RunSnapshot | null = null;
  return {
    name: 'divergence',
    onStart(run) {
      if (action === 'restore') good = run.snapshot();
    },
    onStep({ loss, step }, run) {
      if (step <= restoredAt) return; // of steps that were undone
      const far = isFar(loss, losses, factor);
      if (Number.isFinite(loss) && !far) {
        bad = 0;
        losses.push(loss);
        if (losses.length > window) losses.shift();
        if (action !== 'restore') return;
        if (fresh !== null && step - takenAt >= patience) [good, fresh] = [fresh, null];
        if (fresh === null && step - takenAt >= every) [fresh, takenAt] = [run.snapshot(), step];
        return;
      }
      if (Number.isFinite(loss) && ++bad < patience) return;
      const what = Number.isFinite(loss)
        ? `the loss was above ${factor} times its median for ${patience} steps (${loss.toPrecision(4)} in step ${step})`
        : `the loss became ${loss} in step ${step}`;
      if (action === 'note' && Number.isFinite(loss)) {
        run.note(what, 'warning');
        losses.splice(0, losses.length, loss); // the level from here on: it is said once
        bad = 0;
        return;
      }
      if (action !== 'restore' || good === null || restores >= maxRestores) {
        run.note(what, 'warning');
        run.stop(what, { keep: false });
        return;
      }
      restores++;
      run.note(`${what}: back to the state of step ${good.step} with learning rates times ${lrFactor}`, 'warning');
      run.restore(good, { lrFactor });
      [bad, fresh, restoredAt, takenAt] = [0, null, run.step, run.step];
    },
    stateDict: () => ({ losses: [...losses], restores }),
    loadStateDict(state: { readonly losses: readonly number[]; readonly restores: number }) {
      losses.splice(0, losses.length, ...state.losses);
      restores = state.restores;
    },
  };
}
