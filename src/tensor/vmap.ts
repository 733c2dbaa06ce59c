import { LibError } from '../core/errors.js';
import { type Spec, specOf } from '../core/spec.js';
import {
  attach,
  currentExecutor,
  type Executor,
  edgeOf,
  isGradEnabled,
  type Plan,
  setAllocationListener,
  setExecutor,
} from '../ops/apply.js';
import type { LiveScalars } from '../ops/define.js';
import { type BatchedKernel, batchKernel, type ExampleOperand } from '../program/batching.js';
import { enableGrad, gradMany } from './autograd.js';
import { BatchedStorage } from './batched.js';
import { leavesOf } from './checkpoint.js';
import { zerosLike } from './creation.js';
import { type DrawListener, type Generator, setDrawListener } from './generator.js';
import { type GradContext, GradNode, nextSequence } from './graph.js';
import { Tensor } from './tensor.js';
import { collectTensors, withTensors } from './tree.js';

export type Randomness = 'error' | 'same' | 'different';

export interface VmapOptions {
  /** The dim of the examples, of the tensors in each argument: null for arguments that all examples share. Default 0 for every tensor. */
  readonly inDims?: number | null | readonly (number | null)[];
  /** Where the dim of the examples goes in the results. Default 0. */
  readonly outDims?: number;
  /** What random functions do: fail (default), draw the same for all examples, or for each its own. */
  readonly randomness?: Randomness;
}

/**
 * `fn` for one example becomes a function of all of them: every kernel runs once over a leading dim, or example by example where it has
 * no such form. Arguments and results may be arrays, maps and plain objects of tensors. Works with grad(), jvp() and compile() inside and
 * outside (PyTorch: torch.func.vmap).
 * @example
 * const w = randn([3, 2]);
 * const rows = vmap((x: Tensor) => x.matmul(w).tanh())(randn([5, 3])); // (5, 2)
 */
export function vmap<Args extends readonly unknown[], R>(
  fn: (...args: Args) => R,
  { inDims = 0, outDims = 0, randomness = 'error' }: VmapOptions = {},
): (...args: Args) => R {
  return (...args: Args): R => {
    const dims = args.flatMap((arg, i) => {
      const dim = typeof inDims === 'object' && inDims !== null ? (inDims[i] ?? null) : inDims;
      return collectTensors(arg).map((x) => dimOf(x, dim));
    });
    const tensors = collectTensors(args);
    const count = countOf(tensors, dims);
    return new Mapped(fn, args, tensors, dims, count, outDims, randomness).run();
  };
}

function dimOf(x: Tensor, dim: number | null): number | null {
  if (dim === null) return null;
  const at = dim < 0 ? dim + x.ndim : dim;
  if (Number.isInteger(at) && at >= 0 && at < x.ndim) return at;
  throw new LibError('shape', `vmap: inDims must be dims of the arguments, got ${dim} for a tensor of ${x.ndim} dimensions.`);
}

function countOf(tensors: readonly Tensor[], dims: readonly (number | null)[]): number {
  const counts = tensors.flatMap((x, i) => (dims[i] != null ? [x.sizeAt(dims[i])] : []));
  const [count] = counts;
  if (count === undefined) throw new LibError('value', 'vmap: at least one tensor must be mapped over, got none.', 'check inDims.');
  if (counts.every((n) => n === count)) return count;
  throw new LibError('shape', `vmap: mapped dims must have one size, got ${counts.join(', ')}.`);
}

/** One call of a mapped function. */
class Mapped<Args extends readonly unknown[], R> {
  constructor(
    private readonly fn: (...args: Args) => R,
    private readonly args: Args,
    /** In the arguments, and the dim of the examples in each. */
    private readonly tensors: readonly Tensor[],
    private readonly dims: readonly (number | null)[],
    private readonly count: number,
    private readonly outDims: number,
    private readonly randomness: Randomness,
  ) {}

