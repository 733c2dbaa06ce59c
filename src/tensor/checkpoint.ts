import { LibError } from '../core/errors.js';
import { attach, edgeOf, isGradEnabled } from '../ops/apply.js';
import { autocastDtype, setAutocast } from '../ops/autocast.js';
import { enableGrad, gradMany } from './autograd.js';
import { capturing } from './capturing.js';
import { type DrawListener, type Generator, type GeneratorState, setDrawListener } from './generator.js';
import { type Edge, type GradContext, GradNode, nextSequence } from './graph.js';
import { asRepetition } from './recomputing.js';
import { isTensor, Tensor } from './tensor.js';

type Results = Tensor | readonly Tensor[];

/**
 * Runs `fn` without keeping what its backward pass needs: backward runs it again from the arguments. Saves the memory of the values
 * inside for one more forward pass. Dropout draws the same masks again, and running statistics move once
 * (Chen et al. 2016; PyTorch: torch.utils.checkpoint with use_reentrant=False).
 * @example
 * const block = (x: Tensor): Tensor => linear(x, randn([8, 8], { requiresGrad: true })).gelu();
 * checkpoint(block, randn([2, 8])).sum().backward();
 */
export function checkpoint<Args extends readonly unknown[], R extends Results>(fn: (...args: Args) => R, ...args: Args): R {
  if (!isGradEnabled()) return fn(...args);
  const first = nextSequence();
  const draws = new Draws();
  const result = draws.observing(() => fn(...args));
  const outputs = isTensor(result) ? [result] : [...(result as readonly Tensor[])];
  const given = args.filter(isTensor).filter((t) => t.requiresGrad);
  const leaves = leavesOf('checkpoint', outputs, given, first);
  const inputs = [...given, ...leaves];
  if (inputs.length === 0) return result;
  const segment = new Segment(fn, args, given, draws, autocastDtype());
  const fresh = outputs.map((y) => new Tensor(y.spec, y.storage, y.offset, y.device));
  const recording = {
    name: 'checkpoint',
    rule: (gs: readonly (Tensor | null)[], context: GradContext<unknown>) => segment.backward(gs, context),
    params: null,
    scalars: [],
    inputSpecs: inputs.map((x) => x.spec),
    outputSpecs: fresh.map((y) => y.spec),
    device: (fresh[0] as Tensor).device,
    foreign: true, // what runs again may keep values of its own
  };
  attach(new GradNode(recording, inputs.map(edgeOf), [...inputs, ...fresh.map(() => null)]), inputs, fresh);
  return (isTensor(result) ? fresh[0] : fresh) as R;
}

/** @internal Leaves that a function reads beside its arguments: parameters of its modules. */
export function leavesOf(op: string, outputs: readonly Tensor[], given: readonly Tensor[], first: number): Tensor[] {
  const leaves = new Set<Tensor>();
  const seen = new Set<GradNode>();
  const open: GradNode[] = [];
  const visit = ({ node, leaf }: Edge): void => {
    if (leaf !== null && !given.includes(leaf)) leaves.add(leaf);
    if (node === null || seen.has(node) || given.some((t) => t.node === node)) return;
    if (node.sequence < first) {
      throw new LibError(
        'grad',
        `${op}: tensors that are part of a graph must be arguments, got one that ${node.name} made.`,
        `${op}'s function takes them: (x, h) => ….`,
      );
    }
    seen.add(node);
    open.push(node);
  };
  for (const y of outputs) {
    const edge = edgeOf(y);
    if (edge !== null) visit(edge);
  }
  for (let node = open.pop(); node !== undefined; node = open.pop()) for (const edge of node.edges) if (edge !== null) visit(edge);
  return [...leaves];
}

/** A function and what it was called with, to be run again. */
class Segment<Args extends readonly unknown[]> {
  constructor(
    private readonly fn: (...args: Args) => Results,
    private readonly args: Args,
    private readonly given: readonly Tensor[],
    private readonly draws: Draws,
    private readonly cast: ReturnType<typeof autocastDtype>,
  ) {}

  backward(gradOutputs: readonly (Tensor | null)[], { inputs }: GradContext<unknown>): readonly (Tensor | null)[] {
    const createGraph = isGradEnabled();
    // Detached, so that the inner pass ends at the arguments; a graph of the gradients has to go on behind them.
    const stands = this.given.map((_, i) => (createGraph ? (inputs[i] as Tensor) : (inputs[i] as Tensor).detach().requiresGrad_()));
    const again = this.args.map((arg) => {
      const at = this.given.indexOf(arg as Tensor);
      return at < 0 ? arg : stands[at];
    }) as unknown as Args;
    const xs = [...stands, ...inputs.slice(stands.length)];
    const leave = capturing()?.repeats();
    try {
      const result = this.recomputed(again);
      const ys = (isTensor(result) ? [result] : [...result]).map((y, i) => [y, gradOutputs[i] ?? null] as const);
      const reached = ys.filter(([y, g]) => g !== null && y.requiresGrad);
      if (reached.length === 0) return xs.map(() => null);
      return gradMany(
        'checkpoint',
        reached.map(([y]) => y),
        reached.map(([, g]) => g),
        xs,
        { createGraph, allowUnused: true },
      );
    } finally {
      leave?.();
    }
  }

  private recomputed(args: Args): Results {
    const before = setAutocast(this.cast);
    try {
      return this.draws.repeating(() => asRepetition(() => enableGrad(() => this.fn(...args))));
    } finally {
      setAutocast(before);
    }
  }
}

/** Where every stream stood when a function first drew from it, so that it can draw the same again, in replays too. */
class Draws {
  private readonly starts = new Map<Generator, GeneratorState>();
  private readonly resumed = new Map<Generator, GeneratorState>();

  observing<T>(body: () => T): T {
    const outer = setDrawListener(null);
    const listener: DrawListener = (generator, blocks) => {
      if (!this.starts.has(generator)) {
        const note = (): void => void this.starts.set(generator, generator.state);
        note();
        capturing()?.onReplay(note);
      }
      outer?.(generator, blocks);
    };
    setDrawListener(listener);
    try {
      return body();
    } finally {
      setDrawListener(outer);
    }
  }

  repeating<T>(body: () => T): T {
    const rewind = (): void => {
      for (const [generator, start] of this.starts) {
        this.resumed.set(generator, generator.state);
        generator.state = start;
      }
    };
    const resume = (): void => {
      for (const [generator, state] of this.resumed) generator.state = state;
    };
    rewind();
    capturing()?.onReplay(rewind);
    try {
      return body();
    } finally {
      resume();
      capturing()?.onReplay(resume);
    }
  }
}
