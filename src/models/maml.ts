import { compile } from '../capture/compile.js';
import { fewShotSines } from '../data/synthetic.js';
import { functionalCall, type Module, type StateDict } from '../nn/index.js';
import { stack } from '../ops/join.js';
import { mseLoss } from '../ops/loss.js';
import { Adam } from '../optim/index.js';
import { grad } from '../tensor/autograd.js';
import type { Tensor } from '../tensor/tensor.js';
import { Mlp } from './mlp.js';
import { customTask, type TinyTask } from './task.js';

export interface MamlOptions {
  /** Step size of learning one task. Default 0.02. */
  readonly innerLr?: number;
  /** Steps on each task. Default 1. */
  readonly innerSteps?: number;
  /** Leave out derivatives of derivatives (first-order MAML). Default false. */
  readonly firstOrder?: boolean;
}

/** What a model would be after a few gradient steps on one task: parameters by name, which still depend on those of the model. */
export function adapt(
  model: Module,
  x: Tensor,
  y: Tensor,
  { innerLr = 0.02, innerSteps = 1, firstOrder = false }: MamlOptions = {},
): StateDict {
  let state: StateDict = new Map(model.namedParameters());
  for (let step = 0; step < innerSteps; step++) {
    const names = [...state.keys()];
    const loss = mseLoss(functionalCall(model, state, x), y);
    const slopes = grad(loss, [...state.values()], { createGraph: !firstOrder });
    state = new Map(names.map((name, i) => [name, (state.get(name) as Tensor).sub((slopes[i] as Tensor).mul(innerLr))]));
  }
  return state;
}

/** The mean loss on new points after learning each task: what MAML minimizes (Finn et al. 2017). All tensors are (tasks, points, 1). */
export function metaLoss(
  model: Module,
  batch: readonly [sx: Tensor, sy: Tensor, qx: Tensor, qy: Tensor],
  options: MamlOptions = {},
): Tensor {
  const tasks = batch[0].sizeAt(0);
  const losses = Array.from({ length: tasks }, (_, i) => {
    const [sx, sy, qx, qy] = batch.map((t) => t.select(0, i)) as [Tensor, Tensor, Tensor, Tensor];
    return mseLoss(functionalCall(model, adapt(model, sx, sy, options), qx), qy);
  });
  return stack(losses).mean();
}

/** Meta-trains on batch(0), batch(1), … with Adam; the whole step, gradients of gradients and all, is one program. */
export function metaTrain(
  model: Module,
  batch: (step: number) => readonly [Tensor, Tensor, Tensor, Tensor],
  { steps, lr = 3e-3, ...options }: MamlOptions & { readonly steps: number; readonly lr?: number },
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

const task = (name: string, options: MamlOptions, steps: number): TinyTask<Mlp> =>
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
