import { examplesIn, tokensIn } from './evaluate.js';
import type { Scores } from './events.js';

/** One epoch, in short. */
export interface EpochRecord {
  readonly epoch: number;
  /** Steps of the optimizer at its end. */
  readonly step: number;
  readonly train: Scores;
  readonly validation: Scores | null;
  readonly lr: readonly number[];
  readonly seconds: number;
}

/** The best weights so far, as the monitored score says. */
export interface Best {
  readonly monitor: string;
  readonly value: number;
  readonly epoch: number;
  readonly step: number;
}

/** Where a run stands: plain data, saved in each checkpoint. */
export interface Progress {
  epoch: number;
  /** Batches of the epoch that are done. */
  batch: number;
  step: number;
  /** Examples and token ids seen so far; runs of before they were counted lack them. */
  samples?: number;
  tokens?: number;
  tally: { readonly sums: Record<string, number[]>; readonly examples: number };
  /** Seconds spent on the current epoch before the run was resumed. */
  epochSeconds: number;
  history: EpochRecord[];
  best: Best | null;
  /** What a divergence policy has cut learning rates by. */
  lrScale?: number;
}

export const beginning = (): Progress => ({
  epoch: 0,
  batch: 0,
  step: 0,
  samples: 0,
  tokens: 0,
  tally: { sums: {}, examples: 0 },
  epochSeconds: 0,
  history: [],
  best: null,
});

/** A step of the optimizer on a group of batches is done. */
export function countStep(progress: Progress, group: readonly unknown[]): void {
  progress.step++;
  progress.batch += group.length;
  progress.samples = group.reduce<number>((n, batch) => n + examplesIn(batch), progress.samples ?? 0);
  progress.tokens = group.reduce<number>((n, batch) => n + tokensIn(batch), progress.tokens ?? 0);
}
