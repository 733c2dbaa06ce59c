import { compile } from '../capture/compile.js';
import { type Profile, profile } from '../capture/profile.js';
import { LibError } from '../core/errors.js';
import { forwardPair } from './evaluate.js';
import type { Experiment } from './experiment.js';
import { withMode } from './modes.js';
import { batchesFrom } from './options.js';
import { prepare } from './runExperiment.js';
import { trainStep } from './trainStep.js';

export interface ProfileExperimentOptions {
  /** Values to change, by dotted path. */
  readonly set?: Readonly<Record<string, unknown>>;
  /** Training steps that are timed. Default 10. */
  readonly runs?: number;
}

/** How long a training loop waits for its batches. */
export interface DataWaiting {
  /** Milliseconds between asking for a batch and having it, median. */
  readonly ms: number;
  /** Of the loop's time, 0..1. */
  readonly share: number;
  readonly batches: number;
}

export interface ExperimentProfile {
  readonly profile: Profile;
  readonly data: DataWaiting;
}

/**
 * Where the time of an experiment's training step goes, and whether the step waits for data. Nothing is saved.
 * @example
 * const { profile, data } = await profileExperiment(exp);
 * console.log(`${profile}`, data.share);
 */
export async function profileExperiment<B>(
  exp: Experiment<B>,
  { set = {}, runs = 10 }: ProfileExperimentOptions = {},
): Promise<ExperimentProfile> {
  const { chosen, model, data, optimizer } = await prepare(exp, set);
  const { loss, metrics = [], forward = forwardPair, clipGradNorm = null, accumulate = 1, precision = 'float32' } = chosen;
  const train = batchesFrom<B>(data.train as never, chosen.batchSize ?? 32, true);
  const step = compile(trainStep({ model, optimizer, loss, forward, metrics, clipGradNorm, precision, scaler: null }));
  return withMode(model, true, async () => {
    const waits: number[] = [];
    let computing = 0;
    let group: B[] = [];
    let asked = performance.now();
    for await (const batch of train.batchesOf(0)) {
      waits.push(performance.now() - asked);
      group.push(batch);
      if (group.length === accumulate) {
        const started = performance.now();
        const { parts } = step(group);
        await parts[0]?.values[0]?.item();
        if (waits.length > 2) computing += performance.now() - started; // the first step captures
        if (waits.length >= runs * accumulate) break;
        group = [];
      }
      asked = performance.now();
    }
    if (group.length < accumulate) {
      throw new LibError('data', `profile: there must be data for one training step of ${accumulate} batches, got ${waits.length}.`);
    }
    const counted = waits.slice(2);
    const waiting = counted.reduce((a, b) => a + b, 0);
    const ms = counted.toSorted((a, b) => a - b)[counted.length >> 1] ?? waits[0] ?? 0;
    const share = waiting + computing === 0 ? 0 : waiting / (waiting + computing);
    return { profile: profile(step, [group], { runs }), data: { ms, share, batches: waits.length } };
  });
}
