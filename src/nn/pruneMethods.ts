import { LibError } from '../core/errors.js';
import { formatShape, resolveDim, sameShape } from '../core/shape.js';
import { noGrad } from '../tensor/autograd.js';
import { onesLike } from '../tensor/creation.js';
import { rand } from '../tensor/random.js';
import type { Tensor } from '../tensor/tensor.js';
import { type AnyModule, Buffer, Parameter } from './module.js';

/** torch.nn.utils.prune: a module's parameter is computed from `<name>Orig`, which is learned, and the buffer `<name>Mask`. */

/** What a method works on: the weights left one by one, the slices left of a dim, or everything. */
export type PruningType = 'unstructured' | 'structured' | 'global';

/** How many of `count` an amount is: a share in [0, 1), rounded to even, or a number of them from 1 on. */
export function countOf(op: string, amount: number, count: number): number {
  if (amount >= 0 && amount < 1) {
    const exact = amount * count;
    const low = Math.floor(exact);
    return exact - low === 0.5 ? low + (low % 2) : Math.round(exact);
  }
  if (Number.isInteger(amount) && amount >= 1 && amount <= count) return amount;
  throw new LibError('value', `${op}: amount must be a share in [0, 1) or an integer up to the ${count} weights, got ${amount}.`);
}

/** 1 for all but the `count` smallest of a list of scores. */
export const withoutLowest = (scores: Tensor, count: number): Tensor => scores.argsort().argsort().ge(count);

type Fields = Record<string, unknown>;
const fieldsOf = (module: AnyModule): Fields => module as unknown as Fields;
const METHODS: unique symbol = Symbol('prunings');
type Pruned = { [METHODS]?: ReadonlyMap<string, BasePruningMethod> };
const methodsOf = (module: AnyModule): ReadonlyMap<string, BasePruningMethod> => (module as Pruned)[METHODS] ?? new Map();

export interface ImportanceOptions {
  /** What is compared instead of the weights themselves, in their shape. */
  readonly importanceScores?: Tensor | null;
}

/** A way to prune; your own says its `pruningType` and makes masks (torch.nn.utils.prune.BasePruningMethod). */
export abstract class BasePruningMethod {
  abstract readonly pruningType: PruningType;
  /** Of structured methods: the dim whose slices are pruned whole. */
  readonly dim?: number;
  /** 1 where `t` stays and 0 where it is pruned; what `defaultMask` prunes stays pruned. */
  abstract computeMask(t: Tensor, defaultMask: Tensor): Tensor;

  /** `t` with its pruned elements set to zero; no module is touched. */
  prune(
    t: Tensor,
    { defaultMask = onesLike(t), importanceScores = t }: ImportanceOptions & { readonly defaultMask?: Tensor } = {},
  ): Tensor {
    return t.mul(noGrad(() => this.computeMask((importanceScores ?? t).detach(), defaultMask)));
  }

  /** Prunes `module[name]` by this class, made with `args`; on top of what is pruned already. */
  static apply<A extends readonly unknown[]>(
    this: new (
      ...args: A
    ) => BasePruningMethod,
    module: AnyModule,
    name: string,
    ...args: A
  ): BasePruningMethod {
    return applyMethod(module, name, new this(...args));
  }
}

