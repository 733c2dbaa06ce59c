import { LibError } from '../core/errors.js';
import type { Shape } from '../core/shape.js';
import { noGrad } from '../tensor/autograd.js';
import { checkpoint } from '../tensor/checkpoint.js';
import { isTensor, type Tensor } from '../tensor/tensor.js';
import type { AnyModule, Module } from './module.js';
import { summary } from './summary.js';

export interface CheckpointBlocksOptions {
  /** Which modules keep nothing but their inputs. Default: the model's children of several layers; lists and sequences of such count as theirs. */
  readonly blocks?: readonly AnyModule[];
}

type Forward = (...inputs: readonly unknown[]) => Tensor | readonly Tensor[];

/** The model's blocks from top to bottom. A single layer is none: its inputs and outputs would be kept instead of its inputs. */
function blocksOf(model: AnyModule): AnyModule[] {
  const blocks = model.children().filter((m) => m.children().length > 0);
  const lists = (m: AnyModule): boolean => /^(Sequential|ModuleList)$/.test(m.constructor.name) && blocksOf(m).length > 0;
  return blocks.flatMap((m) => (lists(m) ? blocksOf(m) : [m]));
}

/**
 * Switches gradient checkpointing on for blocks of a model: what a block computes is not kept for backward but computed again there, with
 * the same random numbers, and statistics moving once (torch.utils.checkpoint by block). Returns the switch that turns it off again.
 * @example
 * const net = new Sequential(new Linear(8, 8), new Tanh(), new Linear(8, 1));
 * const off = checkpointBlocks(net, { blocks: net.children().slice(0, 2) });
 * net.forward(randn([2, 8])).sum().backward();
 * off();
 */
export function checkpointBlocks(model: AnyModule, { blocks = blocksOf(model) }: CheckpointBlocksOptions = {}): () => void {
  const inside = new Set(model.modules());
  const stranger = blocks.find((block) => !inside.has(block));
  if (blocks.length === 0 || stranger !== undefined) {
    const got = stranger === undefined ? 'none' : `a ${stranger.constructor.name} from elsewhere`;
    throw new LibError('value', `checkpointBlocks: blocks must be modules inside the model, got ${got}.`, 'say which: { blocks }.');
  }
  const undo = [...new Set(blocks)].map((block) => {
    const own = Object.getOwnPropertyDescriptor(block, 'forward');
    const forward = (block as unknown as { readonly forward: Forward }).forward;
    const value = (...inputs: readonly unknown[]): unknown =>
      checkpoint((...given: readonly unknown[]) => forward.apply(block, given as unknown[]), ...inputs);
    Object.defineProperty(block, 'forward', { configurable: true, writable: true, enumerable: false, value });
    return () => {
      if (own === undefined) delete (block as unknown as { forward?: unknown }).forward;
      else Object.defineProperty(block, 'forward', own);
    };
  });
  return () => {
    for (const off of undo.splice(0)) off();
  };
}

/** What one training step costs. */
export interface StepCost {
  /** Bytes kept between forward and backward. */
  readonly activationBytes: number;
  /** Milliseconds of forward and backward, the least of a few. */
  readonly milliseconds: number;
}
export interface CheckpointReport {
  readonly plain: StepCost;
  readonly checkpointed: StepCost;
  /** checkpointed / plain of the bytes, and of the time. */
  readonly memoryRatio: number;
  readonly timeRatio: number;
  toString(): string;
}

/** Memory and time of a training step with and without {@link checkpointBlocks}. Gradients of the model are left as they were. */
export function checkpointReport(
  model: AnyModule,
  input: Shape | readonly Tensor[],
  options: CheckpointBlocksOptions & { readonly makeInputs?: () => readonly Tensor[] } = {},
): CheckpointReport {
  const given = input.filter(isTensor);
  const inputs = options.makeInputs ?? (() => given);
  const cost = (): StepCost => ({
    activationBytes: summary(model, input as Shape).activationBytes,
    milliseconds: inputs().length === 0 ? Number.NaN : timeOf(model, inputs()),
  });
  const plain = cost();
  const off = checkpointBlocks(model, options);
  try {
    const checkpointed = cost();
    const memoryRatio = checkpointed.activationBytes / plain.activationBytes;
    const timeRatio = checkpointed.milliseconds / plain.milliseconds;
    const text = `activations ${plain.activationBytes} → ${checkpointed.activationBytes} bytes (x${memoryRatio.toFixed(2)}), time x${timeRatio.toFixed(2)}`;
    return { plain, checkpointed, memoryRatio, timeRatio, toString: () => text };
  } finally {
    off();
  }
}

function timeOf(model: AnyModule, inputs: readonly Tensor[]): number {
  const parameters = model.parameters();
  const before = parameters.map((p) => p.grad);
  const step = (): number => {
    for (const p of parameters) p.grad = null;
    const start = performance.now();
    const result = (model as unknown as Module<readonly Tensor[], unknown>).forward(...inputs);
    const [first] = [result].flat().filter(isTensor);
    first?.sum().backward();
    noGrad(() => parameters.at(-1)?.grad?.sum().itemNow());
    return performance.now() - start;
  };
  const times = [step(), step(), step(), step()];
  parameters.forEach((p, i) => {
    p.grad = before[i] ?? null;
  });
  return Math.min(...times);
}
