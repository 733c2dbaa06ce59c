import { dtypes } from '../core/dtype.js';
import { LibError } from '../core/errors.js';
import { formatShape, type Shape } from '../core/shape.js';
import { currentExecutor, type Executor, eager, type Plan, setAllocationListener, setExecutor } from '../ops/apply.js';
import { noGrad } from '../tensor/autograd.js';
import { nextSequence, runningNode } from '../tensor/graph.js';
import type { Tensor } from '../tensor/tensor.js';
import type { AnyModule } from './module.js';

/** An input of the op that went wrong. */
export interface InputFacts {
  readonly shape: Shape;
  readonly dtype: string;
  /** Over the finite elements; NaN where there are none. */
  readonly min: number;
  readonly max: number;
  readonly mean: number;
  readonly nans: number;
  readonly infinities: number;
}

/** Where the first NaN or infinite value came from. */
export interface Anomaly {
  readonly op: string;
  readonly phase: 'forward' | 'backward';
  /** The op of the forward pass whose gradient it was. */
  readonly gradientOf: string | null;
  /** Dotted path of the module that called the op; null outside, or where no model was given. */
  readonly module: string | null;
  readonly moduleType: string | null;
  readonly found: 'NaN' | 'Infinity';
  readonly shape: Shape;
  readonly inputs: readonly InputFacts[];
  readonly step: number | null;
}

/** What {@link detectAnomaly} throws. */
export class AnomalyError extends LibError {
  constructor(readonly anomaly: Anomaly) {
    super('value', textOf(anomaly), hintOf(anomaly));
  }
}

const number = (v: number): string => (Number.isFinite(v) ? v.toPrecision(4) : `${v}`);
function textOf({ op, phase, gradientOf, module, moduleType, found, shape, inputs, step }: Anomaly): string {
  const where = module === null ? '' : ` in module '${module}' (${moduleType})`;
  const what = phase === 'forward' ? op : `${op}, in the gradient of ${gradientOf}`;
  const facts = inputs.map(
    (x) =>
      `${x.dtype} ${formatShape(x.shape)} from ${number(x.min)} to ${number(x.max)}, mean ${number(x.mean)}` +
      `${x.nans > 0 ? `, ${x.nans} NaN` : ''}${x.infinities > 0 ? `, ${x.infinities} infinite` : ''}`,
  );
  const from = facts.length === 0 ? '' : ` of inputs [${facts.join('; ')}]`;
  const when = step === null ? '' : ` at step ${step}`;
  return `detectAnomaly: values must stay finite, got ${found} from ${what}${where}${when}: ${formatShape(shape)}${from}.`;
}
function hintOf({ inputs, found }: Anomaly): string {
  if (inputs.some((x) => x.nans > 0)) return 'a NaN came in from outside: look at the data and the parameters.';
  if (found === 'NaN') return 'look for 0 / 0, log or root of negatives, Infinity - Infinity, rows that are masked as a whole.';
  return 'look for exp or powers of large values, division by 0, log(0), or a learning rate that is too high.';
}

export interface AnomalyOptions {
  /** Its modules' paths are told. */
  readonly model?: AnyModule;
  /** The step that is told. */
  readonly step?: number;
  /** false: only NaN is an anomaly. Default true. */
  readonly infinity?: boolean;
}

interface Kinds {
  readonly nan: boolean;
  readonly infinite: boolean;
}
const FINE: Kinds = { nan: false, infinite: false };

/** Looks at tensors without being looked at. */
function aside<T>(body: () => T): T {
  const [executor, listener] = [setExecutor(eager), setAllocationListener(null)];
  try {
    return noGrad(body);
  } finally {
    setExecutor(executor);
    setAllocationListener(listener);
  }
}

const isFloat = (x: Tensor): boolean => dtypes[x.dtype].kind === 'float';
/** 0 times anything but a finite number is NaN, and so is its sum. */
const allFinite = (x: Tensor): boolean => !Number.isNaN(x.detach().mul(0).sum().itemNow());
function kindsIn(x: Tensor): Kinds {
  if (!isFloat(x) || x.size === 0 || allFinite(x)) return FINE;
  const nan = x.detach().isnan().any().itemNow() !== 0;
  return { nan, infinite: x.detach().isinf().any().itemNow() !== 0 };
}

function factsOf(x: Tensor): InputFacts {
  const values = x.detach().toArray();
  let [min, max, sum, finite, nans, infinities] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 0, 0, 0, 0];
  for (const v of values) {
    if (Number.isNaN(v)) nans++;
    else if (!Number.isFinite(v)) infinities++;
    else {
      [min, max] = [Math.min(min, v), Math.max(max, v)];
      sum += v;
      finite++;
    }
  }
  const none = finite === 0;
  return {
    shape: x.shape,
    dtype: x.dtype,
    min: none ? Number.NaN : min,
    max: none ? Number.NaN : max,
    mean: sum / finite,
    nans,
    infinities,
  };
}