/** Methods one after another: each sees what those before it left (torch.nn.utils.prune.PruningContainer). */
export class PruningContainer extends BasePruningMethod {
  override readonly pruningType = 'global';
  private readonly methods: BasePruningMethod[];
  constructor(...methods: BasePruningMethod[]) {
    super();
    this.methods = methods;
  }
  get length(): number {
    return this.methods.length;
  }
  [Symbol.iterator](): Iterator<BasePruningMethod> {
    return this.methods[Symbol.iterator]();
  }
  addPruningMethod(method: BasePruningMethod): void {
    this.methods.push(method);
  }
  /** By the last method, on the part of `t` that is left. */
  override computeMask(t: Tensor, defaultMask: Tensor): Tensor {
    const last = this.methods.at(-1);
    if (last === undefined) return defaultMask;
    if (last.pruningType === 'global') return last.computeMask(t, defaultMask);
    const mask = defaultMask.to(t.dtype);
    if (last.pruningType === 'unstructured') {
      const left = mask.eq(1);
      return mask.maskedScatter(left, last.computeMask(t.maskedSelect(left), mask.maskedSelect(left)).to(mask.dtype));
    }
    const dim = resolveDim('prune', last.dim ?? 0, t.ndim);
    const others = t.shape.flatMap((_, d) => (d === dim ? [] : [d]));
    const left = mask.sum({ dim: others }).ne(0).nonzero().reshape([-1]);
    const part = last.computeMask(t.indexSelect(dim, left), mask.indexSelect(dim, left));
    return mask.indexCopy(dim, left, part.to(mask.dtype));
  }
}

/** Prunes nothing. */
export class Identity extends BasePruningMethod {
  override readonly pruningType = 'unstructured';
  override computeMask(_t: Tensor, defaultMask: Tensor): Tensor {
    return defaultMask;
  }
}

/** Prunes any `amount` of the weights. */
export class RandomUnstructured extends BasePruningMethod {
  override readonly pruningType = 'unstructured';
  constructor(readonly amount: number) {
    super();
  }
  override computeMask(t: Tensor, defaultMask: Tensor): Tensor {
    const scores = rand([t.size], { device: t.device });
    return defaultMask.mul(withoutLowest(scores, countOf('RandomUnstructured', this.amount, t.size)).reshape(t.shape));
  }
}

/** Prunes the `amount` smallest weights by size. */
export class L1Unstructured extends BasePruningMethod {
  override readonly pruningType = 'unstructured';
  constructor(readonly amount: number) {
    super();
  }
  override computeMask(t: Tensor, defaultMask: Tensor): Tensor {
    const scores = t.detach().abs().reshape([-1]);
    return defaultMask.mul(withoutLowest(scores, countOf('L1Unstructured', this.amount, t.size)).reshape(t.shape));
  }
}

/** The mask of slices of `t`: those whose score is among the `amount` lowest go. */
function sliceMask(op: string, t: Tensor, dim: number, amount: number, scores: Tensor, defaultMask: Tensor): Tensor {
  const keep = withoutLowest(scores, countOf(op, amount, scores.size));
  return defaultMask.mul(keep.reshape(t.shape.map((_, d) => (d === dim ? scores.size : 1))));
}

function sliced(op: string, t: Tensor, dim: number): number {
  if (t.ndim < 2) throw new LibError('shape', `${op}: only tensors of two or more dims have slices, got shape ${formatShape(t.shape)}.`);
  return resolveDim(op, dim, t.ndim);
}

/** Prunes any `amount` of the slices along `dim`. */
export class RandomStructured extends BasePruningMethod {
  override readonly pruningType = 'structured';
  constructor(
    readonly amount: number,
    override readonly dim: number = -1,
  ) {
    super();
  }
  override computeMask(t: Tensor, defaultMask: Tensor): Tensor {
    const dim = sliced('RandomStructured', t, this.dim);
    return sliceMask('RandomStructured', t, dim, this.amount, rand([t.sizeAt(dim)], { device: t.device }), defaultMask);
  }
}

/** Prunes the `amount` slices along `dim` with the smallest n-norm. */
export class LnStructured extends BasePruningMethod {
  override readonly pruningType = 'structured';
  constructor(
    readonly amount: number,
    readonly n: number,
    override readonly dim: number = -1,
  ) {
    super();
  }
  override computeMask(t: Tensor, defaultMask: Tensor): Tensor {
    const dim = sliced('LnStructured', t, this.dim);
    const norms = t.detach().norm({ p: this.n, dim: t.shape.flatMap((_, d) => (d === dim ? [] : [d])) });
    return sliceMask('LnStructured', t, dim, this.amount, norms, defaultMask);
  }
}

