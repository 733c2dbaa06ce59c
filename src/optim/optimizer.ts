import { LibError, unknownOption } from '../core/errors.js';
import { printBy } from '../core/inspect.js';
import type { Parameter } from '../nn/module.js';
import { checkOwn, type SparseRows } from '../nn/sparseRows.js';
import { eagerly } from '../ops/apply.js';
import { enableGrad, noGrad } from '../tensor/autograd.js';
import { capturing } from '../tensor/capturing.js';
import { zerosLike } from '../tensor/creation.js';
import { isTensor, type Tensor } from '../tensor/tensor.js';
import { needsDense } from './sparse.js';
import { fromTorchState, type TorchOptimizerState } from './torchState.js';

/** A parameter under its name, as `model.namedParameters()` gives it. */
export type NamedParameter = readonly [name: string, parameter: Parameter];
/** Parameters that share options; options not given are the optimizer's. */
export type ParamGroup<Options> = {
  readonly params: Parameter | readonly Parameter[] | Iterable<NamedParameter>;
} & Partial<Options>;
export type Params<Options> = Iterable<Parameter> | Iterable<NamedParameter> | readonly ParamGroup<Options>[];

/** How PyTorch is to compute a step. Here there is one way, fused over all states and ready to be captured, so these change nothing. */
export interface Implementation {
  readonly foreach?: boolean | null;
  readonly fused?: boolean | null;
  readonly capturable?: boolean;
  /** Only false: steps are not recorded. */
  readonly differentiable?: boolean;
}
/** Options as PyTorch takes them: `lr` may be a tensor of one element, which is read at each step and written by schedules; betas, too, once. */
export type Given<Options> = {
  readonly [K in keyof Options]: K extends 'lr' ? number | Tensor : K extends 'betas' ? Options[K] | readonly [Tensor, Tensor] : Options[K];
} & Implementation;

/** What an optimizer remembers of one parameter. */
export type ParamState = Record<string, Tensor | number>;

/** As PyTorch lays it out: state by the parameter's position over all groups, groups with positions for params. */
export interface OptimizerState {
  readonly state: Readonly<Record<number, Readonly<ParamState>>>;
  readonly paramGroups: readonly (Readonly<Record<string, unknown>> & { readonly params: readonly number[] })[];
}

/** A group as an optimizer holds it: every option present. Schedules write `lr`. */
export type Group<Options> = { -readonly [K in keyof Options]: Options[K] } & {
  readonly params: readonly Parameter[];
  /** Present where parameters came with their names. */
  readonly paramNames?: readonly string[];
  initialLr?: number;
};

/** Options that the walk over parameters itself reads. */
export interface CommonOptions {
  readonly lr: number;
  readonly maximize?: boolean;
}

/** The part that all optimizers share: groups, state, and the walk over parameters that have gradients. */
export abstract class Optimizer<Options extends CommonOptions = CommonOptions> {
  readonly paramGroups: Group<Options>[] = [];
  /** What is remembered of each parameter. */
  readonly state: Map<Parameter, ParamState> = new Map();
  readonly name: string;
  /** How often `step()` was called; schedules tell from it whether they come after the optimizer. */
  stepCount = 0;

  protected constructor(
    name: string,
    params: Params<Options>,
    readonly defaults: Options,
  ) {
    this.name = name;
    printBy(this as object, String);
    const list = listOf<Parameter | ParamGroup<Options>>(name, params);
    if (list.length === 0) throw new LibError('value', `${name}: there must be parameters to optimize, got an empty list.`);
    const groups =
      isTensor(list[0]) || Array.isArray(list[0])
        ? [{ params: list as Parameter[] } as unknown as ParamGroup<Options>]
        : (list as ParamGroup<Options>[]);
    for (const group of groups) this.addParamGroup(group);
  }

  /** Words that an option takes beside true and false. */
  protected get words(): Words {
    return {};
  }