  run(): R {
    const first = nextSequence();
    const executor = new ExampleExecutor(this.count, this.randomness);
    // Gradients inside end at the examples: those of the arguments come from a rule of their own.
    const { tensors } = this;
    const examples = tensors.map((x, i) => executor.example(x.detach(), this.dims[i] ?? null));
    const wanted = isGradEnabled() ? tensors.filter((t) => t.requiresGrad) : [];
    tensors.forEach((t, i) => void (wanted.includes(t) && examples[i]?.requiresGrad_()));
    const result = executor.running(() => this.fn(...withTensors(this.args, examples)));
    const outputs = collectTensors(result);
    const leaves = leavesOf('vmap', outputs, examples, first);
    const real = outputs.map((y) => executor.all(y, this.outDims));
    if (outputs.some((y) => y.requiresGrad) && wanted.length + leaves.length > 0) this.record(real, leaves);
    return withTensors(result, real);
  }

  private record(outputs: readonly Tensor[], leaves: readonly Tensor[]): void {
    const inputs = [...this.tensors, ...leaves];
    const recording = {
      name: 'vmap',
      rule: (gs: readonly (Tensor | null)[], context: GradContext<unknown>) => this.backward(gs, context),
      params: null,
      scalars: [],
      inputSpecs: inputs.map((x) => x.spec),
      outputSpecs: outputs.map((y) => y.spec),
      device: (outputs[0] as Tensor).device,
      foreign: true,
    };
    attach(new GradNode(recording, inputs.map(edgeOf), [...inputs, ...outputs.map(() => null)]), inputs, outputs);
  }

  /** Per example, the gradient of the function; summed over the examples for what they share. */
  private backward(gs: readonly (Tensor | null)[], { inputs, needs }: GradContext<unknown>): readonly (Tensor | null)[] {
    const createGraph = isGradEnabled();
    const [own, given] = [this.dims, this.tensors.length];
    const present = gs.flatMap((g, i) => (g === null ? [] : [[g, i] as const]));
    const wanted = inputs.map((_, i) => i).filter((i) => needs[i]);
    const rule = (...all: Tensor[]): Tensor[] => {
      const examples = all.slice(0, given).map((x, i) => (needs[i] && !x.requiresGrad ? x.detach().requiresGrad_() : x));
      // Leaves are asked for by the tensors themselves, for those are what the function reads.
      const xs = wanted.map((i) => (i < given ? examples[i] : inputs[i]) as Tensor);
      const seeds = present.map(([, output], k) => [output, all[given + k] as Tensor] as const);
      return this.gradientOf(examples, xs, seeds, createGraph);
    };
    const inDims = [...own, ...present.map(() => this.outDims)];
    const mapped = vmap(rule, { inDims, randomness: this.randomness });
    const found = mapped(...inputs.slice(0, given), ...present.map(([g]) => g));
    const out: (Tensor | null)[] = inputs.map(() => null);
    wanted.forEach((i, k) => {
      const g = found[k] as Tensor;
      const dim = own[i] ?? null;
      out[i] = dim === null ? g.sum({ dim: 0 }) : g.movedim(0, dim);
    });
    return out;
  }

  private gradientOf(
    examples: readonly Tensor[],
    xs: readonly Tensor[],
    seeds: readonly (readonly [output: number, g: Tensor])[],
    createGraph: boolean,
  ): Tensor[] {
    const outputs = collectTensors(enableGrad(() => this.fn(...withTensors(this.args, examples))));
    const reached = seeds.map(([i, g]) => [outputs[i] as Tensor, g] as const).filter(([y]) => y.requiresGrad);
    if (reached.length === 0) return xs.map((x) => zerosLike(x));
    const [ys, gs] = [reached.map(([y]) => y), reached.map(([, g]) => g)];
    return gradMany('vmap', ys, gs, xs, { createGraph, allowUnused: true }).map((g, i) => g ?? zerosLike(xs[i] as Tensor));
  }
}

interface ExamplePlan {
  readonly batched: BatchedKernel;
  readonly plan: Plan;
}

