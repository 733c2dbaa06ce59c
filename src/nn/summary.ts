import { dryRun } from '../capture/dryRun.js';
import type { DType } from '../core/dtype.js';
import { LibError } from '../core/errors.js';
import type { Shape } from '../core/shape.js';
import { enableGrad, grad } from '../tensor/autograd.js';
import { zeros } from '../tensor/creation.js';
import type { GradNode } from '../tensor/graph.js';
import { isTensor, type Tensor } from '../tensor/tensor.js';
import type { AnyModule } from './module.js';
import { formatSummary } from './summaryText.js';

/** One module of a model, in the order of its tree. */
export interface SummaryRow {
  /** Dotted path; '' is the model. */
  readonly path: string;
  readonly type: string;
  readonly depth: number;
  /** Shapes of the last results; empty where `forward` was not called. */
  readonly outputShapes: readonly Shape[];
  /** Elements of the module's own parameters, those of its parts included; shared ones are counted once, where they come first. */
  readonly parameters: number;
  /** Multiplications and additions of its calls, forward: a fused multiply-add counts twice. */
  readonly flops: number;
  readonly calls: number;
  /** Whether it has modules inside. */
  readonly isLeaf: boolean;
}

export interface Summary {
  readonly rows: readonly SummaryRow[];
  /** Elements of all parameters, shared ones once. */
  readonly parameters: number;
  readonly trainable: number;
  readonly forwardFlops: number;
  /** Gradients of all parameters and inputs. */
  readonly backwardFlops: number;
  readonly parameterBytes: number;
  readonly inputBytes: number;
  /** What the forward pass keeps for backward, parameters and inputs not counted. */
  readonly activationBytes: number;
  toString(): string;
}

export interface SummaryOptions {
  /** Element type of the inputs. Default float32. */
  readonly dtype?: DType;
  /** Rows deeper than this are not shown. Default: all. */
  readonly depth?: number;
}

/**
 * What a model is made of: layers, shapes, parameters, arithmetic forward and backward, and the memory for backward. Nothing is computed,
 * so models of any size can be asked. Takes the shape of the input with its batch, the shapes of several, or tensors.
 * @example
 * console.log(String(summary(new Linear(4, 2), [8, 4])));
 */
export function summary(model: AnyModule, input: Shape | readonly Shape[] | readonly Tensor[], options: SummaryOptions = {}): Summary {
  const { dtype = 'float32', depth = Number.POSITIVE_INFINITY } = options;
  return dryRun((counts) => {
    const inputs = inputsOf(input, dtype);
    const calls = new Map<AnyModule, Call>();
    const restore = model.modules().map((m) => watch(m, calls, () => counts().flops));
    let output: unknown;
    try {
      output = enableGrad(() => (model as unknown as { forward(...args: readonly Tensor[]): unknown }).forward(...inputs));
    } finally {
      for (const undo of restore.reverse()) undo();
    }
    const forwardFlops = counts().flops;
    const results = tensorsIn(output).filter((t) => t.requiresGrad);
    const parameters = model.parameters();
    const activationBytes = savedBytes(results, new Set([...parameters, ...inputs].map((t) => t.storage)));
    backward(
      results,
      [...parameters, ...inputs].filter((t) => t.requiresGrad),
    );
    const size = (list: readonly Tensor[]): number => list.reduce((n, t) => n + t.size, 0);
    const bytes = (list: readonly Tensor[]): number => list.reduce((n, t) => n + t.spec.bytes, 0);
    const facts = {
      rows: rowsOf(model, calls).filter((row) => row.depth <= depth),
      parameters: size(parameters),
      trainable: size(parameters.filter((p) => p.requiresGrad)),
      forwardFlops,
      backwardFlops: counts().flops - forwardFlops,
      parameterBytes: bytes(parameters),
      inputBytes: bytes(inputs),
      activationBytes,
    };
    return { ...facts, toString: () => formatSummary(facts) };
  });
}

interface Call {
  flops: number;
  calls: number;
  shapes: Shape[];
}