  private completeGroup(group: ParamGroup<Options>): Group<Options> {
    const { params, ...given } = group;
    const own = withoutImplementation(this.name, given);
    const known = Object.keys(this.defaults);
    for (const key of Object.keys(own)) {
      if (!known.includes(key)) throw unknownOption(this.name, key, [...known, 'params']);
    }
    checkKinds(this.name, this.defaults, own, this.words);
    const full = {
      ...this.defaults,
      ...own,
      ...this.withNames(isTensor(params) ? [params] : listOf(this.name, params)),
    } as unknown as Group<Options>;
    liveRate(this.name, full);
    const seen = new Set(this.everyParam());
    for (const p of full.params) {
      if (!isTensor(p)) throw new LibError('value', `${this.name}: parameters must be tensors, got ${typeof p}.`);
      if (!p.isLeaf)
        throw new LibError('value', `${this.name}: only leaf tensors can be optimized, got one that ${p.node?.name ?? 'an op'} made.`);
      if (seen.has(p)) throw new LibError('value', `${this.name}: a parameter may be in one group, got one twice.`);
      seen.add(p);
    }
    this.check(full);
    return full;
  }

  /** Parameters apart from their names. All have names or none has. */
  private withNames(params: readonly (Parameter | NamedParameter)[]): Pick<Group<object>, 'params' | 'paramNames'> {
    const named = params.filter((p) => Array.isArray(p)) as NamedParameter[];
    const earlier = this.paramGroups[0];
    const wanted = earlier === undefined ? named.length > 0 : earlier.paramNames !== undefined;
    if (named.length !== (wanted ? params.length : 0))
      throw new LibError(
        'value',
        `${this.name}: all parameters must come with names or none, got ${named.length} of ${params.length} with.`,
      );
    return wanted ? { params: named.map(([, p]) => p), paramNames: named.map(([name]) => name) } : { params: params as Parameter[] };
  }

  /** Adds parameters, for example of layers that are unfrozen later. */
  addParamGroup(group: ParamGroup<Options>): void {
    this.paramGroups.push(this.completeGroup(group));
  }

  /** Rejects option values that cannot train. */
  protected check(group: Group<Options>): void {
    checkNumber(this.name, 'lr', group.lr, (v) => v >= 0, 'a finite number >= 0');
  }

  /** The update of one parameter that has a gradient (of the objective to minimize: `maximize` has been seen to). */
  protected abstract update(p: Parameter, grad: Tensor, group: Group<Options>): void;

  /** Changes every parameter that has a gradient. A `closure` computes the gradients first; what it returns is given back. */
  step(): void;
  step<T>(closure: () => T): T;
  step<T>(closure?: () => T): T | undefined {
    const result = closure === undefined ? undefined : this.evaluate(closure);
    noGrad(() => {
      for (const group of this.paramGroups) {
        this.check(group);
        for (const p of group.params) this.updateOne(p, group);
      }
    });
    this.stepCount++;
    this.keepBooks();
    return result;
  }

  private updateOne(p: Parameter, group: Group<Options>): void {
    const rows = p.sparseGrad === null ? null : checkOwn(p.sparseGrad);
    const sign = <T extends { neg(): T }>(g: T): T => (group.maximize === true ? g.neg() : g);
    if (rows !== null && p.grad === null) this.updateRows(p, sign(rows), group);
    else if (p.grad !== null) this.update(p, sign<Tensor>(rows === null ? p.grad : p.grad.add(rows.toDense())), group);
  }

  /** The update of a parameter whose gradient is rows. */
  protected updateRows(_p: Parameter, _grad: SparseRows, _group: Group<Options>): void {
    throw needsDense(this.name);
  }

  /** Runs a closure that computes loss and gradients. */
  protected evaluate<T>(closure: () => T): T {
    return enableGrad(closure);
  }

  /** While a step is captured: what makes it invalid, and what each of its replays has to do. */
  private keepBooks(): void {
    const capture = capturing();
    if (capture === null) return;
    capture.guard(this, this.sameProgram());
    capture.onReplay(() => {
      this.stepCount++;
      for (const group of this.paramGroups) this.check(group);
    });
  }

  /** Whether a captured step is still what this optimizer would do now, up to numbers that are read at each run. */
  private sameProgram(): () => boolean {
    const groups = [...this.paramGroups];
    const sizes = groups.map((g) => g.params.length);
    const options = groups.flatMap((group) => Object.keys(this.defaults).map((key) => ({ group, key, branch: branchOf(group, key) })));
    const params = this.everyParam();
    const states = params.map((p) => this.state.get(p));
    return () =>
      this.paramGroups.length === groups.length &&
      groups.every((g, i) => this.paramGroups[i] === g && g.params.length === sizes[i]) &&
      options.every(({ group, key, branch }) => branchOf(group, key) === branch) &&
      params.every((p, i) => this.state.get(p) === states[i]);
  }

