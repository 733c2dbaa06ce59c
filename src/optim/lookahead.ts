import { LibError } from '../core/errors.js';
import type { Parameter } from '../nn/module.js';
import { eagerly } from '../ops/apply.js';
import { noGrad } from '../tensor/autograd.js';
import { capturing } from '../tensor/capturing.js';
import type { Tensor } from '../tensor/tensor.js';
import { checkNumber, type Group, type Optimizer, type OptimizerState } from './optimizer.js';
import { defineUpdate, runUpdate, type Update } from './update.js';

export interface LookaheadOptions {
  /** Steps of the inner optimizer between two of the slow weights. Default 5. */
  readonly k?: number;
  /** How far the slow weights go towards the fast ones. Default 0.5. */
  readonly alpha?: number;
}

export interface LookaheadState {
  readonly base: OptimizerState;
  readonly steps: number;
  /** The slow weights, by position over all groups. */
  readonly slow: readonly Tensor[];
}

/** With `meets` 0 nothing changes. */
const synchronize: Update<'param' | 'slow', 'meets' | 'alpha', 'param' | 'slow'> = defineUpdate(
  'lookahead',
  ['param', 'slow'],
  ['meets', 'alpha'],
  ({ param, slow }, { meets, alpha }) => {
    const next = slow.add(param.sub(slow).mul(alpha));
    return { param: meets.select(next, param), slow: meets.select(next, slow) };
  },
);

/**
 * Runs another optimizer for `k` steps, then goes back part of the way to where it began (Zhang et al. 2019).
 * @example
 * const w = new Parameter(tensor([1, 2]));
 * const optimizer = new Lookahead(new Adam([w]), { k: 5, alpha: 0.5 });
 * w.square().sum().backward();
 * optimizer.step();
 */
export class Lookahead {
  readonly k: number;
  readonly alpha: number;
  private readonly slow = new Map<Parameter, Tensor>();
  private steps = 0;

  constructor(
    readonly base: Optimizer,
    { k = 5, alpha = 0.5 }: LookaheadOptions = {},
  ) {
    checkNumber('Lookahead', 'k', k, (v) => Number.isInteger(v) && v > 0, 'a positive integer');
    checkNumber('Lookahead', 'alpha', alpha, (v) => v >= 0 && v <= 1, 'in [0, 1]');
    this.k = k;
    this.alpha = alpha;
    this.slowWeights();
  }

  get paramGroups(): Group<{ readonly lr: number }>[] {
    return this.base.paramGroups;
  }
  get stepCount(): number {
    return this.base.stepCount;
  }
  zeroGrad(options: { readonly setToNone?: boolean } = {}): void {
    this.base.zeroGrad(options);
  }

  /** Slow weights of every parameter: those of parameters added later begin where these are now. */
  private slowWeights(): (readonly [Parameter, Tensor])[] {
    const all = this.paramGroups.flatMap((g) => g.params);
    for (const p of all)
      if (!this.slow.has(p))
        this.slow.set(
          p,
          eagerly(() => noGrad(() => p.detach().clone())),
        );
    return all.map((p) => [p, this.slow.get(p) as Tensor] as const);
  }

  step(): void;
  step<T>(closure: () => T): T;
  step<T>(closure?: () => T): T | undefined {
    let result: T | undefined;
    if (closure === undefined) this.base.step();
    else result = this.base.step(closure);
    this.steps++;
    const capture = capturing();
    capture?.onReplay(() => {
      this.steps++;
    });
    // A program serves all steps, so it always holds the meeting; otherwise it costs nothing in between.
    if (capture === null && this.steps % this.k !== 0) return result;
    for (const [param, slow] of this.slowWeights()) {
      runUpdate(synchronize, { param, slow }, (out, at) => {
        out[at] = this.steps % this.k === 0 ? 1 : 0;
        out[at + 1] = this.alpha;
      });
    }
    return result;
  }

  stateDict(): LookaheadState {
    return { base: this.base.stateDict(), steps: this.steps, slow: this.slowWeights().map(([, slow]) => slow) };
  }
  loadStateDict({ base, steps, slow }: LookaheadState): void {
    const own = this.slowWeights();
    if (own.length !== slow.length) {
      throw new LibError('state', `Lookahead: there must be as many slow weights as parameters, got ${slow.length} for ${own.length}.`);
    }
    this.base.loadStateDict(base);
    this.steps = steps;
    noGrad(() => {
      own.forEach(([, mine], i) => {
        mine.copy_(slow[i] as Tensor);
      });
    });
  }
}
