import { LibError } from '../core/errors.js';
import type { Parameter } from '../nn/module.js';
import { stack } from '../ops/join.js';
import { enableGrad, noGrad } from '../tensor/autograd.js';
import { tensor } from '../tensor/creation.js';
import { isTensor, type Tensor } from '../tensor/tensor.js';
import { dot, flatGradient, moveAlong } from './flat.js';
import {
  checkNonNegative,
  checkNumber,
  type Given,
  type Group,
  Optimizer,
  type ParamState,
  type Params,
  withDefaults,
} from './optimizer.js';
import { type LinePoint, strongWolfe } from './strongWolfe.js';

export interface LBFGSOptions {
  /** Step size; with a line search its first trial. Default 1. */
  readonly lr?: number;
  /** Iterations per step. Default 20. */
  readonly maxIter?: number;
  /** Evaluations of the closure per step. Default: maxIter · 1.25. */
  readonly maxEval?: number | null;
  /** Done when no element of the gradient is larger. Default 1e-7. */
  readonly toleranceGrad?: number;
  /** Done when loss or parameters change by less. Default 1e-9. */
  readonly toleranceChange?: number;
  /** Steps that the curvature is estimated from. Default 100. */
  readonly historySize?: number;
  /** Default: none, steps of lr. */
  readonly lineSearchFn?: 'strongWolfe' | null;
  /** Climb instead of descend. Default false. */
  readonly maximize?: boolean;
}
type Full = Required<LBFGSOptions>;

/** What is known of the curvature, and where the last iteration was. */
interface Memory {
  funcEvals: number;
  nIter: number;
  /** The last direction and how far it was gone. */
  d: Tensor | null;
  t: number;
  /** Differences of gradients and of parameters, and 1 / their products. */
  oldDirs: Tensor[];
  oldStps: Tensor[];
  ro: number[];
  hDiag: number;
  prevFlatGrad: Tensor | null;
  prevLoss: number;
}

const defaults: Full = {
  lr: 1,
  maxIter: 20,
  maxEval: null,
  toleranceGrad: 1e-7,
  toleranceChange: 1e-9,
  historySize: 100,
  lineSearchFn: null,
  maximize: false,
};

/**
 * Limited-memory BFGS, for full batches of small smooth problems (Liu & Nocedal 1989; torch.optim.LBFGS). `step` needs a closure that
 * clears the gradients, computes loss and gradients and returns the loss; it reads values, so it runs outside compile().
 * @example
 * const w = new Parameter(tensor([3, -4]));
 * const optimizer = new LBFGS([w], { lineSearchFn: 'strongWolfe' });
 * optimizer.step(() => {
 *   optimizer.zeroGrad();
 *   const loss = w.square().sum();
 *   loss.backward();
 *   return loss;
 * });
 */
export class LBFGS extends Optimizer<Full> {
  constructor(params: Params<Full>, options: Given<LBFGSOptions> = {}) {
    super('LBFGS', params, withDefaults('LBFGS', defaults, options));
    if (this.paramGroups.length !== 1) {
      throw new LibError('value', `LBFGS: there must be one group of parameters, got ${this.paramGroups.length}.`);
    }
  }

  protected override check(group: Group<Full>): void {
    super.check(group);
    checkNonNegative('LBFGS', group, ['toleranceGrad', 'toleranceChange']);
    for (const key of ['maxIter', 'historySize'] as const)
      checkNumber('LBFGS', key, group[key], (v) => Number.isInteger(v) && v > 0, 'a positive integer');
    if (group.maxEval !== null) checkNumber('LBFGS', 'maxEval', group.maxEval, (v) => v > 0, 'a positive number or null');
    if (group.lineSearchFn !== null && group.lineSearchFn !== 'strongWolfe') {
      throw new LibError('option', `LBFGS: lineSearchFn must be 'strongWolfe' or null, got '${String(group.lineSearchFn)}'.`);
    }
  }

  override step(): void;
  override step<T>(closure: () => T): T;
  override step<T>(closure?: () => T): T | undefined {
    if (closure === undefined) {
      throw new LibError('option', 'LBFGS: step needs a closure that computes loss and gradients, got none.');
    }
    const group = this.paramGroups[0] as Group<Full>;
    this.check(group);
    const run = new Run(group, () => enableGrad(closure), this.memory(group));
    const result = noGrad(() => run.step());
    this.stepCount++;
    this.keep(group, run.memory);
    return result as T;
  }

  protected update(): void {
    throw new LibError('option', 'LBFGS: parameters are updated together.');
  }

  private memory({ params }: Group<Full>): Memory {
    const saved = this.state.get(params[0] as Parameter) as Readonly<Record<string, Tensor | number | undefined>> | undefined;
    const list = (key: string): Tensor[] => (saved?.[key] as Tensor | undefined)?.unbind() ?? [];
    const number = (key: string): number => (saved?.[key] as number | undefined) ?? 0;
    return {
      funcEvals: number('funcEvals'),
      nIter: number('nIter'),
      d: (saved?.d as Tensor | undefined) ?? null,
      t: number('t'),
      oldDirs: list('oldDirs'),
      oldStps: list('oldStps'),
      ro: [...((saved?.ro as Tensor | undefined)?.toArray() ?? [])],
      hDiag: saved === undefined ? 1 : number('hDiag'),
      prevFlatGrad: (saved?.prevFlatGrad as Tensor | undefined) ?? null,
      prevLoss: number('prevLoss'),
    };
  }