  /** Forgets gradients, or (`setToNone: false`) fills them with zeros. */
  zeroGrad({ setToNone = true }: { readonly setToNone?: boolean } = {}): void {
    for (const { params } of this.paramGroups) {
      for (const p of params) {
        p.sparseGrad = null;
        if (setToNone) p.grad = null;
        else if (p.grad !== null) p.grad = zerosLike(p.grad);
      }
    }
  }

  /** The state of a parameter, made by `init` at its first step. */
  protected stateOf<S extends ParamState>(p: Parameter, init: () => S): S {
    const known = this.state.get(p);
    if (known !== undefined) return known as S;
    const fresh = eagerly(init); // it outlives a capture
    this.state.set(p, fresh);
    return fresh;
  }

  /** The options of each group of parameters. */
  toString(): string {
    const groups = this.paramGroups.map(({ params, paramNames: _, ...options }, i) => {
      const lines = Object.entries(options).map(
        ([name, value]) => `    ${name}: ${Array.isArray(value) ? `[${value.join(', ')}]` : String(value)}`,
      );
      return [`Parameter Group ${i}: ${params.length} tensors`, ...lines].join('\n');
    });
    return `${this.name} (\n${groups.join('\n')}\n)`;
  }

  private everyParam(): Parameter[] {
    return this.paramGroups.flatMap((g) => g.params);
  }

  /** Leaves out options that only PyTorch has, and those that it leaves open. */
  private known({ state, paramGroups }: OptimizerState): OptimizerState {
    const keys = [...Object.keys(this.defaults), 'params', 'paramNames', 'initialLr', 'swaLr'];
    const isKnown = ([key, value]: readonly [string, unknown]): boolean => keys.includes(key) && value !== null;
    const groups = paramGroups.map((g) => Object.fromEntries(Object.entries(g).filter(isKnown)));
    return { state, paramGroups: groups as unknown as OptimizerState['paramGroups'] };
  }

  /** Everything needed to go on exactly where this optimizer stands. */
  stateDict(): OptimizerState {
    const all = this.everyParam();
    const state = Object.fromEntries([...this.state].map(([p, s]) => [all.indexOf(p), s]));
    const paramGroups = this.paramGroups.map((g) => ({ ...g, params: g.params.map((p) => all.indexOf(p)) }));
    return { state, paramGroups: paramGroups as unknown as OptimizerState['paramGroups'] };
  }

  /** Takes over the state of an optimizer of the same kind over the same parameters; PyTorch's own form is understood too. */
  loadStateDict(saved: OptimizerState | TorchOptimizerState): void {
    const { state, paramGroups } = 'param_groups' in saved ? this.known(fromTorchState(saved)) : saved;
    const sizes = this.paramGroups.map((g) => g.params.length);
    const given = paramGroups.map((g) => g.params.length);
    if (`${sizes}` !== `${given}`) {
      throw new LibError(
        'state',
        `${this.name}: groups must hold as many parameters as before, got [${given.join(', ')}] for [${sizes.join(', ')}].`,
      );
    }
    const all = this.everyParam();
    paramGroups.forEach((g, i) => {
      const { params: _, ...options } = g;
      Object.assign(this.paramGroups[i] as object, options);
    });
    this.state.clear();
    for (const [i, s] of Object.entries(state)) {
      const p = all[Number(i)];
      if (p === undefined)
        throw new LibError('state', `${this.name}: state must belong to a parameter, got position ${i} of ${all.length}.`);
      this.state.set(p, Object.fromEntries(Object.entries(s).map(([k, v]) => [k, isTensor(v) ? v.detach().to(p.device).clone() : v])));
    }
  }
}

/** What of an option decides which program runs: flags, names, and whether a number is zero. */
function branchOf(group: object, key: string): unknown {
  const value = (group as Readonly<Record<string, unknown>>)[key];
  return typeof value === 'number' ? value === 0 : typeof value === 'boolean' || typeof value === 'string' ? value : null;
}

/** For options whose default is true or false: what else they may be. */
export type Words = Readonly<Record<string, readonly string[]>>;

/** Options over defaults; an unknown key is an error. */
export function withDefaults<Options extends object>(op: string, defaults: Options, options: object, words: Words = {}): Options {
  const known = Object.keys(defaults);
  if (typeof options !== 'object' || options === null || Array.isArray(options)) {
    const got = Array.isArray(options) ? 'a list' : String(options);
    throw new LibError('value', `${op}: options must be an object, got ${got}.`, `options go by name: { ${known[0]}: … }.`);
  }
  const given = withoutImplementation(op, options);
  for (const key of Object.keys(given)) if (!known.includes(key)) throw unknownOption(op, key, known);
  checkKinds(op, defaults, given, words);
  return { ...defaults, ...given };
}

