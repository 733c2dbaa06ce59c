import { prototypeDigits } from '../data/synthetic.js';
import { applyLoRA, ewcPenalty, type Module } from '../nn/index.js';
import { cat } from '../ops/join.js';
import { crossEntropy } from '../ops/loss.js';
import { logSoftmax } from '../ops/softmax.js';
import { fisherDiagonal } from '../optim/index.js';
import type { Tensor } from '../tensor/tensor.js';
import { Mlp } from './mlp.js';
import { customTask, measured, type TinyTask, trainSteps } from './task.js';

/** One task after the other, and what each way of learning remembers of the first ones. */
export type ContinualMethod = 'naive' | 'replay' | 'ewc' | 'lora';

/** A batch of a task; step -1 is for measuring. */
export type ContinualTask = (step: number) => [x: Tensor, y: Tensor];

export interface ContinualOptions {
  /** Of each task. Default 150. */
  readonly steps?: number;
  /** Default 0.003. */
  readonly lr?: number;
  /** λ of the penalty of 'ewc'. Default 1000. */
  readonly lambda?: number;
  /** Rank of the changes of 'lora'. Default 8. */
  readonly rank?: number;
}

/** losses[i][j]: of task j after learning task i. */
export interface ContinualReport {
  readonly losses: readonly (readonly number[])[];
  /** How much the loss of the earlier tasks rose after they had been learned, on average. */
  readonly forgetting: number;
}

const lossOf = (model: Module, x: Tensor, y: Tensor): Tensor => crossEntropy(model.forward(x), y);

/** The diagonal of the empirical Fisher information: the mean square of each example's gradient. */
function importances(model: Module, x: Tensor, y: Tensor): Tensor[] {
  const rows = Array.from({ length: x.sizeAt(0) }, (_, i) => x.narrow(0, i, 1));
  const labels = Array.from(y.toArray(), Number);
  return fisherDiagonal(model.parameters(), rows, (row) => logSoftmax(model.forward(row), { dim: 1 }), { labels });
}

interface Anchor {
  readonly at: readonly Tensor[];
  readonly fisher: readonly Tensor[];
}

/**
 * Learns the tasks in turn: as they come; with a batch of each earlier task beside each new one; with a penalty on changes of what they
 * needed (Kirkpatrick et al. 2017); or, after the first, with an adapter for each task on a frozen model.
 */
export function learnInSequence(
  model: Mlp,
  tasks: readonly ContinualTask[],
  method: ContinualMethod,
  options: ContinualOptions = {},
): ContinualReport {
  const { steps = 150, lr = 3e-3, lambda = 1000, rank = 8 } = options;
  const anchors: Anchor[] = [];
  // Of each task, the model that answers for it: one for all, but with LoRA each has its own adapters.
  const models: Module[] = tasks.map(() => model);
  const losses: number[][] = [];
  for (const [i, task] of tasks.entries()) {
    const learner = method === 'lora' && i > 0 ? adapted(model, rank) : model;
    models[i] = learner;
    const params = learner.parameters();
    const batch = (step: number): [Tensor, Tensor] => (method === 'replay' ? mixed(tasks.slice(0, i + 1), step) : task(step));
    const loss = (x: Tensor, y: Tensor): Tensor =>
      anchors.reduce((sum, { at, fisher }) => sum.add(ewcPenalty(params, at, fisher, lambda)), lossOf(learner, x, y));
    trainSteps(learner, batch, loss, { steps, lr });
    if (method === 'ewc') anchors.push({ at: params.map((p) => p.detach().clone()), fisher: importances(learner, ...task(0)) });
    losses.push(tasks.map((one, j) => measured(models[j] as Module, () => lossOf(models[j] as Module, ...one(-1)))));
  }
  const last = losses.at(-1) ?? [];
  const rises = tasks.slice(0, -1).map((_, j) => (last[j] as number) - (losses[j]?.[j] as number));
  return { losses, forgetting: rises.reduce((a, b) => a + b, 0) / Math.max(1, rises.length) };
}

/** A copy with adapters: the weights below them stay as they are. */
function adapted(model: Mlp, rank: number): Mlp {
  const copy = model.clone();
  applyLoRA(copy, { r: rank });
  return copy;
}
function mixed(tasks: readonly ContinualTask[], step: number): [Tensor, Tensor] {
  const batches = tasks.map((task) => task(step));
  return [cat(batches.map(([x]) => x)), cat(batches.map(([, y]) => y))];
}

/** Noisy digits, and digits whose pixels come in another order. */
export const continualTasks: readonly ContinualTask[] = [1, 37].map((stride) => (step) => {
  const { x, y } = prototypeDigits({ samples: 60, noise: 0.5, seed: step + 1 });
  const order = Array.from({ length: 64 }, (_, i) => (i * stride) % 64);
  const flat = x.reshape([60, 64]);
  return [
    stride === 1
      ? flat
      : cat(
          order.map((p) => flat.narrow(1, p, 1)),
          { dim: 1 },
        ),
    y,
  ];
});

/** Before and after: the mean loss of both tasks. */
const task = (method: ContinualMethod): TinyTask<Mlp> =>
  customTask({
    id: 'ARC-32',
    name: `continual learning, ${method}`,
    build: () => new Mlp(64, 10, { hidden: [64] }),
    train: (model) => {
      const mean = (list: readonly number[]): number => list.reduce((a, b) => a + b, 0) / list.length;
      const before = mean(continualTasks.map((one) => measured(model, () => lossOf(model, ...one(-1)))));
      const { losses } = learnInSequence(model, continualTasks, method);
      return [before, mean(losses.at(-1) ?? [])];
    },
  });
export const replayTiny: TinyTask<Mlp> = task('replay');
export const ewcTiny: TinyTask<Mlp> = task('ewc');
export const loraPerTaskTiny: TinyTask<Mlp> = task('lora');
