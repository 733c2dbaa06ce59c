import { LibError } from '../core/errors.js';
import { linear, matmul } from '../ops/matmul.js';
import { dropout } from '../ops/random.js';
import { noGrad } from '../tensor/autograd.js';
import { empty, zeros } from '../tensor/creation.js';
import type { Tensor } from '../tensor/tensor.js';
import { MultiheadAttention } from './attention.js';
import { kaimingUniform_ } from './init.js';
import { checkSizes, Linear } from './linear.js';
import { type AnyModule, Module, Parameter } from './module.js';

export interface LoRAOptions {
  /** Rank of the change. Default 8. */
  readonly r?: number;
  /** The change is multiplied by alpha / r. Default 16. */
  readonly alpha?: number;
  /** In training, the chance that an input of the change is dropped. Default 0. */
  readonly dropout?: number;
}

/**
 * A frozen linear layer with a learned change of low rank (Hu et al. 2021): W x + b + (α / r) B A x. A is random and B zero, so that it
 * starts as the layer it was; r (in + out) numbers are learned.
 */
export class LoRALinear extends Module {
  readonly base: Linear;
  /** (r, in) */
  readonly loraA: Parameter;
  /** (out, r) */
  readonly loraB: Parameter;
  readonly scale: number;
  readonly dropout: number;
  private original: Tensor | null = null;
  /** Whether the change is in the base weight now. */
  merged = false;

  constructor(base: Linear, { r = 8, alpha = 16, dropout: p = 0 }: LoRAOptions = {}) {
    super();
    checkSizes('LoRALinear', { r });
    if (!(p >= 0 && p <= 1)) throw new LibError('value', `LoRALinear: dropout must be a probability in [0, 1], got ${p}.`);
    this.base = base.requiresGrad_(false);
    const place = { dtype: base.weight.dtype, device: base.weight.device };
    this.loraA = new Parameter(kaimingUniform_(empty([r, base.inFeatures], place), { a: Math.sqrt(5) }));
    this.loraB = new Parameter(zeros([base.outFeatures, r], place));
    this.scale = alpha / r;
    this.dropout = p;
  }

  override forward(x: Tensor): Tensor {
    const { training, merged } = this; // a captured program asks for both
    const y = this.base.forward(x);
    if (merged) return y;
    const input = dropout(x, { p: this.dropout, training });
    return y.add(linear(linear(input, this.loraA), this.loraB).mul(this.scale));
  }

  /** Adds the change to the base weight, so that a call costs no more than the base's. */
  merge(): this {
    if (this.merged) return this;
    noGrad(() => {
      const { weight } = this.base;
      this.original = weight.detach().clone();
      weight.add_(matmul(this.loraB, this.loraA).mul(this.scale));
    });
    this.merged = true;
    return this;
  }

  /** Gives the base its own weight back, bit for bit. */
  unmerge(): this {
    const { original } = this;
    if (!this.merged || original === null) return this;
    noGrad(() => this.base.weight.copy_(original));
    this.original = null;
    this.merged = false;
    return this;
  }
}

/**
 * Freezes a model and puts {@link LoRALinear} in the place of its linear layers, or of those that `targets` picks by name. Gives them.
 * @example const adapters = applyLoRA(new Sequential(new Linear(4, 4), new ReLU()), { r: 2 });
 */
export function applyLoRA(
  model: AnyModule,
  { targets = () => true, ...options }: LoRAOptions & { readonly targets?: (name: string) => boolean } = {},
): LoRALinear[] {
  model.requiresGrad_(false);
  const adapters: LoRALinear[] = [];
  const replaced = new Map<Linear, LoRALinear>();
  const adapt = (holder: object, prefix: string): void => {
    for (const [key, value] of Object.entries(holder) as [string, unknown][]) {
      const name = prefix === '' ? key : `${prefix}.${key}`;
      // Attention reads the weight of its output layer itself.
      if (value instanceof LoRALinear || (holder instanceof MultiheadAttention && value instanceof Linear)) continue;
      if (Array.isArray(value)) adapt(value, name);
      else if (value instanceof Linear && targets(name)) {
        const adapter = replaced.get(value) ?? new LoRALinear(value, options);
        if (!replaced.has(value)) adapters.push(adapter);
        replaced.set(value, adapter);
        Reflect.set(holder, key, adapter);
      } else if (value instanceof Module) adapt(value, name);
    }
  };
  adapt(model, '');
  if (adapters.length === 0) throw new LibError('value', 'applyLoRA: the model must have linear layers to adapt, got none.');
  return adapters;
}
