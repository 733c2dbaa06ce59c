import type { Metric } from './metric.js';

type Scores = Readonly<Record<string, number>>;

/** Scores of both sides, such as a record of an epoch of `fit`. */
export interface BothSides {
  /** Measured in evaluation mode: `fit` does so with `evaluateTrain: true`. */
  readonly train: Scores;
  readonly validation: Scores | null;
}

/** Names that stand for errors, where no metric says so. */
const isError = (name: string): boolean => /loss|error|perplexity|mse|mae|nll|ece/i.test(name);

/**
 * How much worse validation is than training, score by score: validation - training where lower is better, training - validation where
 * higher is.
 * @example generalizationGap({ train: { loss: 0.25, accuracy: 1 }, validation: { loss: 0.75, accuracy: 0.5 } }).loss // 0.5
 */
export function generalizationGap(
  { train, validation }: BothSides,
  metrics: readonly Pick<Metric, 'name' | 'better'>[] = [],
): Record<string, number> {
  const gaps: Record<string, number> = {};
  for (const [name, value] of Object.entries(validation ?? {})) {
    const other = train[name];
    if (other === undefined) continue;
    const better = metrics.find((m) => m.name === name)?.better ?? (isError(name) ? 'lower' : 'higher');
    gaps[name] = better === 'lower' ? value - other : other - value;
  }
  return gaps;
}
