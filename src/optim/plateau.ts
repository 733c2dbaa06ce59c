import { LibError } from '../core/errors.js';
import { checkNumber } from './optimizer.js';
import { perGroup, type Schedulable } from './scheduler.js';

export interface PlateauOptions {
  /** Default 'min'. */
  readonly mode?: 'min' | 'max';
  /** Default 0.1. */
  readonly factor?: number;
  /** Steps without improvement that are waited for. Default 10. */
  readonly patience?: number;
  /** Smallest change that counts. Default 1e-4. */
  readonly threshold?: number;
  /** Whether the threshold is a share of the best value or absolute. Default 'rel'. */
  readonly thresholdMode?: 'rel' | 'abs';
  /** Steps after a cut during which nothing is counted. Default 0. */
  readonly cooldown?: number;
  /** The lowest rate: one for all groups or a list. Default 0. */
  readonly minLr?: number | readonly number[];
  /** Cuts smaller than this are not made. Default 1e-8. */
  readonly eps?: number;
}

/** Cuts lr when a metric has stopped improving; call `step(metric)` (torch.optim.lr_scheduler.ReduceLROnPlateau). */
export class ReduceLROnPlateau {
  best: number;
  numBadEpochs = 0;
  private readonly minLrs: readonly number[];
  private cooldownLeft = 0;
  private readonly options: Required<PlateauOptions>;

  constructor(
    readonly optimizer: Schedulable,
    options: PlateauOptions = {},
  ) {
    const standard = { mode: 'min', factor: 0.1, patience: 10, threshold: 1e-4, thresholdMode: 'rel' } as const;
    this.options = { ...standard, cooldown: 0, minLr: 0, eps: 1e-8, ...options };
    checkNumber('ReduceLROnPlateau', 'factor', this.options.factor, (v) => v > 0 && v < 1, 'in (0, 1)');
    checkChoice('mode', this.options.mode, ['min', 'max']);
    checkChoice('thresholdMode', this.options.thresholdMode, ['rel', 'abs']);
    for (const key of ['patience', 'cooldown', 'threshold', 'eps'] as const)
      checkNumber('ReduceLROnPlateau', key, this.options[key], (v) => v >= 0, 'a finite number >= 0');
    this.minLrs = perGroup('ReduceLROnPlateau', 'minLr', this.options.minLr, optimizer);
    this.best = this.options.mode === 'min' ? Number.POSITIVE_INFINITY : Number.NEGATIVE_INFINITY;
  }

  private improves(metric: number): boolean {
    const { mode, threshold, thresholdMode } = this.options;
    const sign = mode === 'min' ? -1 : 1;
    if (!Number.isFinite(this.best)) return sign * (metric - this.best) > 0;
    return thresholdMode === 'rel' ? sign * (metric - this.best * (1 + sign * threshold)) > 0 : sign * (metric - this.best) > threshold;
  }

  step(metric: number): void {
    if (this.improves(metric)) {
      this.best = metric;
      this.numBadEpochs = 0;
    } else this.numBadEpochs++;
    if (this.cooldownLeft > 0) {
      this.cooldownLeft--;
      this.numBadEpochs = 0;
    }
    if (this.numBadEpochs <= this.options.patience) return;
    this.cut();
    this.cooldownLeft = this.options.cooldown;
    this.numBadEpochs = 0;
  }

  private cut(): void {
    const { factor, eps } = this.options;
    this.optimizer.paramGroups.forEach((group, i) => {
      const next = Math.max(group.lr * factor, this.minLrs[i] ?? 0);
      if (group.lr - next > eps) group.lr = next;
    });
  }

  getLastLr(): number[] {
    return this.optimizer.paramGroups.map((g) => g.lr);
  }
  stateDict(): { readonly best: number; readonly numBadEpochs: number; readonly cooldownLeft: number } {
    return { best: this.best, numBadEpochs: this.numBadEpochs, cooldownLeft: this.cooldownLeft };
  }
  loadStateDict(state: { readonly best: number; readonly numBadEpochs: number; readonly cooldownLeft: number }): void {
    Object.assign(this, state);
  }
}

function checkChoice(key: string, value: string, choices: readonly string[]): void {
  if (choices.includes(value)) return;
  throw new LibError('option', `ReduceLROnPlateau: ${key} must be one of ${choices.join(', ')}, got '${value}'.`);
}