/** Options less those that say how PyTorch computes. */
function withoutImplementation(op: string, options: object): object {
  const { foreach = null, fused = null, capturable = false, differentiable = false, ...rest } = options as Implementation;
  for (const [key, value] of Object.entries({ foreach, fused, capturable, differentiable })) {
    if (typeof value !== 'boolean' && value !== null)
      throw new LibError('value', `${op}: ${key} must be true or false, got ${String(value)}.`);
  }
  if (foreach === true && fused === true)
    throw new LibError('option', `${op}: foreach and fused are two ways to compute, got both.`, 'leave both out.');
  if (differentiable)
    throw new LibError('option', `${op}: steps are not recorded, got differentiable = true.`, 'write the step in ops: p.sub(g.mul(lr)).');
  const { betas } = rest as { readonly betas?: unknown };
  return Array.isArray(betas) && betas.every(isTensor) ? { ...rest, betas: betas.map((beta) => beta.reshape([]).itemNow()) } : rest;
}

/** A rate in a tensor is read whenever it is asked for, and written where a number would replace it. */
function liveRate(op: string, group: { lr: unknown }): void {
  const { lr } = group;
  if (!isTensor(lr)) return;
  if (lr.size !== 1) throw new LibError('value', `${op}: lr must be a number or a tensor of one element, got ${lr.size} elements.`);
  Object.defineProperty(group, 'lr', {
    enumerable: true,
    get: () => eagerly(() => lr.reshape([]).itemNow()),
    set: (value: number) => noGrad(() => lr.fill_(value)),
  });
}

function listOf<T>(op: string, items: unknown): T[] {
  if (typeof items === 'object' && items !== null && Symbol.iterator in items && !isTensor(items)) return [...(items as Iterable<T>)];
  const got = isTensor(items) ? 'one tensor' : items === null || typeof items !== 'object' ? String(items) : 'an object';
  throw new LibError('value', `${op}: parameters must come in a list, got ${got}.`, 'model.parameters() gives one.');
}

/** Options whose default is true or false are one of them; lists of numbers have as many as the default. */
function checkKinds(op: string, defaults: object, given: object, words: Words): void {
  const values = given as Readonly<Record<string, unknown>>;
  for (const [key, usual] of Object.entries(defaults as Readonly<Record<string, unknown>>)) {
    const value = values[key];
    if (value === undefined) continue;
    const others = words[key] ?? [];
    if (typeof usual === 'boolean' && typeof value !== 'boolean' && !others.includes(value as string)) {
      const kinds = ['true', ...others.map((w) => `'${w}'`)].join(', ');
      throw new LibError(
        'value',
        `${op}: ${key} must be ${kinds} or false, got ${typeof value === 'object' ? 'an object' : String(value)}.`,
      );
    }
    if (!Array.isArray(usual) || typeof usual[0] !== 'number') continue;
    const list = Array.isArray(value) ? (value as readonly unknown[]) : [];
    if (list.length !== usual.length || !list.every((v) => typeof v === 'number' && Number.isFinite(v)))
      throw new LibError('value', `${op}: ${key} must be ${usual.length} finite numbers, got ${String(value)}.`);
  }
}

/** Rejects options that are not numbers or not in range. */
export function checkNumber(op: string, key: string, value: unknown, valid: (v: number) => boolean, rule: string): void {
  if (typeof value !== 'number' || !Number.isFinite(value) || !valid(value)) {
    throw new LibError('value', `${op}: ${key} must be ${rule}, got ${String(value)}.`);
  }
}

/** Checks options of a group that must be finite and at least 0. */
export function checkNonNegative<K extends string>(op: string, group: Readonly<Record<K, unknown>>, keys: readonly K[]): void {
  for (const key of keys) checkNumber(op, key, group[key], (v) => v >= 0, 'a finite number >= 0');
}

/** Checks decay rates: each in [0, 1). */
export function checkBetas(op: string, betas: readonly number[]): void {
  betas.forEach((beta, i) => {
    checkNumber(op, `betas[${i}]`, beta, (v) => v >= 0 && v < 1, 'in [0, 1)');
  });
}
