import { LibError } from '../core/errors.js';
import { functionalCall } from '../nn/functionalCall.js';
import type { AnyModule, Module } from '../nn/module.js';
import { binaryCrossEntropyWithLogits, mseLoss } from '../ops/functions.js';
import { grad, noGrad } from '../tensor/autograd.js';
import { onesLike, zerosLike } from '../tensor/creation.js';
import { randn } from '../tensor/random.js';
import type { Tensor } from '../tensor/tensor.js';
import type { LossFn } from './evaluate.js';
import { withMode } from './modes.js';
import type { TrainOptimizer } from './options.js';

/** Training procedures of more than one model or objective. */

/** Inputs and targets. */
export interface Pairs {
  readonly x: Tensor;
  readonly y: Tensor;
}
/** A task to be learned from few examples. */
export interface FewShotTask {
  readonly support: Pairs;
  readonly query: Pairs;
}

export interface InnerOptions {
  /** Step size within a task. Default 0.01. */
  readonly innerLr?: number;
  /** Steps within a task. Default 1. */
  readonly innerSteps?: number;
  /** Leave out second derivatives (FOMAML). Default false. */
  readonly firstOrder?: boolean;
  /** Default: mean squared error. */
  readonly loss?: LossFn;
}

/** The weights of a model after a few steps on a task: tensors that still depend on the model's own. The model is not changed. */
export function adapt(
  model: Module,
  { x, y }: Pairs,
  { innerLr = 0.01, innerSteps = 1, firstOrder = false, loss = mseLoss }: InnerOptions = {},
): ReadonlyMap<string, Tensor> {
  if (!Number.isInteger(innerSteps) || innerSteps < 1)
    throw new LibError('value', `adapt: innerSteps must be a positive integer, got ${innerSteps}.`);
  let weights = new Map<string, Tensor>([...model.namedParameters()].filter(([, p]) => p.requiresGrad));
  for (let i = 0; i < innerSteps; i++) {
    const value = loss(functionalCall(model, weights, x), y);
    const grads = grad(value, [...weights.values()], { createGraph: !firstOrder });
    weights = new Map([...weights].map(([name, w], j) => [name, w.sub((grads[j] as Tensor).mul(innerLr))]));
  }
  return weights;
}

export interface MetaLearningOptions extends InnerOptions {
  readonly model: Module;
  /** The tasks of an outer step. */
  readonly tasks: (step: number) => readonly FewShotTask[];
  readonly optimizer: TrainOptimizer;
  /** Outer steps. */
  readonly steps: number;
  readonly onStep?: (step: number, loss: number) => void;
}

/**
 * Model-agnostic meta-learning (Finn et al. 2017): trains weights from which a few steps on a new task go far. Gives the query losses,
 * one an outer step.
 */
export function metaLearning({ model, tasks, optimizer, steps, onStep, ...inner }: MetaLearningOptions): number[] {
  const { loss = mseLoss } = inner;
  const losses: number[] = [];
  for (let step = 0; step < steps; step++) {
    const batch = tasks(step);
    if (batch.length === 0) throw new LibError('value', 'metaLearning: a step must have tasks, got none.');
    optimizer.zeroGrad();
    let sum = 0;
    for (const { support, query } of batch) {
      const value = loss(functionalCall(model, adapt(model, support, inner), query.x), query.y).div(batch.length);
      value.backward();
      sum += value.itemNow();
    }
    optimizer.step();
    losses.push(sum);
    onStep?.(step, sum);
  }
  return losses;
}

export interface AdversarialOptions {
  /** From noise (batch, latent) to samples. */
  readonly generator: Module;
  /** From samples to one logit each, (batch, 1). */
  readonly discriminator: Module;
  readonly generatorOptimizer: TrainOptimizer;
  readonly discriminatorOptimizer: TrainOptimizer;
  /** Real samples of a step. */
  readonly real: (step: number) => Tensor;
  readonly latent: number;
  readonly steps: number;
  /** Steps of the discriminator for each of the generator. Default 1. */
  readonly discriminatorSteps?: number;
  readonly onStep?: (step: number, losses: AdversarialLosses) => void;
}
export interface AdversarialLosses {
  readonly generator: number;
  readonly discriminator: number;
}