/** Runs each op and looks at what it gives. */
class Watcher implements Executor {
  /** Modules whose `forward` is running, the innermost last. */
  readonly running: (readonly [path: string, module: AnyModule])[] = [];
  /** Which module made the steps of the graph up to a number. */
  private readonly owners: { readonly until: number; readonly owner: readonly [path: string, module: AnyModule] | null }[] = [];

  constructor(
    private readonly inner: Executor,
    private readonly options: AnomalyOptions,
  ) {}

  /** Whatever was recorded since the last call belongs to the module that has been running. */
  mark(): void {
    this.owners.push({ until: nextSequence(), owner: this.running.at(-1) ?? null });
  }

  run(
    plan: Plan,
    inputs: readonly Tensor[],
    scalars: readonly number[],
    into?: readonly Tensor[],
    live?: Parameters<Executor['run']>[4],
  ): Tensor[] {
    const before = into === undefined ? null : aside(() => inputs.map(kindsIn)); // they may be written over
    const outputs = this.inner.run(plan, inputs, scalars, into, live);
    if (outputs.some((x) => x.storage.byteLength > 0)) aside(() => this.check(plan, inputs, scalars, outputs, before));
    return outputs;
  }

  private check(
    plan: Plan,
    inputs: readonly Tensor[],
    scalars: readonly number[],
    outputs: readonly Tensor[],
    before: Kinds[] | null,
  ): void {
    for (const out of outputs) {
      const { nan, infinite } = kindsIn(out);
      if (!nan && !infinite) continue;
      if (inputs.length === 0 || scalars.some((s) => !Number.isFinite(s))) continue; // what was asked for: masks are made of -Infinity
      const had = before ?? inputs.map(kindsIn);
      const isNew = nan || (this.options.infinity !== false && infinite && !had.some((k) => k.infinite));
      if (isNew) throw new AnomalyError(this.anomaly(plan, inputs, out, nan ? 'NaN' : 'Infinity'));
    }
  }

  private anomaly({ name }: Plan, inputs: readonly Tensor[], out: Tensor, found: Anomaly['found']): Anomaly {
    const node = runningNode();
    const [module = null, made] = (node === null ? this.running.at(-1) : this.ownerOf(node.sequence)) ?? [];
    return {
      op: name,
      phase: node === null ? 'forward' : 'backward',
      gradientOf: node?.name ?? null,
      module,
      moduleType: made?.constructor.name ?? null,
      found,
      shape: out.shape,
      inputs: inputs.map(factsOf),
      step: this.options.step ?? null,
    };
  }

  private ownerOf(sequence: number): readonly [string, AnyModule] | null {
    return this.owners.find(({ until }) => sequence < until)?.owner ?? null;
  }
}

/** Tells the watcher when a module's `forward` begins and ends, until the result is called. */
function follow(path: string, module: AnyModule, watcher: Watcher): () => void {
  const target = module as unknown as { forward: (...args: readonly unknown[]) => unknown };
  const own = Object.getOwnPropertyDescriptor(target, 'forward');
  const original = target.forward;
  const value = (...args: readonly unknown[]): unknown => {
    watcher.mark();
    watcher.running.push([path, module]);
    try {
      return original.call(module, ...args);
    } finally {
      watcher.mark();
      watcher.running.pop();
    }
  };
  Object.defineProperty(target, 'forward', { configurable: true, writable: true, enumerable: false, value });
  return () => {
    if (own === undefined) Reflect.deleteProperty(target, 'forward');
    else Object.defineProperty(target, 'forward', own);
  };
}

/**
 * Runs `body` and stops at the first op, forward or backward, that makes a NaN or an infinite value of finite ones: an
 * {@link AnomalyError} names the op, the module (of `model`), shapes and input statistics. Every result is read: for hunting, not for
 * training. What `compile()` replays is not seen. Infinities that are asked for, as in masks, are let pass.
 * @example
 * const x = tensor([0], { requiresGrad: true });
 * try { detectAnomaly(() => x.div(0)); } catch (error) { console.assert(/got NaN from div/.test(String(error))); }
 */
export function detectAnomaly<T>(body: () => T, options: AnomalyOptions = {}): T {
  const watcher = new Watcher(currentExecutor(), options);
  const restore = [...(options.model?.namedModules() ?? [])].map(([path, m]) => follow(path, m, watcher));
  const before = setExecutor(watcher);
  try {
    return body();
  } finally {
    setExecutor(before);
    for (const undo of restore.reverse()) undo();
  }
}