/** Prunes where `mask` is 0. */
export class CustomFromMask extends BasePruningMethod {
  override readonly pruningType = 'global';
  constructor(readonly mask: Tensor) {
    super();
  }
  override computeMask(t: Tensor, defaultMask: Tensor): Tensor {
    if (!sameShape(this.mask.shape, t.shape)) {
      const got = `${formatShape(this.mask.shape)} for ${formatShape(t.shape)}`;
      throw new LibError('shape', `customFromMask: the mask must have the parameter's shape, got ${got}.`);
    }
    return defaultMask.mul(this.mask.detach().ne(0).to(defaultMask.dtype));
  }
}

/** Prunes `module[name]` by `method`; on top of what is pruned already. */
export function applyMethod(
  module: AnyModule,
  name: string,
  method: BasePruningMethod,
  { importanceScores = null }: ImportanceOptions = {},
): BasePruningMethod {
  const fields = fieldsOf(module);
  const before = methodsOf(module).get(name);
  const weight = fields[name];
  if (before === undefined && !(weight instanceof Parameter))
    throw new LibError('value', `prune: '${name}' must be a parameter of the module, got ${weight === null ? 'null' : typeof weight}.`);
  const t = weight as Tensor;
  if (importanceScores !== null && !sameShape(importanceScores.shape, t.shape)) {
    const got = `${formatShape(importanceScores.shape)} for ${formatShape(t.shape)}`;
    throw new LibError('shape', `prune: importanceScores must have the parameter's shape, got ${got}.`);
  }
  const known = before instanceof PruningContainer ? [...before] : before === undefined ? [] : [before];
  const whole = known.length === 0 ? method : new PruningContainer(...known, method);
  const mask = noGrad(() => {
    const defaultMask = before === undefined ? onesLike(t).detach() : (fields[`${name}Mask`] as Tensor);
    return new Buffer(
      whole
        .computeMask((importanceScores ?? t).detach(), defaultMask)
        .to(t.dtype)
        .clone(),
    );
  });
  if (before === undefined) {
    delete fields[name];
    fields[`${name}Orig`] = weight;
    showMasked(module, name);
  }
  fields[`${name}Mask`] = mask;
  (module as Pruned)[METHODS] = new Map([...methodsOf(module), [name, whole]]);
  return whole;
}

/** Lets `module[name]` read as what is left; it is computed whenever it is read, so gradients pass the mask. */
function showMasked(module: AnyModule, name: string): void {
  Object.defineProperty(module, name, {
    configurable: true,
    enumerable: false,
    get(this: AnyModule) {
      const fields = fieldsOf(this);
      return (fields[`${name}Orig`] as Tensor).mul(fields[`${name}Mask`] as Tensor);
    },
    set(this: AnyModule, value: Tensor) {
      noGrad(() => (fieldsOf(this)[`${name}Orig`] as Tensor).copy_(value));
    },
  });
}

/** Makes what is left of `module[name]` the parameter, for good (torch.nn.utils.prune.remove). */
export function remove<M extends AnyModule>(module: M, name: string): M {
  const methods = new Map(methodsOf(module));
  if (!methods.delete(name)) throw new LibError('value', `prune.remove: '${name}' must be pruned, got a parameter that is whole.`);
  const fields = fieldsOf(module);
  const original = fields[`${name}Orig`] as Parameter;
  noGrad(() => original.copy_(fields[name] as Tensor));
  delete fields[name];
  delete fields[`${name}Orig`];
  delete fields[`${name}Mask`];
  fields[name] = original;
  (module as Pruned)[METHODS] = methods;
  return module;
}

/** Whether a module, or any inside it, is pruned (torch.nn.utils.prune.is_pruned). */
export const isPruned = (module: AnyModule): boolean => module.modules().some((m) => methodsOf(m).size > 0);
