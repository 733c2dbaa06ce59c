import { LibError } from '../core/errors.js';
import { formatShape } from '../core/shape.js';
import { normalize } from '../ops/norm.js';
import { noGrad } from '../tensor/autograd.js';
import { initGenerator, randn } from '../tensor/random.js';
import type { Tensor } from '../tensor/tensor.js';
import { type AnyModule, Buffer, Module, Parameter } from './module.js';

/** Parameters that are computed from others: weights of unit norm, of bounded gain (torch.nn.utils.parametrize). */

/** How a parameter is made from what is learned in its place. */
export abstract class Parametrization extends Module<readonly Tensor[]> {
  abstract override forward(...originals: Tensor[]): Tensor;
  /** What must be learned for `forward` to give `value`. Default: the value itself. */
  rightInverse(value: Tensor): Tensor | readonly Tensor[] {
    return value;
  }
}

/** What stands for one parameter: the learned tensors `original` (or `original0`, `original1`, …) and the steps from them to it. */
export class ParametrizationList extends Module<readonly []> {
  [step: number]: Parametrization;
  length = 0;

  /** The learned tensors, in order. */
  originals(): Parameter[] {
    const fields: readonly (readonly [string, unknown])[] = Object.entries(this);
    return fields.flatMap(([name, value]) => (name.startsWith('original') && value instanceof Parameter ? [value] : []));
  }
  override forward(): Tensor {
    const [first, ...others] = this.steps() as [Parametrization, ...Parametrization[]];
    return others.reduce((value, step) => step.forward(value), first.forward(...this.originals()));
  }
  steps(): Parametrization[] {
    return Array.from({ length: this.length }, (_, i) => this[i] as Parametrization);
  }
  /** Adds a step behind the others; the parameter keeps its value as far as the step can give it. */
  append(step: Parametrization, value: Tensor): void {
    this[this.length++] = step;
    this.assign(value);
  }
  /** Sets the learned tensors so that the parameter is `value`. */
  assign(value: Tensor): void {
    noGrad(() => {
      const back = (v: readonly Tensor[], step: Parametrization): readonly Tensor[] => {
        const found = step.rightInverse(v[0] as Tensor);
        return Array.isArray(found) ? (found as readonly Tensor[]) : [found as Tensor];
      };
      const values = this.steps().reduceRight<readonly Tensor[]>(back, [value]);
      const fields = this as unknown as Record<string, Parameter>;
      for (const [i, v] of values.entries()) {
        const name = values.length === 1 ? 'original' : `original${i}`;
        const known = fields[name];
        if (known) known.copy_(v);
        else fields[name] = new Parameter(v.detach().clone());
      }
    });
  }
}

/** The lists of a module by the parameter that each stands for. */
class Parametrizations extends Module<readonly []> {
  override forward(): never {
    throw new LibError('state', 'parametrizations: the module has no forward of its own, got a call.');
  }
}
type Parametrized = AnyModule & { parametrizations?: Parametrizations & Record<string, ParametrizationList | undefined> };

/** While a body runs under {@link cached}: what was computed. */
let computed: Map<ParametrizationList, Tensor> | null = null;

/** Computes each parametrized parameter once while `body` runs, however often it is read (torch.nn.utils.parametrize.cached). */
export function cached<T>(body: () => T): T {
  const before = computed;
  computed = before ?? new Map();
  try {
    return body();
  } finally {
    computed = before;
  }
}

function readOf(list: ParametrizationList): Tensor {
  const known = computed?.get(list);
  if (known !== undefined) return known;
  const value = list.forward();
  computed?.set(list, value);
  return value;
}

const tensorAt = (module: AnyModule, name: string): unknown => (module as unknown as Readonly<Record<string, unknown>>)[name];

const listOf = (module: AnyModule, name: string): ParametrizationList | undefined => (module as Parametrized).parametrizations?.[name];

/** Whether the module's parameter (or any of them) is computed from others. */
export function isParametrized(module: AnyModule, name?: string): boolean {
  const all = (module as Parametrized).parametrizations;
  return all !== undefined && (name === undefined ? Object.values(all).some((v) => v instanceof ParametrizationList) : name in all);
}

/**
 * Lets `module[name]` be computed by `step` whenever it is read. State names are PyTorch's: `parametrizations.weight.original`.
 * @example registerParametrization(new Linear(2, 2), 'weight', new WeightNorm())
 */
