import { compile } from '../capture/compile.js';
import type { AnyModule, Parameter } from '../nn/index.js';
import { AdamW, type Optimizer, type Scheduler } from '../optim/index.js';
import { noGrad } from '../tensor/autograd.js';
import { getRandomState, manualSeed, setRandomState } from '../tensor/random.js';
import type { Tensor } from '../tensor/tensor.js';

/** What training a tiny preset gives. */
export interface TinyResult<M extends AnyModule = AnyModule> {
  readonly model: M;
  /** Loss on data drawn apart, before and after training. */
  readonly before: number;
  readonly after: number;
}

export interface TinyOptions {
  /** Of weights, dropout and the like. Default 0. */
  readonly seed?: number;
}

/** An architecture at a size that trains in seconds, on a synthetic task that it is made for. */
export interface TinyTask<M extends AnyModule = AnyModule> {
  /** Its row of the list of architectures, such as ARC-07. */
  readonly id: string;
  readonly name: string;
  /** An untrained model. */
  build(): M;
  /** Builds and trains. The global random state is as before afterwards. */
  run(options?: TinyOptions): TinyResult<M>;
}

/** Training that needs more than a loss: gives the loss on its task before and after. */
export interface CustomTask<M extends AnyModule> {
  readonly id: string;
  readonly name: string;
  build(): M;
  train(model: M): readonly [before: number, after: number];
}

/** A task whose training is its own. */
export function customTask<M extends AnyModule>({ id, name, build, train }: CustomTask<M>): TinyTask<M> {
  const run = ({ seed = 0 }: TinyOptions = {}): TinyResult<M> => {
    const kept = getRandomState();
    manualSeed(seed);
    try {
      const model = build();
      const [before, after] = train(model);
      return { model, before, after };
    } finally {
      setRandomState(kept);
    }
  };
  return { id, name, build, run };
}

export interface SupervisedTask<M extends AnyModule, Batch extends readonly Tensor[]> extends TrainOptions {
  readonly id: string;
  readonly name: string;
  build(): M;
  /** The batch of a step. Step -1 is what losses before and after are measured on. */
  batch(step: number): Batch;
  loss(model: M, ...batch: Batch): Tensor;
}

export interface TrainOptions {
  readonly steps: number;
  /** Default 0.01. */
  readonly lr?: number;
  /** Default: AdamW without weight decay. */
  optimizer?(params: readonly Parameter[], lr: number): Optimizer;
  /** A schedule, stepped after each step. Default: none. */
  schedule?(optimizer: Optimizer): Scheduler;
}

/** A task that is a loss on batches. */
export function supervisedTask<M extends AnyModule, Batch extends readonly Tensor[]>(task: SupervisedTask<M, Batch>): TinyTask<M> {
  return customTask({
    ...task,
    train: (model) => {
      const held = task.batch(-1);
      const measure = (): number => measured(model, () => task.loss(model, ...held));
      const before = measure();
      trainSteps(model, task.batch, (...batch: Batch) => task.loss(model, ...batch), task);
      return [before, measure()];
    },
  });
}

/** A loss in evaluation mode and without a graph. The model is in training mode afterwards. */
export function measured(model: AnyModule, loss: () => Tensor): number {
  model.eval();
  const value = noGrad(() => loss().itemNow());
  model.train();
  return value;
}

/** Trains what requires grad in `model` with compiled steps on batch(0), batch(1), … */
export function trainSteps<Batch extends readonly Tensor[]>(
  model: AnyModule,
  batch: (step: number) => Batch,
  loss: (...batch: Batch) => Tensor,
  { steps, lr = 0.01, optimizer: make = adamW, schedule }: TrainOptions,
): void {
  const params = model.parameters().filter((p) => p.requiresGrad);
  const optimizer = make(params, lr);
  const scheduler = schedule?.(optimizer);
  const step = compile((...args: Batch) => {
    optimizer.zeroGrad();
    loss(...args).backward();
    optimizer.step();
  });
  for (let i = 0; i < steps; i++) {
    step(...batch(i));
    scheduler?.step();
  }
}

const adamW = (params: readonly Parameter[], lr: number): Optimizer => new AdamW(params, { lr, weightDecay: 0 }) as unknown as Optimizer;
