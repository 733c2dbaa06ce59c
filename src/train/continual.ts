import { LibError } from '../core/errors.js';
import { ReplayBuffer } from '../data/replay.js';
import type { AnyModule, Parameter } from '../nn/module.js';
import { crossEntropy, logSoftmax } from '../ops/functions.js';
import { stack } from '../ops/join.js';
import { EWC, fisherDiagonal } from '../optim/ewc.js';
import { noGrad } from '../tensor/autograd.js';
import { randperm } from '../tensor/random.js';
import type { Tensor } from '../tensor/tensor.js';
import { withMode } from './modes.js';
import type { TrainOptimizer } from './options.js';

/** Inputs (items, ...) and class numbers (items). */
export interface ContinualTask {
  readonly train: { readonly x: Tensor; readonly y: Tensor };
  readonly test: { readonly x: Tensor; readonly y: Tensor };
}

export interface ContinualOptions {
  readonly model: AnyModule;
  readonly tasks: readonly ContinualTask[];
  /** Makes a fresh optimizer for each task. */
  readonly optimizer: (params: Parameter[]) => TrainOptimizer;
  /**
   * 'none' (default); 'replay': items of earlier tasks in each batch; 'ewc': weights that earlier tasks need are held; 'lora': as none, for
   * a model that `applyLoRA` has prepared (only what requires grad is trained).
   */
  readonly strategy?: 'none' | 'replay' | 'ewc' | 'lora';
  /** Default 5. */
  readonly epochs?: number;
  /** Default 32. */
  readonly batchSize?: number;
  /** Items that are kept for replay. Default 200. */
  readonly capacity?: number;
  /** Share of a batch that is replayed. Default 0.5. */
  readonly share?: number;
  /** Weight of the EWC penalty. Default 100. */
  readonly lambda?: number;
  /** Examples that the Fisher information is measured on. Default 100. */
  readonly fisherSamples?: number;
}

export interface ContinualResult {
  /** R[i][j]: accuracy on task j after training on task i. */
  readonly accuracy: readonly (readonly number[])[];
  /** The mean of the last row. */
  readonly averageAccuracy: number;
  /** The mean over earlier tasks of their best accuracy before the end minus the one in the end. */
  readonly forgetting: number;
}

const strategies = ['none', 'replay', 'ewc', 'lora'];

/** What a model answers, as class scores. */
const run = (model: AnyModule, x: Tensor): Tensor => (model as unknown as { forward(x: Tensor): Tensor }).forward(x);

function accuracyOn(model: AnyModule, { x, y }: ContinualTask['test']): Promise<number> {
  return withMode(model, false, async () => noGrad(() => run(model, x).argmax({ dim: 1 }).eq(y).to('float32').mean().itemNow()));
}

/** Trains on one task after the other and measures what is forgotten. */
export async function continualLearning(options: ContinualOptions): Promise<ContinualResult> {
  const { model, tasks, strategy = 'none', capacity = 200 } = options;
  if (!strategies.includes(strategy))
    throw new LibError('option', `continualLearning: strategy must be one of ${strategies.join(', ')}, got ${JSON.stringify(strategy)}.`);
  if (tasks.length < 2) throw new LibError('value', `continualLearning: there must be two tasks at least, got ${tasks.length}.`);
  const memory = new ReplayBuffer<readonly [Tensor, Tensor]>(capacity);
  const held: EWC[] = [];
  const accuracy: number[][] = [];
  for (const task of tasks) {
    await withMode(model, true, async () => trainTask(task, options, strategy === 'replay' ? memory : null, held));
    const items = Array.from({ length: task.train.x.shape[0] as number }, (_, i) => i);
    if (strategy === 'replay') memory.add(items.map((i) => [task.train.x.select(0, i), task.train.y.select(0, i)] as const));
    if (strategy === 'ewc') held.push(importance(task, options));
    const row: number[] = [];
    for (const { test } of tasks) row.push(await accuracyOn(model, test));
    accuracy.push(row);
  }
  const last = accuracy.at(-1) as number[];
  const lost = tasks.slice(0, -1).map((_, j) => Math.max(...accuracy.slice(0, -1).map((r) => r[j] as number)) - (last[j] as number));
  const mean = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0) / values.length;
  return { accuracy, averageAccuracy: mean(last), forgetting: mean(lost) };
}

const trainable = (model: AnyModule): Parameter[] => model.parameters().filter((p) => p.requiresGrad);

function trainTask(
  { train: { x, y } }: ContinualTask,
  { model, optimizer: make, epochs = 5, batchSize = 32, share = 0.5, lambda = 100 }: ContinualOptions,
  memory: ReplayBuffer<readonly [Tensor, Tensor]> | null,
  held: readonly EWC[],
): void {
  const optimizer = make(trainable(model));
  const n = x.shape[0] as number;
  for (let epoch = 0; epoch < epochs; epoch++) {
    const order = randperm(n);
    for (let at = 0; at < n; at += batchSize) {
      const rows = order.narrow(0, at, Math.min(batchSize, n - at));
      const batch = mixed([x.indexSelect(0, rows), y.indexSelect(0, rows)], memory, share);
      optimizer.zeroGrad();
      const loss = crossEntropy(run(model, batch[0]), batch[1]);
      held.reduce((sum, ewc) => sum.add(ewc.penalty(lambda)), loss).backward();
      optimizer.step();
    }
  }
}

/** A batch of which a share is older items. */
function mixed(
  [x, y]: readonly [Tensor, Tensor],
  memory: ReplayBuffer<readonly [Tensor, Tensor]> | null,
  share: number,
): readonly [Tensor, Tensor] {
  if (memory === null || memory.length === 0) return [x, y];
  const rows = Array.from({ length: x.shape[0] as number }, (_, i) => [x.select(0, i), y.select(0, i)] as const);
  const items = memory.mix(rows, { share });
  return [stack(items.map(([a]) => a)), stack(items.map(([, b]) => b))];
}

/** What the weights are worth to a task that was learned. */
function importance({ train: { x } }: ContinualTask, { model, fisherSamples = 100 }: ContinualOptions): EWC {
  const modes = model.modules().map((m) => [m, m.training] as const);
  model.eval();
  const params = trainable(model);
  const rows = randperm(x.shape[0] as number)
    .toArray()
    .slice(0, fisherSamples);
  const examples = Array.from(rows, (i) => x.narrow(0, i, 1));
  const fisher = fisherDiagonal(params, examples, (example) => logSoftmax(run(model, example), { dim: 1 }));
  for (const [m, mode] of modes) m.training = mode;
  return new EWC(params, fisher);
}