export function registerParametrization<M extends AnyModule>(module: M, name: string, step: Parametrization): M {
  const value = tensorAt(module, name);
  const known = listOf(module, name);
  if (known) {
    known.append(step, value as Tensor);
    return module;
  }
  if (!(value instanceof Parameter)) {
    throw new LibError(
      'value',
      `registerParametrization: '${name}' must be a parameter of the module, got ${value === null ? 'null' : typeof value}.`,
    );
  }
  const target = module as unknown as Parametrized;
  target.parametrizations ??= new Parametrizations() as NonNullable<Parametrized['parametrizations']>;
  const list = new ParametrizationList();
  target.parametrizations[name] = list;
  list.append(step, value);
  Object.defineProperty(module, name, {
    configurable: true,
    enumerable: false,
    // By way of the module, which may be a clone of the one at hand.
    get(this: AnyModule) {
      return readOf(listOf(this, name) as ParametrizationList);
    },
    set(this: AnyModule, next: Tensor) {
      listOf(this, name)?.assign(next);
    },
  });
  return module;
}

/** Makes `module[name]` an ordinary parameter again: with its computed value, or (`leaveParametrized: false`) what was learned. */
export function removeParametrizations<M extends AnyModule>(
  module: M,
  name: string,
  { leaveParametrized = true }: { readonly leaveParametrized?: boolean } = {},
): M {
  const list = listOf(module, name);
  if (!list) throw new LibError('value', `removeParametrizations: '${name}' must be parametrized, got a plain field.`);
  const originals = list.originals();
  if (!leaveParametrized && originals.length > 1) {
    throw new LibError('value', `removeParametrizations: only one learned tensor can take the parameter's place, got ${originals.length}.`);
  }
  const value = leaveParametrized
    ? noGrad(() => list.forward())
        .detach()
        .clone()
    : (originals[0] as Parameter);
  const target = module as unknown as Parametrized & Record<string, unknown>;
  const all = target.parametrizations as NonNullable<Parametrized['parametrizations']>;
  delete all[name];
  Object.defineProperty(module, name, { configurable: true, enumerable: true, writable: true, value: new Parameter(value.detach()) });
  if (!isParametrized(module)) delete target.parametrizations;
  return module;
}

/** The class of a module, parametrized or not (torch.nn.utils.parametrize.type_before_parametrizations). */
export const typeBeforeParametrizations = (module: AnyModule): unknown => module.constructor;

/** Gives `to` the parametrizations of `from`, of one parameter or of all, with copies of what they learned (torch.nn.utils.parametrize). */
export function transferParametrizationsAndParams<M extends AnyModule>(from: AnyModule, to: M, tensorName?: string): M {
  const all = (from as Parametrized).parametrizations;
  const names = tensorName === undefined ? Object.keys(all ?? {}) : [tensorName];
  for (const name of names) {
    const list = listOf(from, name);
    if (!list) throw new LibError('value', `transferParametrizationsAndParams: '${name}' must be parametrized, got a plain field.`);
    const value = noGrad(() => list.forward())
      .detach()
      .clone();
    if (!isParametrized(to, name)) (to as unknown as Record<string, unknown>)[name] = new Parameter(value);
    for (const step of list.clone().steps()) registerParametrization(to, name, step);
    noGrad(() => {
      const learned = list.originals();
      for (const [i, p] of (listOf(to, name) as ParametrizationList).originals().entries()) p.copy_(learned[i] as Tensor);
    });
  }
  return to;
}

/** Undoes {@link weightNorm} (torch.nn.utils.remove_weight_norm). */
export const removeWeightNorm = <M extends AnyModule>(module: M, name = 'weight'): M => removeParametrizations(module, name);
/** Undoes {@link spectralNorm} (torch.nn.utils.remove_spectral_norm). */
export const removeSpectralNorm = <M extends AnyModule>(module: M, name = 'weight'): M => removeParametrizations(module, name);

const normExcept = (v: Tensor, dim: number | null): Tensor =>
  dim === null
    ? v.square().sum().sqrt()
    : v
        .square()
        .sum({ dim: v.shape.flatMap((_, d) => (d === dim ? [] : [d])), keepdim: true })
        .sqrt();

/** weight = g · v / ‖v‖, the norm over all dims but one: length and direction are learned apart (Salimans & Kingma 2016). */
export class WeightNorm extends Parametrization {
  /** null: one norm for the whole tensor. */
  constructor(readonly dim: number | null = 0) {
    super();
  }
  override forward(...[g, v]: Tensor[]): Tensor {
    return (v as Tensor).mul((g as Tensor).div(normExcept(v as Tensor, this.dim)));
  }
  override rightInverse(value: Tensor): readonly Tensor[] {
    return [normExcept(value, this.dim), value];
  }
}