  /** As PyTorch does, all of it is state of the first parameter. */
  private keep({ params }: Group<Full>, { d, oldDirs, oldStps, ro, prevFlatGrad, ...numbers }: Memory): void {
    const state: ParamState = { ...numbers };
    if (d !== null) state.d = d;
    if (prevFlatGrad !== null) state.prevFlatGrad = prevFlatGrad;
    if (oldDirs.length > 0) {
      Object.assign(state, { oldDirs: stack(oldDirs), oldStps: stack(oldStps), ro: tensor(ro, { dtype: 'float64' }) });
    }
    this.state.set(params[0] as Parameter, state);
  }
}

/** One call of `step`. */
class Run {
  private readonly params: readonly Parameter[];
  private readonly sign: number;
  private evaluations = 0;

  constructor(
    private readonly group: Group<Full>,
    private readonly closure: () => unknown,
    readonly memory: Memory,
  ) {
    this.params = group.params;
    this.sign = group.maximize ? -1 : 1;
  }

  /** Loss and gradient of what is minimized, here. */
  private evaluate(): { result: unknown; loss: number; gradient: Tensor } {
    const result = this.closure();
    this.evaluations++;
    this.memory.funcEvals++;
    const value = isTensor(result) ? result.itemNow() : Number(result);
    const gradient = flatGradient(this.params);
    return { result, loss: this.sign * value, gradient: this.sign < 0 ? gradient.neg() : gradient };
  }

  step(): unknown {
    const { maxIter, toleranceGrad, toleranceChange } = this.group;
    const maxEval = this.group.maxEval ?? Math.floor((maxIter * 5) / 4);
    const { result, ...here } = this.evaluate();
    let { loss, gradient } = here;
    if (largest(gradient) <= toleranceGrad) return result;
    for (let n = 1; n <= maxIter; n++) {
      const before = loss;
      const d = this.direction(gradient, loss);
      const first = this.memory.nIter === 1 ? Math.min(1, 1 / gradient.abs().sum().itemNow()) * this.group.lr : this.group.lr;
      const slope = dot(gradient, d);
      this.memory.t = first;
      if (slope > -toleranceChange) break;
      const point = this.advance({ t: 0, loss, gradient, slope }, d, first, n === maxIter, maxEval - this.evaluations);
      ({ loss, gradient } = point);
      this.memory.t = point.t;
      if (n === maxIter || this.evaluations >= maxEval || largest(gradient) <= toleranceGrad) break;
      if (largest(d) * Math.abs(point.t) <= toleranceChange || Math.abs(loss - before) < toleranceChange) break;
    }
    return result;
  }

  /** Where the next iteration begins. Without a line search the last point of a step is not evaluated: nobody asks for it. */
  private advance(start: LinePoint, d: Tensor, first: number, last: boolean, budget: number): LinePoint {
    if (this.group.lineSearchFn === null) {
      moveAlong(this.params, d, first);
      if (last) return { ...start, t: first };
      const { loss, gradient } = this.evaluate();
      return { t: first, loss, gradient, slope: Number.NaN };
    }
    const was = this.params.map((p) => p.clone());
    const along = (t: number): LinePoint => {
      moveAlong(this.params, d, t);
      const { loss, gradient } = this.evaluate();
      this.params.forEach((p, i) => {
        p.copy_(was[i] as Tensor);
      });
      return { t, loss, gradient, slope: dot(gradient, d) };
    };
    const { point } = strongWolfe(along, start, first, largest(d), { maxEvaluations: budget });
    moveAlong(this.params, d, point.t);
    return point;
  }

  /** Minus the gradient, times the inverse Hessian that the history suggests (the two-loop recursion). */
  private direction(gradient: Tensor, loss: number): Tensor {
    const { memory } = this;
    memory.nIter++;
    if (memory.d === null || memory.prevFlatGrad === null) memory.d = gradient.neg();
    else {
      this.remember(gradient.sub(memory.prevFlatGrad), memory.d.mul(memory.t));
      const { oldDirs, oldStps, ro } = memory;
      const al: number[] = [];
      let q = gradient.neg();
      for (let i = oldDirs.length - 1; i >= 0; i--) {
        al[i] = dot(oldStps[i] as Tensor, q) * (ro[i] as number);
        q = q.sub((oldDirs[i] as Tensor).mul(al[i] as number));
      }
      let r = q.mul(memory.hDiag);
      for (let i = 0; i < oldDirs.length; i++) {
        const be = dot(oldDirs[i] as Tensor, r) * (ro[i] as number);
        r = r.add((oldStps[i] as Tensor).mul((al[i] as number) - be));
      }
      memory.d = r;
    }
    memory.prevFlatGrad = gradient;
    memory.prevLoss = loss;
    return memory.d;
  }

  private remember(y: Tensor, s: Tensor): void {
    const { memory } = this;
    const product = dot(y, s);
    if (product <= 1e-10) return;
    if (memory.oldDirs.length === this.group.historySize) for (const list of [memory.oldDirs, memory.oldStps, memory.ro]) list.shift();
    memory.oldDirs.push(y);
    memory.oldStps.push(s);
    memory.ro.push(1 / product);
    memory.hDiag = product / dot(y, y);
  }
}

const largest = (x: Tensor): number => x.norm({ p: Number.POSITIVE_INFINITY }).itemNow();
