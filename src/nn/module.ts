import { dtypes, isFloat } from '../core/dtype.js';
import { LibError } from '../core/errors.js';
import { printBy } from '../core/inspect.js';
import { formatShape, sameShape } from '../core/shape.js';
import type { ToTarget } from '../ops/cast.js';
import { wishes } from '../ops/castTarget.js';
import { noGrad } from '../tensor/autograd.js';
import { capturing } from '../tensor/capturing.js';
import { replaceData } from '../tensor/replace.js';
import { isTensor, Tensor } from '../tensor/tensor.js';
import { addHook, type BackwardHook, type ForwardHook, type ForwardPreHook } from './hooks.js';
import type { SparseRows } from './sparseRows.js';

/** A tensor that is learned. Assigning one to a public field of a {@link Module} is all the registration there is. */
export class Parameter extends Tensor {
  /** Shares the bytes of `data`. */
  constructor(data: Tensor, { requiresGrad = true }: { readonly requiresGrad?: boolean } = {}) {
    super(data.spec, data.storage, data.offset, data.device);
    this.requiresGrad = requiresGrad;
  }
  /** The gradient of some rows, where a layer was asked for it: see the option `sparse` of Embedding. */
  sparseGrad: SparseRows | null = null;
}

/** A tensor that belongs to a module's state but is not learned: running statistics, masks. */
export class Buffer extends Tensor {
  /** `persistent: false` keeps it out of `stateDict()`. */
  constructor(data: Tensor, { persistent = true }: { readonly persistent?: boolean } = {}) {
    super(data.spec, data.storage, data.offset, data.device);
    this.persistent = persistent;
  }
  readonly persistent: boolean;
}

/** Values by dotted name: of each module its parameters, its buffers and then its modules, in field order. */
export type StateDict = ReadonlyMap<string, Tensor>;

/** A module whatever its inputs and outputs. */
export type AnyModule = Module<readonly never[], unknown>;
/** Called with a module of any kind; declared as a method, so that a function of `Module` will do. */
export type ModuleVisitor = { visit(module: AnyModule): void }['visit'];

/** The modules in evaluation mode. Not a field, for fields are state and options. */
const evaluating = new WeakSet<object>();

/**
 * A model or layer: a class whose public fields hold parameters, buffers and other modules (also in arrays), and whose `forward`
 * uses them. `forward` is the call (PyTorch: torch.nn.Module).
 *
 * @example
 * class Net extends Module {
 *   readonly layer = new Linear(2, 1);
 *   override forward(x: Tensor): Tensor { return this.layer.forward(x).sigmoid(); }
 * }
 */
export abstract class Module<Inputs extends readonly unknown[] = readonly [Tensor], Output = Tensor> {
  /** Whether the module behaves as in training (dropout drops, batch norm updates its statistics). */
  get training(): boolean {
    if (capturing() !== null) this.guardOptions();
    return !evaluating.has(this);
  }
  set training(value: boolean) {
    if (value) evaluating.delete(this);
    else evaluating.add(this);
  }

  /** What a program captured from this module has frozen: the mode, and numbers such as a dropout probability. */
  private guardOptions(): void {
    const training = !evaluating.has(this);
    const fields = this as unknown as Readonly<Record<string, unknown>>;
    const options = Object.keys(this).filter((key) => fields[key] === null || typeof fields[key] !== 'object');
    const values = options.map((key) => fields[key]);
    capturing()?.guard(this, () => evaluating.has(this) !== training && options.every((key, i) => Object.is(fields[key], values[i])));
  }

  abstract forward(...inputs: Inputs): Output;

  /** Parameters by dotted path, in field order: `layers.0.weight`. A shared parameter is named once. */
  *namedParameters(prefix = ''): Generator<readonly [name: string, parameter: Parameter]> {
    const seen = new Set<Tensor>();
    for (const [name, value] of walk(this, prefix)) {
      if (!(value instanceof Parameter) || seen.has(value)) continue;
      seen.add(value);
      yield [name, value];
    }
  }
  parameters(): Parameter[] {
    return Array.from(this.namedParameters(), ([, p]) => p);
  }

  /** Buffers by dotted path. A shared buffer is named once. */
  *namedBuffers(prefix = ''): Generator<readonly [name: string, buffer: Buffer]> {
    const seen = new Set<Tensor>();
    for (const [name, value] of walk(this, prefix)) {
      if (!(value instanceof Buffer) || seen.has(value)) continue;
      seen.add(value);
      yield [name, value];
    }
  }

  /** The module itself (under the name '') and every module inside it. A shared module is named once. */
  *namedModules(prefix = ''): Generator<readonly [name: string, module: AnyModule]> {
    yield* walkModules(this as unknown as AnyModule, prefix, new Set());
  }
  modules(): AnyModule[] {
    return Array.from(this.namedModules(), ([, m]) => m);
  }