/** Runs each step for all examples. The tensors that it gives out look like those of one example. */
class ExampleExecutor implements Executor {
  private readonly outer = currentExecutor();
  private readonly plans = new WeakMap<Plan, Map<string, ExamplePlan | null>>();

  constructor(
    private readonly count: number,
    private readonly randomness: Randomness,
  ) {}

  running<T>(body: () => T): T {
    const executor = setExecutor(this);
    const outerDraws = setDrawListener(null);
    setDrawListener(this.drawListener(outerDraws));
    try {
      return body();
    } finally {
      setExecutor(executor);
      setDrawListener(outerDraws);
    }
  }

  private drawListener(outer: DrawListener | null): DrawListener {
    return (generator: Generator, blocks: number) => {
      if (this.randomness === 'error') {
        const hint = "pass { randomness: 'different' } for numbers of each example's own, or 'same'.";
        throw new LibError('option', 'vmap: random functions must be told what examples get, got a draw without randomness.', hint);
      }
      const drawn = this.randomness === 'different' ? this.count * blocks : blocks;
      outer?.(generator, drawn);
      const { state } = generator;
      generator.state = { ...state, offset: state.offset + drawn - blocks };
    };
  }

  /** The stand-in for one example of `x`, or `x` itself where all share it. */
  example(x: Tensor, dim: number | null): Tensor {
    if (dim === null) return x;
    const shape = x.shape.filter((_, d) => d !== dim);
    const strides = x.spec.strides.filter((_, d) => d !== dim);
    const storage = new BatchedStorage(this, x, x.spec.strides[dim] ?? 0);
    return new Tensor(specOf(x.dtype, shape, strides), storage, 0, x.device);
  }

  /** All examples of a result, their dim at `dim`. */
  all(y: Tensor, dim: number): Tensor {
    const rank = y.ndim + 1;
    const at = dim < 0 ? dim + rank : dim;
    if (!Number.isInteger(at) || at < 0 || at >= rank) {
      throw new LibError('shape', `vmap: outDims must be a dim of the results, got ${dim} for ${rank} dimensions.`);
    }
    const [spec, storage, offset] = this.real(y, true);
    const order = [...y.shape.map((_, d) => d + 1)];
    order.splice(at, 0, 0);
    const pick = (list: readonly number[]): number[] => order.map((d) => list[d] ?? 0);
    return new Tensor(specOf(y.dtype, pick(spec.shape), pick(spec.strides)), storage, offset, y.device);
  }

  /** Spec, storage and offset of all examples of a tensor. */
  private real({ spec, storage, offset }: Tensor, always: boolean): readonly [Spec, Tensor['storage'], number] {
    const own = this.owned(storage);
    if (own === null && !always) return [spec, storage, offset];
    const all = specOf(spec.dtype, [this.count, ...spec.shape], [own?.stride ?? 0, ...spec.strides]);
    return own === null ? [all, storage, offset] : [all, own.real.storage, own.real.offset + offset];
  }

  private owned(storage: Tensor['storage']): BatchedStorage | null {
    return storage instanceof BatchedStorage && storage.owner === this ? storage : null;
  }

  run(plan: Plan, inputs: readonly Tensor[], scalars: readonly number[], into?: readonly Tensor[], live?: LiveScalars): Tensor[] {
    const listener = setAllocationListener(null); // who listens would free the memory behind the examples
    try {
      const isOwn = (t: Tensor): boolean => this.owned(t.storage) !== null;
      const draws = plan.kernel.family === 'random' && this.randomness === 'different';
      const shared = !inputs.some(isOwn) && !into?.some(isOwn);
      if (shared && !draws) return this.outer.run(plan, inputs, scalars, into, live);
      if (into?.some((t) => !isOwn(t))) {
        throw new LibError('value', `vmap: ${plan.name} cannot write what differs between examples into a tensor that all share.`);
      }
      const known = draws ? this.drawingPlan(plan) : this.planFor(plan, inputs, into);
      return known === null ? this.oneByOne(plan, inputs, scalars, into, live) : this.together(plan, known, inputs, scalars, into, live);
    } finally {
      setAllocationListener(listener);
    }
  }

