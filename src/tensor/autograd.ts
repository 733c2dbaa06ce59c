import { cached } from '../core/cache.js';
import { LibError } from '../core/errors.js';
import { formatShape, sameShape } from '../core/shape.js';
import { setAllocationListener, setGradEnabled } from '../ops/apply.js';
import { setAutocast } from '../ops/autocast.js';
import type { Storage } from '../program/backend.js';
import { fullLike } from './creation.js';
import type { Edge, GradNode } from './graph.js';
import { Recycler } from './recycler.js';
import type { Tensor } from './tensor.js';

export interface BackwardOptions {
  /** The gradient of the result by this tensor; needed when it has more than one element. Default: 1. */
  readonly gradient?: Tensor;
  /** Keep the graph for another backward. Default: the value of `createGraph`. */
  readonly retainGraph?: boolean;
  /** Record the backward pass itself, so that gradients can be differentiated again. Default false. */
  readonly createGraph?: boolean;
}

/**
 * Computes gradients of `root` and adds them into `.grad` of every leaf that requires them (PyTorch: Tensor.backward).
 * @example const w = tensor([2], { requiresGrad: true }); w.mul(w).sum().backward(); // w.grad is [4]
 */
export function backward(root: Tensor, options: BackwardOptions = {}): void {
  const { createGraph = false } = options;
  checkRoot('backward', root);
  const seed = seedOf('backward', root, options.gradient);
  const sink = new LeafSink(createGraph, options.gradient);
  walk([root], [seed], { createGraph, retainGraph: options.retainGraph ?? createGraph, sink });
}

export interface GradOptions extends BackwardOptions {
  /** The gradient that arrives at each result: one tensor, or a list with null for those of one element. Default: 1 at each of one element. */
  readonly gradOutputs?: Tensor | readonly (Tensor | null)[];
  /** Give null for inputs that the result does not depend on, instead of an error. Default false. */
  readonly allowUnused?: boolean;
}

/** Gradients of `y`, or of the sum of several results, by each of `xs`, without touching `.grad` (PyTorch: torch.autograd.grad). */
export function grad(
  y: Tensor | readonly Tensor[],
  xs: readonly Tensor[],
  options?: GradOptions & { readonly allowUnused?: false },
): Tensor[];
export function grad(y: Tensor | readonly Tensor[], xs: readonly Tensor[], options: GradOptions): (Tensor | null)[];
export function grad(y: Tensor | readonly Tensor[], xs: readonly Tensor[], options: GradOptions = {}): (Tensor | null)[] {
  const { gradOutputs = options.gradient ?? [] } = options;
  const [ys, seeds] = [[y].flat() as Tensor[], [gradOutputs].flat() as (Tensor | null)[]];
  if (seeds.length !== 0 && seeds.length !== ys.length)
    throw new LibError('value', `grad: there must be as many gradOutputs as results, got ${seeds.length} for ${ys.length}.`);
  return gradMany('grad', ys, seeds, xs, options);
}

/** @internal Gradients of several results at once, each weighted by its own output gradient. */
export function gradMany(
  op: string,
  ys: readonly Tensor[],
  seeds: readonly (Tensor | null)[],
  xs: readonly Tensor[],
  { createGraph = false, retainGraph = createGraph, allowUnused = false }: GradOptions = {},
): (Tensor | null)[] {
  for (const y of ys) checkRoot(op, y);
  const unfit = xs.findIndex((x) => !x.requiresGrad);
  if (unfit >= 0 && !allowUnused) {
    throw new LibError(
      'grad',
      `${op}: every input must require grad, got requiresGrad = false for input ${unfit}.`,
      'call requiresGrad_() on it before the computation.',
    );
  }
  const sink = new TargetSink(xs);
  walk(
    ys,
    ys.map((y, i) => seedOf(op, y, seeds[i] ?? undefined)),
    { createGraph, retainGraph, sink },
  );
  const found = xs.map((x) => sink.found(x));
  const unused = found.indexOf(null);
  if (unused >= 0 && !allowUnused) {
    throw new LibError(
      'grad',
      `${op}: the result must depend on every input, got input ${unused} outside its graph.`,
      'pass { allowUnused: true } to get null there.',
    );
  }
  return found;
}

function checkRoot(op: string, root: Tensor): void {
  if (!root.requiresGrad) {
    throw new LibError(
      'grad',
      `${op}: the tensor must depend on one that requires grad, got none.`,
      'call requiresGrad_() on the leaves, and compute outside noGrad().',
    );
  }
}