function inputsOf(input: Shape | readonly Shape[] | readonly Tensor[], dtype: DType): Tensor[] {
  const list = input as readonly unknown[];
  if (list.length > 0 && list.every(isTensor)) return [...list];
  const shapes = list.every((d) => typeof d === 'number') ? [list as Shape] : (list as readonly Shape[]);
  if (!shapes.every((s) => Array.isArray(s) && s.every((d) => Number.isInteger(d) && d >= 0))) {
    throw new LibError(
      'shape',
      `summary: the input must be a shape, shapes or tensors, got ${JSON.stringify(input)}.`,
      'summary(model, [1, 3, 32, 32]).',
    );
  }
  return shapes.map((shape) => zeros(shape, { dtype }));
}

/** Counts the calls of a module until the result is called. */
function watch(module: AnyModule, calls: Map<AnyModule, Call>, flops: () => number): () => void {
  const target = module as unknown as { forward: (...args: readonly unknown[]) => unknown };
  const own = Object.getOwnPropertyDescriptor(target, 'forward');
  const original = target.forward;
  const value = (...args: readonly unknown[]): unknown => {
    const before = flops();
    const output = original.call(module, ...args);
    const call = calls.get(module) ?? { flops: 0, calls: 0, shapes: [] };
    call.flops += flops() - before;
    call.calls++;
    call.shapes = tensorsIn(output).map((t) => t.shape);
    calls.set(module, call);
    return output;
  };
  Object.defineProperty(target, 'forward', { value, configurable: true, writable: true, enumerable: false });
  return () => {
    if (own === undefined) Reflect.deleteProperty(target, 'forward');
    else Object.defineProperty(target, 'forward', own);
  };
}

function rowsOf(model: AnyModule, calls: ReadonlyMap<AnyModule, Call>): SummaryRow[] {
  const counted = new Set<Tensor>();
  const rows: SummaryRow[] = [];
  const visit = (path: string, module: AnyModule, depth: number): number => {
    const at = rows.push(null as unknown as SummaryRow) - 1;
    const children = [...module.namedChildren()];
    let parameters = children.reduce((n, [name, child]) => n + visit(path === '' ? name : `${path}.${name}`, child, depth + 1), 0);
    for (const p of module.parameters()) {
      if (counted.has(p)) continue;
      counted.add(p);
      parameters += p.size;
    }
    const call = calls.get(module);
    const { flops = 0, calls: count = 0, shapes = [] } = call ?? {};
    const facts = { path, type: module.constructor.name, depth, isLeaf: children.length === 0 };
    rows[at] = { ...facts, outputShapes: shapes, parameters, flops, calls: count };
    return parameters;
  };
  visit('', model, 0);
  return rows;
}

function tensorsIn(value: unknown): Tensor[] {
  if (isTensor(value)) return [value];
  return typeof value === 'object' && value !== null ? Object.values(value).flatMap(tensorsIn) : [];
}

/** Bytes that the graph behind some results holds. */
function savedBytes(results: readonly Tensor[], except: ReadonlySet<Tensor['storage']>): number {
  const seen = new Set<GradNode>();
  const storages = new Set<Tensor['storage']>();
  const open = results.flatMap((t) => (t.node === null ? [] : [t.node]));
  for (let node = open.pop(); node !== undefined; node = open.pop()) {
    if (seen.has(node)) continue;
    seen.add(node);
    for (const { storage } of node.savedTensors()) if (!except.has(storage)) storages.add(storage);
    for (const edge of node.edges) if (edge?.node) open.push(edge.node);
  }
  return [...storages].reduce((n, s) => n + s.byteLength, 0);
}

function backward(results: readonly Tensor[], leaves: readonly Tensor[]): void {
  const [first, ...others] = results.filter((t) => t.dtype.includes('float')).map((t) => t.sum());
  if (first === undefined || leaves.length === 0) return;
  enableGrad(() =>
    grad(
      others.reduce((a, b) => a.add(b), first),
      leaves,
      { allowUnused: true },
    ),
  );
}
