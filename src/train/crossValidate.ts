import { LibError } from '../core/errors.js';
import { type Dataset, Subset } from '../data/dataset.js';
import { type Fold, type KFoldOptions, kFold } from '../data/splits.js';
import type { AnyModule } from '../nn/module.js';
import { cat } from '../ops/join.js';
import { noGrad } from '../tensor/autograd.js';
import { tensor } from '../tensor/creation.js';
import { manualSeed } from '../tensor/random.js';
import type { Tensor } from '../tensor/tensor.js';
import { evaluate, forwardPair } from './evaluate.js';
import type { Scores } from './events.js';
import { fit } from './fit.js';
import { withMode } from './modes.js';
import { batchesFrom, type FitOptions, type TrainOptimizer } from './options.js';
import { type Estimate, summarize } from './statistics.js';

type PerFold = 'model' | 'train' | 'validation' | 'resume' | 'runDir' | 'recorder' | 'optimizer' | 'seed';

export interface CrossValidationOptions<B> extends Omit<FitOptions<B>, PerFold>, KFoldOptions {
  readonly dataset: Dataset<unknown>;
  /** Makes the model of a fold; the library's random streams were seeded before. */
  readonly model: () => AnyModule;
  readonly optimizer: (model: AnyModule) => TrainOptimizer;
  /** Prepares the data of a fold by statistics of its training part alone (a Standardizer). */
  readonly prepare?: (fold: { readonly train: Dataset<unknown>; readonly validation: Dataset<unknown> }) => {
    readonly train: Dataset<unknown>;
    readonly validation: Dataset<unknown>;
  };
  /** Told after each fold. */
  readonly onFold?: (fold: number, scores: Scores) => void;
}

export interface CrossValidation {
  readonly folds: readonly (Fold & { readonly scores: Scores })[];
  /** Mean, deviation and interval of every score over the folds. Folds share training items, so the interval is somewhat too narrow. */
  readonly scores: Readonly<Record<string, Estimate>>;
  /** The output for each item by the model that had not seen it, of the first repeat: (items, ...). */
  readonly outOfFold: Tensor;
}

/**
 * Trains one model for each fold and scores it on the rest. Takes the options of `fit` and of `kFold`; it measures, it does not regularize.
 * @example const { scores } = await crossValidate({ dataset, model: () => new Net(), loss, optimizer, k: 5, … })
 */
export async function crossValidate<B = readonly [Tensor, Tensor]>(options: CrossValidationOptions<B>): Promise<CrossValidation> {
  const { dataset, model: make, prepare = (parts) => parts, onFold, k, repeats, stratify, groups, seed = 0, ...rest } = options;
  const given = { k, repeats, stratify, groups, seed };
  const folds = kFold(dataset.length, Object.fromEntries(Object.entries(given).filter(([, v]) => v !== undefined)));
  const done: (Fold & { scores: Scores })[] = [];
  const outputs: Tensor[] = [];
  for (const fold of folds) {
    manualSeed(seed + fold.fold);
    const data = prepare({ train: new Subset(dataset, fold.train), validation: new Subset(dataset, fold.validation) });
    const model = make();
    // The held-out part does not choose the weights: its score must not be the best of many.
    await fit<B>({ ...(rest as unknown as FitOptions<B>), model, train: data.train });
    const scores = await scoresOf<B>(model, data.validation, rest as unknown as FitOptions<B>);
    if (fold.repeat === 0) outputs.push(await predict(model, data.validation, rest as unknown as FitOptions<B>));
    done.push({ ...fold, scores });
    onFold?.(fold.fold, scores);
  }
  return { folds: done, scores: summarize(done.map((f) => f.scores)), outOfFold: inOrder(folds, outputs) };
}

async function scoresOf<B>(model: AnyModule, data: Dataset<unknown>, options: FitOptions<B>): Promise<Scores> {
  const { loss, metrics = [], forward = forwardPair, batchSize = 32 } = options;
  return (await evaluate<B>(model, batchesFrom<B>(data, 4 * batchSize, false), { loss, metrics, forward })).scores;
}

export interface PredictOptions<B> {
  readonly forward?: FitOptions<B>['forward'];
  /** Default 32. */
  readonly batchSize?: number;
}

/** A model's outputs for all items of a dataset, in order: evaluation mode, no gradients. */
export function predict<B = readonly [Tensor, Tensor]>(
  model: AnyModule,
  data: Dataset<unknown>,
  { forward = forwardPair, batchSize = 32 }: PredictOptions<B> = {},
): Promise<Tensor> {
  if (data.length === 0) throw new LibError('value', 'predict: there must be items, got none.');
  return withMode(model, false, async () => {
    const outputs: Tensor[] = [];
    for await (const batch of batchesFrom<B>(data, 4 * batchSize, false)) outputs.push(noGrad(() => forward(model, batch).output));
    return cat(outputs);
  });
}

/** Rows of the folds' validation parts back in the order of the items. */
function inOrder(folds: readonly Fold[], outputs: readonly Tensor[]): Tensor {
  const positions = folds.filter((f) => f.repeat === 0).flatMap((f) => [...f.validation]);
  const back = new Int32Array(positions.length);
  for (const [row, item] of positions.entries()) back[item] = row;
  const all = cat([...outputs]);
  return all.indexSelect(0, tensor(back, { device: all.device }));
}