  private planFor(plan: Plan, inputs: readonly Tensor[], into?: readonly Tensor[]): ExamplePlan | null {
    const operands = inputs.map(({ spec, storage }): ExampleOperand => ({ spec, stride: this.owned(storage)?.stride ?? null }));
    const targets = into?.map((t) => this.real(t, true)[0]);
    const key = `${operands.map((o) => o.stride)}>${targets?.map((s) => s.id) ?? ''}`;
    const plans = this.plans.get(plan) ?? new Map<string, ExamplePlan | null>();
    this.plans.set(plan, plans);
    let known = plans.get(key);
    if (known === undefined) {
      const dense = plan.kernel.family === 'map' || plan.kernel.family === 'copy';
      const batched = targets !== undefined && !dense ? null : batchKernel(plan.kernel, operands, plan.outputs, this.count);
      known = batched && {
        batched,
        plan: { ...plan, kernel: batched.kernel, inputs: batched.inputs, outputs: targets ?? batched.outputs, executable: null },
      };
      plans.set(key, known);
    }
    return known;
  }

  /** One stream of numbers for all examples, in their order. */
  private drawingPlan(plan: Plan): ExamplePlan {
    const outputs = plan.outputs.map(({ dtype, shape }) => specOf(dtype, [this.count, ...shape]));
    return { batched: { kernel: plan.kernel, inputs: [], outputs }, plan: { ...plan, outputs, executable: null } };
  }

  private together(
    { outputs }: Plan,
    { plan }: ExamplePlan,
    inputs: readonly Tensor[],
    scalars: readonly number[],
    into?: readonly Tensor[],
    live?: LiveScalars,
  ): Tensor[] {
    const operand = (t: Tensor, spec: Spec): Tensor => {
      const [, storage, offset] = this.real(t, true);
      return new Tensor(spec, storage, offset, t.device);
    };
    const targets = into?.map((t, i) => operand(t, plan.outputs[i] as Spec));
    const results = this.outer.run(
      plan,
      inputs.map((t, i) => operand(t, plan.inputs[i] as Spec)),
      scalars,
      targets,
      live,
    );
    return into === undefined ? results.map((real, i) => this.standIn(real, outputs[i] as Spec)) : [...into];
  }

  private standIn(real: Tensor, spec: Spec): Tensor {
    return new Tensor(spec, new BatchedStorage(this, real, spec.size), 0, real.device);
  }

  private oneByOne(
    plan: Plan,
    inputs: readonly Tensor[],
    scalars: readonly number[],
    into?: readonly Tensor[],
    live?: LiveScalars,
  ): Tensor[] {
    const nth = (t: Tensor, i: number): Tensor => {
      const own = this.owned(t.storage);
      if (own === null) return t;
      return new Tensor(t.spec, own.real.storage, own.real.offset + i * own.stride + t.offset, t.device);
    };
    const runs = Array.from({ length: this.count }, (_, i) =>
      this.outer.run(
        plan,
        inputs.map((t) => nth(t, i)),
        scalars,
        into?.map((t) => nth(t, i)),
        live,
      ),
    );
    if (into !== undefined) return [...into];
    return plan.outputs.map((spec, k) =>
      this.standIn(
        this.stacked(
          spec,
          runs.map((run) => run[k] as Tensor),
        ),
        spec,
      ),
    );
  }

  private stacked(spec: Spec, results: readonly Tensor[]): Tensor {
    const places = results.map((_, i) => ({ offset: i * spec.size, strides: specOf(spec.dtype, spec.shape).strides }));
    const plan: Plan = {
      name: 'vmap',
      kernel: { family: 'copy', places },
      inputs: results.map((r) => r.spec),
      outputs: [specOf(spec.dtype, [this.count, ...spec.shape])],
      device: (results[0] as Tensor).device,
      executable: null,
    };
    return this.outer.run(plan, results, [])[0] as Tensor;
  }
}