function seedOf(op: string, root: Tensor, gradient: Tensor | undefined): Tensor {
  if (gradient !== undefined) {
    if (!sameShape(gradient.shape, root.shape)) {
      throw new LibError(
        'shape',
        `${op}: the gradient must have the shape of the tensor, got ${formatShape(gradient.shape)} for ${formatShape(root.shape)}.`,
      );
    }
    return gradient;
  }
  if (root.size !== 1) {
    throw new LibError(
      'grad',
      `${op}: the tensor must have one element, got shape ${formatShape(root.shape)}.`,
      'reduce it first, e.g. loss.mean(), or pass { gradient }.',
    );
  }
  return fullLike(root, 1);
}

/** Where gradients end: in leaves, or in the tensors asked for. */
interface Sink {
  /** Called with the complete gradient of a leaf. */
  leaf(leaf: Tensor, gradient: Tensor): void;
  /** Called with the complete gradients of a step's outputs, before its rule runs. */
  node?(node: GradNode, gradients: readonly (Tensor | null)[]): void;
  /** Steps beyond which nothing is wanted may be skipped. */
  wants?(order: readonly GradNode[]): ReadonlySet<GradNode>;
  /** Storages that outlive the pass. */
  keeps(storage: Storage): boolean;
}

interface WalkOptions {
  readonly createGraph: boolean;
  readonly retainGraph: boolean;
  readonly sink: Sink;
}

/** Walks the graph from `roots` to its leaves, later steps first, without recursion. */
function walk(roots: readonly Tensor[], seeds: readonly Tensor[], { createGraph, retainGraph, sink }: WalkOptions): void {
  const pending = new Map<GradNode, (Tensor | null)[]>();
  const leaves = new Map<Tensor, Tensor>();
  // Without createGraph nobody but this pass can hold its temporaries, so they are recycled as soon as they are consumed.
  const recycler = createGraph ? null : new Recycler(roots[0] as Tensor);
  const receive = (edge: Edge, gradient: Tensor): void => {
    recycler?.hold(gradient);
    if (edge.leaf !== null) {
      accumulate(leaves.get(edge.leaf), gradient, (g) => leaves.set(edge.leaf as Tensor, g));
      return;
    }
    const node = edge.node as GradNode;
    const slots = cached(pending, node, () => node.recording.outputSpecs.map((): Tensor | null => null));
    accumulate(slots[edge.output] ?? undefined, gradient, (g) => {
      slots[edge.output] = g;
    });
  };
  const accumulate = (before: Tensor | undefined, gradient: Tensor, put: (g: Tensor) => void): void => {
    if (before === undefined) return put(gradient);
    const sum = before.add(gradient);
    recycler?.hold(sum);
    put(sum);
    recycler?.drop(before);
    recycler?.drop(gradient);
  };
  const before = setGradEnabled(createGraph);
  const cast = setAutocast(null); // gradients come in the types of the forward pass
  const listener = recycler && setAllocationListener(recycler.listener);
  try {
    const order = reachable(roots);
    const wanted = sink.wants?.(order);
    roots.forEach((root, i) => receive(edgeTo(root), seeds[i] as Tensor));
    for (const node of order) {
      const gradients = pending.get(node);
      pending.delete(node);
      if (gradients === undefined) continue;
      runHooks(node, gradients, recycler);
      sink.node?.(node, gradients);
      for (const g of gradients) if (g !== null) recycler?.keepIf(g, sink);
      if (wanted === undefined || wanted.has(node)) step(node, gradients, receive, recycler);
      if (!retainGraph) node.release();
      for (const g of gradients) if (g !== null) recycler?.drop(g);
      recycler?.sweep();
    }
    for (const [leaf, gradient] of leaves) {
      const final = applyHooks(leaf.hooks, gradient, recycler);
      sink.leaf(leaf, final);
      recycler?.keepIf(final, sink);
    }
  } finally {
    setGradEnabled(before);
    setAutocast(cast);
    if (recycler) {
      setAllocationListener(listener);
      recycler.finish(sink);
    }
  }
}

const edgeTo = (t: Tensor): Edge =>
  t.node === null ? { node: null, output: 0, leaf: t } : { node: t.node, output: t.outputIndex, leaf: null };

function step(
  node: GradNode,
  gradients: readonly (Tensor | null)[],
  receive: (edge: Edge, g: Tensor) => void,
  recycler: Recycler | null,
): void {
  if (node.recording.foreign) recycler?.surrender(gradients);
  const results = node.backward(gradients);
  if (node.recording.foreign) recycler?.surrenderNew();
  node.edges.forEach((edge, i) => {
    const g = results[i] ?? null;
    if (edge === null || g === null) return;
    const spec = node.recording.inputSpecs[i];
    if (spec !== undefined && !sameShape(spec.shape, g.shape)) {
      throw new LibError(
        'shape',
        `${node.name}: its gradient rule must give the input's shape ${formatShape(spec.shape)}, got ${formatShape(g.shape)}.`,
      );
    }
    receive(edge, spec !== undefined && g.dtype !== spec.dtype ? g.to(spec.dtype) : g);
  });
}

