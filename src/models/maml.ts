import { compile } from '../capture/compile.js';
import { fewShotSines } from '../data/synthetic.js';
import { functionalCall, type Module } from '../nn/index.js';
import { stack } from '../ops/join.js';
import { mseLoss } from '../ops/loss.js';
import { Adam } from '../optim/index.js';
import type { Tensor } from '../tensor/tensor.js';
import { adapt, type InnerOptions } from '../train/runners.js';
import { Mlp } from './mlp.js';
import { customTask, type TinyTask } from './task.js';

/** The mean loss on new points after learning each task: what MAML minimizes (Finn et al. 2017). All tensors are (tasks, points, 1). */
export function metaLoss(
  model: Module,
  batch: readonly [sx: Tensor, sy: Tensor, qx: Tensor, qy: Tensor],
  { innerLr = 0.02, ...options }: InnerOptions = {},
): Tensor {
  const tasks = batch[0].sizeAt(0);
  const losses = Array.from({ length: tasks }, (_, i) => {
    const [sx, sy, qx, qy] = batch.map((t) => t.select(0, i)) as [Tensor, Tensor, Tensor, Tensor];
    const learned = adapt(model, { x: sx, y: sy }, { innerLr, ...options });
    return mseLoss(functionalCall(model, learned, qx), qy);
  });
  return stack(losses).mean();
}

/** Meta-trains on batch(0), batch(1), … with Adam; the whole step, gradients of gradients and all, is one program. */
export function metaTrain(
  model: Module,
  batch: (step: number) => readonly [Tensor, Tensor, Tensor, Tensor],
  { steps, lr = 3e-3, ...options }: InnerOptions & { readonly steps: number; readonly lr?: number },
): void {
  const optimizer = new Adam(model.parameters(), { lr });
  const step = compile((...tasks: [Tensor, Tensor, Tensor, Tensor]) => {
    optimizer.zeroGrad();
    metaLoss(model, tasks, options).backward();
    optimizer.step();
  });
  for (let i = 0; i < steps; i++) step(...batch(i));
}

/** Sines of random amplitude and phase: ten points to learn each from, ten to be asked. */
export function sineTasks(step: number, tasks: number = 8): [Tensor, Tensor, Tensor, Tensor] {
  const made = fewShotSines({ tasks, seed: step + 1 });
  const all = (pick: (task: (typeof made)[number]) => Tensor): Tensor => stack(made.map(pick));
  return [all((t) => t.support.x), all((t) => t.support.y), all((t) => t.query.x), all((t) => t.query.y)];
}

const task = (name: string, options: InnerOptions, steps: number): TinyTask<Mlp> =>
  customTask({
    id: 'ARC-35',
    name,
    build: () => new Mlp(1, 1, { hidden: [40, 40] }),
    train: (model) => {
      const held = sineTasks(-1, 40);
      const before = metaLoss(model, held, options).itemNow();
      metaTrain(model, sineTasks, { steps, ...options });
      return [before, metaLoss(model, held, options).itemNow()];
    },
  });
export const mamlTiny: TinyTask<Mlp> = task('MAML', {}, 600);
export const firstOrderMamlTiny: TinyTask<Mlp> = task('MAML, first order', { firstOrder: true }, 600);
