import { LibError } from '../core/errors.js';
import type { Parameter } from '../nn/module.js';
import { stack } from '../ops/join.js';
import { noGrad } from '../tensor/autograd.js';
import { capturing } from '../tensor/capturing.js';
import { tensor } from '../tensor/creation.js';
import type { Tensor } from '../tensor/tensor.js';
import { checkNumber } from './optimizer.js';

export interface GradScalerOptions {
  /** Default 2^16. */
  readonly initScale?: number;
  /** What the scale is multiplied by after `growthInterval` steps without overflow. Default 2. */
  readonly growthFactor?: number;
  /** What the scale is multiplied by after an overflow. Default 0.5. */
  readonly backoffFactor?: number;
  /** Default 2000. */
  readonly growthInterval?: number;
  /** false: does nothing, so that one loop serves with and without scaling. Default true. */
  readonly enabled?: boolean;
  /** false: the scale stays; steps with overflows are skipped all the same. Default true. */
  readonly dynamic?: boolean;
}

export interface GradScalerState {
  readonly scale: number;
  readonly growthFactor: number;
  readonly backoffFactor: number;
  readonly growthInterval: number;
  readonly growthTracker: number;
}

interface Scaled {
  readonly paramGroups: readonly { readonly params: readonly Parameter[] }[];
  step(): void;
}

const defaults: Required<GradScalerOptions> = {
  initScale: 2 ** 16,
  growthFactor: 2,
  backoffFactor: 0.5,
  growthInterval: 2000,
  enabled: true,
  dynamic: true,
};

/**
 * Multiplies the loss so that small gradients survive float16, and skips steps whose gradients overflow (Micikevicius et al. 2018;
 * torch.amp.GradScaler). bfloat16 does not need it. Forward and backward may be compiled; `unscale_`, `step` and `update` run outside.
 * @example
 * const w = new Parameter(tensor([1, 2]));
 * const [optimizer, scaler] = [new SGD([w], { lr: 0.1 }), new GradScaler()];
 * scaler.scale(w.square().sum()).backward();
 * scaler.unscale_(optimizer); // only needed before clipping
 * scaler.step(optimizer);
 * scaler.update();
 */
export class GradScaler {
  private readonly options: Required<GradScalerOptions>;
  /** A tensor, so that a captured step reads the scale of its time. */
  private readonly factor: Tensor;
  private scaleNow: number;
  private growthTracker = 0;
  /** Optimizers whose gradients were unscaled since the last update, and whether they overflowed. */
  private readonly unscaled = new Map<Scaled, boolean>();

  constructor(options: GradScalerOptions = {}) {
    this.options = { ...defaults, ...options };
    const { initScale, growthFactor, backoffFactor, growthInterval } = this.options;
    checkNumber('GradScaler', 'initScale', initScale, (v) => v > 0, 'a finite number > 0');
    checkNumber('GradScaler', 'growthFactor', growthFactor, (v) => v > 1, 'a finite number > 1');
    checkNumber('GradScaler', 'backoffFactor', backoffFactor, (v) => v > 0 && v < 1, 'in (0, 1)');
    checkNumber('GradScaler', 'growthInterval', growthInterval, (v) => Number.isInteger(v) && v > 0, 'a positive integer');
    this.scaleNow = initScale;
    this.factor = tensor(initScale, { dtype: 'float32' });
  }

  isEnabled(): boolean {
    return this.options.enabled;
  }
  getScale(): number {
    return this.options.enabled ? this.scaleNow : 1;
  }

  /** The loss to call backward() on. */
  scale(loss: Tensor): Tensor {
    return this.options.enabled ? loss.mul(this.factor.to(loss.dtype)) : loss;
  }

  /** Divides the gradients of an optimizer's parameters by the scale, in place: for clipping. At most once before each step. */
  unscale_(optimizer: Scaled): void {
    if (!this.options.enabled) return;
    if (this.unscaled.has(optimizer)) {
      throw new LibError('state', 'GradScaler: unscale_ may be called once before update(), got a second call.');
    }
    if (capturing() !== null) {
      const hint = 'compile forward and backward, and call unscale_, step and update outside.';
      throw new LibError('capture', 'GradScaler: whether gradients overflow is not known while compile() is capturing.', hint);
    }
    this.unscaled.set(
      optimizer,
      noGrad(() => this.divide(optimizer)),
    );
  }

  private divide({ paramGroups }: Scaled): boolean {
    const params = paramGroups.flatMap((g) => g.params);
    const grads = params.flatMap((p) => [p.grad, p.sparseGrad?.values ?? null].filter((g) => g !== null));
    if (grads.length === 0) {
      throw new LibError('grad', 'GradScaler: some parameter must have a gradient, got none.', 'call it after backward().');
    }
    for (const g of grads) g.mul_(1 / this.scaleNow);
    // 0 times anything but a finite number is NaN.
    return Number.isNaN(
      stack(grads.map((g) => g.float().mul(0).sum()))
        .sum()
        .itemNow(),
    );
  }

  /** Steps the optimizer unless its gradients overflowed; says whether it did. */
  step(optimizer: Scaled): boolean {
    if (this.options.enabled && !this.unscaled.has(optimizer)) this.unscale_(optimizer);
    const overflowed = this.unscaled.get(optimizer) === true;
    if (!overflowed) optimizer.step();
    return !overflowed;
  }

  /** Fits the scale to what happened since the last call, or sets it. Call it once, after all steps. */
  update(newScale?: number): void {
    if (!this.options.enabled) return;
    if (newScale !== undefined) {
      checkNumber('GradScaler', 'newScale', newScale, (v) => v > 0, 'a finite number > 0');
      this.set(newScale);
    } else if (this.unscaled.size === 0) {
      throw new LibError('state', 'GradScaler: update must come after step, got no step before it.');
    } else if (this.options.dynamic) this.adapt([...this.unscaled.values()].some(Boolean));
    this.unscaled.clear();
  }

  private adapt(overflowed: boolean): void {
    const { growthFactor, backoffFactor, growthInterval } = this.options;
    if (overflowed) {
      this.growthTracker = 0;
      this.set(this.scaleNow * backoffFactor);
    } else if (++this.growthTracker === growthInterval) {
      this.growthTracker = 0;
      const grown = Math.fround(this.scaleNow * growthFactor);
      if (Number.isFinite(grown)) this.set(grown);
    }
  }

  private set(scale: number): void {
    this.scaleNow = scale;
    noGrad(() => this.factor.fill_(scale));
  }

  stateDict(): GradScalerState {
    const { growthFactor, backoffFactor, growthInterval } = this.options;
    return { scale: this.scaleNow, growthFactor, backoffFactor, growthInterval, growthTracker: this.growthTracker };
  }
  loadStateDict({ scale, growthTracker, ...factors }: GradScalerState): void {
    Object.assign(this.options, factors);
    this.growthTracker = growthTracker;
    this.set(scale);
  }
}