/**
 * Trains a generator and a discriminator in turn (Goodfellow et al. 2014), with the generator's non-saturating loss. Each optimizer moves
 * its own model only.
 */
export function adversarialTraining(options: AdversarialOptions): AdversarialLosses[] {
  const {
    generator,
    discriminator,
    generatorOptimizer,
    discriminatorOptimizer,
    real,
    latent,
    steps,
    discriminatorSteps = 1,
    onStep,
  } = options;
  if (!Number.isInteger(discriminatorSteps) || discriminatorSteps < 1)
    throw new LibError('value', `adversarialTraining: discriminatorSteps must be a positive integer, got ${discriminatorSteps}.`);
  const history: AdversarialLosses[] = [];
  const noise = (like: Tensor): Tensor => randn([like.shape[0] as number, latent], { device: like.device });
  for (let step = 0; step < steps; step++) {
    let d = Number.NaN;
    let samples = real(step * discriminatorSteps);
    for (let i = 0; i < discriminatorSteps; i++) {
      if (i > 0) samples = real(step * discriminatorSteps + i);
      const made = noGrad(() => generator.forward(noise(samples)));
      discriminatorOptimizer.zeroGrad();
      const [yes, no] = [discriminator.forward(samples), discriminator.forward(made)];
      const loss = binaryCrossEntropyWithLogits(yes, onesLike(yes)).add(binaryCrossEntropyWithLogits(no, zerosLike(no)));
      loss.backward();
      discriminatorOptimizer.step();
      d = loss.itemNow();
    }
    generatorOptimizer.zeroGrad();
    const logits = discriminator.forward(generator.forward(noise(samples)));
    const loss = binaryCrossEntropyWithLogits(logits, onesLike(logits));
    loss.backward();
    generatorOptimizer.step();
    discriminatorOptimizer.zeroGrad(); // what the generator's pass left there
    const losses = { generator: loss.itemNow(), discriminator: d };
    history.push(losses);
    onStep?.(step, losses);
  }
  return history;
}

export interface GreedyOptions {
  /** Encoders from input to output. */
  readonly layers: readonly Module[];
  /** A decoder for each of them, back to its input; not needed afterwards. */
  readonly decoders: readonly Module[];
  readonly data: Tensor;
  readonly optimizer: (layer: AnyModule, decoder: AnyModule) => TrainOptimizer;
  /** Steps for each layer, on all data at once or on `batch` of them. */
  readonly steps: number;
  /** Deviation of the noise on inputs (denoising autoencoders, Vincent et al. 2008). Default 0. */
  readonly noise?: number;
  readonly loss?: LossFn;
}

/**
 * Pretrains layers one by one as autoencoders of what the layers before make of the data (Bengio et al. 2007). Gives the reconstruction
 * losses, layer by layer; supervised training comes after.
 */
export async function greedyPretraining({
  layers,
  decoders,
  data,
  optimizer: make,
  steps,
  noise = 0,
  loss = mseLoss,
}: GreedyOptions): Promise<number[][]> {
  if (layers.length !== decoders.length || layers.length === 0)
    throw new LibError('value', `greedyPretraining: each layer must have a decoder, got ${layers.length} and ${decoders.length}.`);
  const history: number[][] = [];
  let input = data;
  for (const [i, layer] of layers.entries()) {
    const decoder = decoders[i] as Module;
    const optimizer = make(layer, decoder);
    const losses: number[] = [];
    for (let step = 0; step < steps; step++) {
      optimizer.zeroGrad();
      const seen = noise > 0 ? input.add(randn(input.shape, { device: input.device }).mul(noise)) : input;
      const value = loss(decoder.forward(layer.forward(seen)), input);
      value.backward();
      optimizer.step();
      losses.push(value.itemNow());
    }
    history.push(losses);
    const before = input;
    input = await withMode(layer as unknown as AnyModule, false, async () => noGrad(() => layer.forward(before)));
  }
  return history;
}