/** Every step that `roots` depend on, later ones first. */
function reachable(roots: readonly Tensor[]): GradNode[] {
  const found = new Set<GradNode>();
  const stack: GradNode[] = [];
  const visit = (node: GradNode | null | undefined): void => {
    if (node && !found.has(node)) {
      found.add(node);
      stack.push(node);
    }
  };
  for (const root of roots) visit(root.node);
  for (let node = stack.pop(); node !== undefined; node = stack.pop()) for (const edge of node.edges) visit(edge?.node);
  return [...found].sort((a, b) => b.sequence - a.sequence);
}

function runHooks(node: GradNode, gradients: (Tensor | null)[], recycler: Recycler | null): void {
  if (node.hooks === null) return;
  gradients.forEach((g, i) => {
    const hooks = node.hooks?.[i];
    if (g !== null && hooks !== undefined) gradients[i] = applyHooks(hooks, g, recycler);
  });
}

function applyHooks(hooks: ReadonlySet<(g: Tensor) => Tensor | undefined> | null, gradient: Tensor, recycler: Recycler | null): Tensor {
  if (hooks === null || hooks.size === 0) return gradient;
  let g = gradient;
  recycler?.surrender([g]); // the hook may keep what it sees
  for (const hook of hooks) g = hook(g) ?? g;
  recycler?.surrenderNew();
  return g;
}

/** Adds into `.grad`; makes sure that no two leaves share bytes, since optimizers and clipping write gradients in place. */
class LeafSink implements Sink {
  private readonly taken = new Set<Storage>();
  constructor(
    private readonly createGraph: boolean,
    seed: Tensor | undefined,
  ) {
    if (seed) this.taken.add(seed.storage);
  }

  leaf(leaf: Tensor, gradient: Tensor): void {
    if (leaf.grad !== null && leaf.grad !== undefined) {
      const before = leaf.grad;
      leaf.grad = this.createGraph || before.requiresGrad ? before.add(gradient) : before.add_(gradient);
    } else {
      leaf.grad = this.createGraph || this.ownsBytes(gradient) ? gradient : gradient.clone();
    }
    this.taken.add(leaf.grad.storage);
  }
  keeps(storage: Storage): boolean {
    return this.taken.has(storage);
  }
  private ownsBytes({ spec, offset, storage }: Tensor): boolean {
    return spec.contiguous && offset === 0 && storage.byteLength <= spec.bytes && !this.taken.has(storage);
  }
}

/** Catches the gradients of given tensors, leaves or not. */
class TargetSink implements Sink {
  private readonly results = new Map<Tensor, Tensor>();
  private readonly kept = new Set<Storage>();
  constructor(private readonly targets: readonly Tensor[]) {}

  leaf(leaf: Tensor, gradient: Tensor): void {
    if (this.targets.includes(leaf)) this.put(leaf, gradient);
  }
  node(node: GradNode, gradients: readonly (Tensor | null)[]): void {
    for (const t of this.targets) {
      const g = t.node === node ? (gradients[t.outputIndex] ?? null) : null;
      if (g !== null) this.put(t, g);
    }
  }
  /** Only steps on a path to a target need their rules run. */
  wants(order: readonly GradNode[]): ReadonlySet<GradNode> {
    const nodes = new Set(this.targets.map((t) => t.node));
    const wanted = new Set<GradNode>();
    for (const node of [...order].reverse()) {
      const leads = node.edges.some(
        (e) => e && (e.leaf ? this.targets.includes(e.leaf) : nodes.has(e.node) || wanted.has(e.node as GradNode)),
      );
      if (leads) wanted.add(node);
    }
    return wanted;
  }
  keeps(storage: Storage): boolean {
    return this.kept.has(storage);
  }
  found(x: Tensor): Tensor | null {
    return this.results.get(x) ?? null;
  }
  private put(t: Tensor, gradient: Tensor): void {
    this.results.set(t, gradient);
    this.kept.add(gradient.storage);
  }
}

/**
 * Runs `body` without recording: no graph, nothing kept for backward. The body must be synchronous.
 * @example noGrad(() => weight.sub_(weight.grad.mul(0.1)))
 */
export function noGrad<T>(body: () => T): T {
  return withGradMode('noGrad', false, body);
}

/** Records again inside {@link noGrad}. */
export function enableGrad<T>(body: () => T): T {
  return withGradMode('enableGrad', true, body);
}

function withGradMode<T>(op: string, enabled: boolean, body: () => T): T {
  const before = setGradEnabled(enabled);
  try {
    const result = body();
    if (result instanceof Promise) {
      result.catch(() => undefined);
      throw new LibError(
        'grad',
        `${op}: the body must be synchronous, got a promise, so the mode would change back before it has finished.`,
        `await first, then call ${op}(() => …) on the result.`,
      );
    }
    return result;
  } finally {
    setGradEnabled(before);
  }
}