  /** The modules directly inside this one, by field name. A shared module is named once. */
  *namedChildren(): Generator<readonly [name: string, module: AnyModule]> {
    const seen = new Set<unknown>();
    for (const [name, value] of fields(this)) {
      if (!(value instanceof Module) || seen.has(value)) continue;
      seen.add(value);
      yield [name, value as unknown as AnyModule];
    }
  }
  children(): AnyModule[] {
    return Array.from(this.namedChildren(), ([, m]) => m);
  }

  /** Sets the mode of this module and of all inside it. */
  train(mode = true): this {
    for (const m of this.modules()) m.training = mode;
    return this;
  }
  eval(): this {
    return this.train(false);
  }

  /** Freezes or unfreezes every parameter. */
  requiresGrad_(value = true): this {
    for (const p of this.parameters()) p.requiresGrad_(value);
    return this;
  }

  /**
   * Casts every parameter and buffer of floating type to `target`, or moves all of them to a device, in place (torch.nn.Module.to):
   * parameters stay the objects that optimizers hold, and their gradients come along. State that an optimizer has already stays as it is.
   * @example new Linear(2, 2).to('float64').weight.dtype // 'float64'
   */
  to(target: ToTarget): this {
    const { dtype, device } = wishes(target, {});
    if (dtype !== undefined && !(dtype in dtypes && isFloat(dtype)))
      throw new LibError('dtype', `Module.to: the type must be a floating one, got ${dtype}.`);
    const cast = (t: Tensor): Tensor => noGrad(() => t.detach().to({ dtype: isFloat(t.dtype) ? dtype : undefined, device }));
    for (const [, t] of walk(this, '')) {
      if (!(t instanceof Parameter || t instanceof Buffer)) continue;
      const there = cast(t);
      if (there.spec === t.spec && there.device === t.device) continue; // as it was, or reached by another name
      replaceData('Module.to', t, there);
      if (t.grad !== null) replaceData('Module.to', t.grad, cast(t.grad));
    }
    return this;
  }
  /** Casts parameters and buffers of floating type to float32. */
  float(): this {
    return this.to('float32');
  }
  /** Casts parameters and buffers of floating type to float64. */
  double(): this {
    return this.to('float64');
  }
  /** Casts parameters and buffers of floating type to float16. */
  half(): this {
    return this.to('float16');
  }
  /** Casts parameters and buffers of floating type to bfloat16. */
  bfloat16(): this {
    return this.to('bfloat16');
  }

  /** Forgets all gradients. */
  zeroGrad(): void {
    for (const p of this.parameters()) {
      p.grad = null;
      p.sparseGrad = null;
    }
  }

  /** Calls `fn` with every module inside, each after its own children, and then with this one. */
  apply(fn: ModuleVisitor): this {
    for (const child of this.children()) child.apply(fn);
    fn(this as unknown as AnyModule);
    return this;
  }

  /** Parameters and persistent buffers by name. The tensors are the module's own: clone them to keep a copy. */
  stateDict(prefix = ''): StateDict {
    const state = new Map<string, Tensor>();
    for (const [name, value] of walk(this, prefix)) {
      if (value instanceof Parameter || (value instanceof Buffer && value.persistent)) state.set(name, value);
    }
    return state;
  }

  /** Copies values into the module's parameters and buffers. Strict: names and shapes must match exactly, or nothing is changed. */
  loadStateDict(state: StateDict, { strict = true }: { readonly strict?: boolean } = {}): void {
    // Lazy layers take their shapes from what they are given.
    for (const [path, m] of this.namedModules())
      (m as { materializeFrom?(from: StateDict, path: string): void }).materializeFrom?.(state, path);
    const own = this.stateDict();
    const missing = [...own.keys()].filter((k) => !state.has(k));
    const unexpected = [...state.keys()].filter((k) => !own.has(k));
    const misshapen = [...own].flatMap(([name, target]) => {
      const source = state.get(name);
      return source && !sameShape(source.shape, target.shape)
        ? [`${name}: ${formatShape(source.shape)} for ${formatShape(target.shape)}`]
        : [];
    });
    if (misshapen.length > 0 || (strict && missing.length + unexpected.length > 0)) {
      const shapes = misshapen.length > 0 ? `, wrong shapes [${misshapen.join('; ')}]` : '';
      throw new LibError(
        'state',
        `loadStateDict: names and shapes must match, got missing [${missing.join(', ')}], unexpected [${unexpected.join(', ')}]${shapes}.`,
        misshapen.length > 0 ? undefined : 'pass { strict: false } to load what matches.',
      );
    }
    noGrad(() => {
      for (const [name, target] of own) {
        const source = state.get(name);
        if (source) target.copy_(source);
      }
    });
  }