export interface WeightNormOptions {
  /** Which parameter. Default 'weight'. */
  readonly name?: string;
  /** The dim that keeps norms of its own; null: one norm. Default 0. */
  readonly dim?: number | null;
}
/** Learns length and direction of a weight apart (torch.nn.utils.parametrizations.weight_norm). */
export function weightNorm<M extends AnyModule>(module: M, { name = 'weight', dim = 0 }: WeightNormOptions = {}): M {
  return registerParametrization(module, name, new WeightNorm(dim === -1 ? null : dim));
}

export interface SpectralNormOptions {
  /** Which parameter. Default 'weight'. */
  readonly name?: string;
  /** Steps of the power method at each reading in training. Default 1. */
  readonly nPowerIterations?: number;
  /** The least length that vectors are divided by. Default 1e-12. */
  readonly eps?: number;
  /** The dim of the outputs. Default 0; 1 for transposed convolutions. */
  readonly dim?: number;
}

/** weight / σ, σ the largest singular value, followed by the power method (Miyato et al. 2018). */
export class SpectralNorm extends Parametrization {
  readonly _u: Buffer | null;
  readonly _v: Buffer | null;
  readonly dim: number;
  readonly eps: number;
  readonly nPowerIterations: number;

  constructor(weight: Tensor, { nPowerIterations = 1, eps = 1e-12, dim = 0 }: Omit<SpectralNormOptions, 'name'> = {}) {
    super();
    if (!Number.isInteger(nPowerIterations) || nPowerIterations < 1) {
      throw new LibError('value', `SpectralNorm: nPowerIterations must be a positive integer, got ${nPowerIterations}.`);
    }
    if (!Number.isInteger(dim) || dim < -weight.ndim || dim >= weight.ndim) {
      throw new LibError('index', `SpectralNorm: dim must be a dim of the weight, got ${dim} for shape ${formatShape(weight.shape)}.`);
    }
    this.dim = dim < 0 ? dim + weight.ndim : dim;
    this.eps = eps;
    this.nPowerIterations = nPowerIterations;
    const rows = weight.ndim > 1 ? this.matrix(weight.detach()) : null;
    const start = (size: number): Buffer => {
      const drawn = randn([size], { generator: initGenerator(), dtype: weight.dtype, device: weight.device });
      return new Buffer(normalize(drawn, { dim: 0, eps }));
    };
    this._u = rows && start(rows.sizeAt(0));
    this._v = rows && start(rows.sizeAt(1));
    if (rows) this.iterate(rows, 15);
  }

  private matrix(weight: Tensor): Tensor {
    const others = weight.shape.flatMap((_, d) => (d === this.dim ? [] : [d]));
    return weight.permute([this.dim, ...others]).flatten({ startDim: 1 });
  }

  private iterate(rows: Tensor, times: number): void {
    const [u, v] = [this._u as Buffer, this._v as Buffer];
    noGrad(() => {
      for (let i = 0; i < times; i++) {
        u.copy_(normalize(rows.mv(v), { dim: 0, eps: this.eps }));
        v.copy_(normalize(rows.t().mv(u), { dim: 0, eps: this.eps }));
      }
    });
  }

  override forward(...[weight]: Tensor[]): Tensor {
    const w = weight as Tensor;
    if (this._u === null || this._v === null) return normalize(w, { dim: 0, eps: this.eps });
    const rows = this.matrix(w);
    if (this.training) this.iterate(rows.detach(), this.nPowerIterations);
    // Copies, for the next reading moves both while this one's gradient may still be asked for.
    const [u, v] = [this._u.detach().clone(), this._v.detach().clone()];
    return w.div(u.dot(rows.mv(v)));
  }
}

/** Divides a weight by its largest singular value (torch.nn.utils.parametrizations.spectral_norm). */
export function spectralNorm<M extends AnyModule>(module: M, { name = 'weight', ...options }: SpectralNormOptions = {}): M {
  const weight = tensorAt(module, name);
  if (!(weight instanceof Parameter)) {
    throw new LibError(
      'value',
      `spectralNorm: '${name}' must be a parameter of the module, got ${weight === null ? 'null' : typeof weight}.`,
    );
  }
  const dim = options.dim ?? (module.constructor.name.startsWith('ConvTranspose') ? 1 : 0);
  return registerParametrization(module, name, new SpectralNorm(weight, { ...options, dim }));
}