  /**
   * An independent copy: parameters and buffers with their own bytes (what was shared inside stays shared), other fields as they are.
   * Hooks are not copied. Classes with #private fields or functions bound to `this` must override it.
   */
  clone(): this {
    return copyOf(this, new Map()) as this;
  }

  /** Calls `hook` after every `forward` of this module; what it returns, if anything, replaces the output. Returns a remover. */
  registerForwardHook(hook: ForwardHook): () => void {
    return addHook(this as unknown as AnyModule, 'forward', hook);
  }

  /** Calls `hook` before every `forward` of this module; what it returns, if anything, replaces the inputs: a list of them, or the only one. */
  registerForwardPreHook(hook: ForwardPreHook): () => void {
    return addHook(this as unknown as AnyModule, 'pre', hook);
  }

  /**
   * Calls `hook` in backward passes once the gradients by this module's outputs and inputs are known; what it returns, if anything,
   * replaces the latter. Inputs and outputs are tensors or lists of tensors; the hook sees those that carry gradients.
   */
  registerFullBackwardHook(hook: BackwardHook): () => void {
    return addHook(this as unknown as AnyModule, 'backward', hook);
  }

  /** One line of facts for printing: `inFeatures=2, outFeatures=8`. */
  extraRepr(): string {
    return '';
  }
  toString(): string {
    const lines = [...fields(this)].flatMap(([key, value]) =>
      value instanceof Module ? [`  (${key}): ${value.toString().replaceAll('\n', '\n  ')}`] : [],
    );
    const name = this.constructor.name;
    return lines.length === 0 ? `${name}(${this.extraRepr()})` : `${name}(\n${lines.join('\n')}\n)`;
  }
}

printBy(Module.prototype, String);

/** Own public fields, with arrays opened up: { layers: [a, b] } reads as layers.0, layers.1. */
function* fields(module: object): Generator<readonly [key: string, value: unknown]> {
  for (const [key, value] of Object.entries(module)) {
    if (Array.isArray(value)) for (const [i, item] of value.entries()) yield [`${key}.${i}`, item];
    else yield [key, value];
  }
}

function copyOf(value: unknown, copies: Map<unknown, unknown>): unknown {
  if (typeof value !== 'object' || value === null) return value;
  if (copies.has(value)) return copies.get(value);
  const copy = freshCopy(value, copies);
  copies.set(value, copy);
  if (copy instanceof Module) {
    if (evaluating.has(value)) evaluating.add(copy);
    for (const key of Reflect.ownKeys(value)) {
      const field = Object.getOwnPropertyDescriptor(value, key) ?? {};
      if (field.get !== undefined) Object.defineProperty(copy, key, field);
      else if (field.enumerable) (copy as unknown as Record<string | symbol, unknown>)[key] = copyOf(field.value, copies);
    }
  }
  return copy;
}

/** A module without its fields, a tensor with its own bytes, an array of copies; anything else is shared. */
function freshCopy(value: object, copies: Map<unknown, unknown>): object {
  if (value instanceof Parameter) return new Parameter(value.detach().clone(), { requiresGrad: value.requiresGrad });
  if (value instanceof Buffer) return new Buffer(value.detach().clone(), { persistent: value.persistent });
  if (value instanceof Module) return Object.create(Object.getPrototypeOf(value) as object) as object;
  return Array.isArray(value) ? value.map((item) => copyOf(item, copies)) : value;
}

const pathTo = (prefix: string, key: string): string => (prefix === '' ? key : `${prefix}.${key}`);

/** Every tensor field of a module and of those inside, by dotted path. In each module parameters come first, then buffers, as in PyTorch. */
function* walk(module: object, prefix: string): Generator<readonly [name: string, value: Tensor]> {
  const others: (readonly [string, Tensor])[] = [];
  const nested: (readonly [string, object])[] = [];
  for (const [key, value] of fields(module)) {
    const name = pathTo(prefix, key);
    if (value instanceof Parameter) yield [name, value];
    else if (isTensor(value)) others.push([name, value]);
    else if (value instanceof Module) nested.push([name, value]);
  }
  yield* others;
  for (const [name, value] of nested) yield* walk(value, name);
}

function* walkModules(module: AnyModule, name: string, seen: Set<AnyModule>): Generator<readonly [name: string, module: AnyModule]> {
  if (seen.has(module)) return;
  seen.add(module);
  yield [name, module];
  for (const [key, child] of module.namedChildren()) yield* walkModules(child, pathTo(name, key), seen);
}
