import type { Tensor } from '../tensor/tensor.js';

/** The objective along a line: its value, its gradient and the slope in the direction of the line. */
export interface LinePoint {
  readonly t: number;
  readonly loss: number;
  readonly gradient: Tensor;
  readonly slope: number;
}

export interface LineSearchOptions {
  /** How much of the decrease that the slope promises is asked for. */
  readonly c1?: number;
  /** How much flatter the slope must have become. */
  readonly c2?: number;
  /** Stop when the bracket moves no element by more than this. */
  readonly toleranceChange?: number;
  readonly maxEvaluations?: number;
}

/** Where the cubic through two points with their slopes is lowest, within bounds (Nocedal & Wright, eq. 3.59). */
function cubicMinimum(a: LinePoint, b: LinePoint, bounds: readonly [number, number] = [Math.min(a.t, b.t), Math.max(a.t, b.t)]): number {
  const d1 = a.slope + b.slope - (3 * (a.loss - b.loss)) / (a.t - b.t);
  const square = d1 * d1 - a.slope * b.slope;
  if (!(square >= 0)) return (bounds[0] + bounds[1]) / 2;
  const d2 = Math.sqrt(square);
  const [low, high] = a.t <= b.t ? [a, b] : [b, a];
  const lowest = high.t - (high.t - low.t) * ((high.slope + d2 - d1) / (high.slope - low.slope + 2 * d2));
  return Math.min(Math.max(lowest, bounds[0]), bounds[1]);
}

interface Bracket {
  low: LinePoint;
  high: LinePoint;
}

const ordered = (a: LinePoint, b: LinePoint): Bracket => (a.loss <= b.loss ? { low: a, high: b } : { low: b, high: a });

/** A line search's rules: enough decrease, and a slope that has become flat. */
class Wolfe {
  evaluations = 0;
  constructor(
    readonly evaluate: (t: number) => LinePoint,
    readonly start: LinePoint,
    readonly c1: number,
    readonly c2: number,
  ) {}
  at(t: number): LinePoint {
    this.evaluations++;
    return this.evaluate(t);
  }
  rises(p: LinePoint): boolean {
    return p.loss > this.start.loss + this.c1 * p.t * this.start.slope;
  }
  isFlat(p: LinePoint): boolean {
    return Math.abs(p.slope) <= -this.c2 * this.start.slope;
  }
}

/** Steps outward until a point fits, or two points have a fitting one between them. */
function findBracket(
  wolfe: Wolfe,
  first: number,
  maxIterations: number,
): { found: LinePoint | null; bracket: Bracket; iterations: number } {
  let previous = wolfe.start;
  let point = wolfe.at(first);
  for (let i = 0; i < maxIterations; i++) {
    if (wolfe.rises(point) || (i > 1 && point.loss >= previous.loss))
      return { found: null, bracket: ordered(previous, point), iterations: i };
    if (wolfe.isFlat(point)) return { found: point, bracket: { low: point, high: point }, iterations: i };
    if (point.slope >= 0) return { found: null, bracket: ordered(previous, point), iterations: i };
    const t = cubicMinimum(previous, point, [point.t + 0.01 * (point.t - previous.t), point.t * 10]);
    previous = point;
    point = wolfe.at(t);
  }
  return { found: null, bracket: ordered(wolfe.start, point), iterations: maxIterations };
}

/**
 * A step length t whose point fulfils the strong Wolfe conditions, by cubic interpolation as in minFunc; `direction` has the length
 * `longest` in its largest element. Returns the best point that was found, and how often the objective was evaluated.
 */
export function strongWolfe(
  evaluate: (t: number) => LinePoint,
  start: LinePoint,
  first: number,
  longest: number,
  { c1 = 1e-4, c2 = 0.9, toleranceChange = 1e-9, maxEvaluations = 25 }: LineSearchOptions = {},
): { readonly point: LinePoint; readonly evaluations: number } {
  const wolfe = new Wolfe(evaluate, start, c1, c2);
  const { found, bracket, iterations } = findBracket(wolfe, first, maxEvaluations);
  if (found !== null) return { point: found, evaluations: wolfe.evaluations };
  let stuck = false;
  for (let i = iterations; i < maxEvaluations; i++) {
    const [left, right] = [Math.min(bracket.low.t, bracket.high.t), Math.max(bracket.low.t, bracket.high.t)];
    if ((right - left) * longest < toleranceChange) break;
    let t = cubicMinimum(bracket.low, bracket.high);
    // A minimum at the edge, twice, says little: look a tenth inside instead.
    const margin = 0.1 * (right - left);
    if (Math.min(right - t, t - left) < margin) {
      if (stuck || t >= right || t <= left) {
        t = Math.abs(t - right) < Math.abs(t - left) ? right - margin : left + margin;
        stuck = false;
      } else stuck = true;
    } else stuck = false;
    const point = wolfe.at(t);
    if (wolfe.rises(point) || point.loss >= bracket.low.loss) {
      Object.assign(bracket, ordered(bracket.low, point));
      continue;
    }
    if (wolfe.isFlat(point)) return { point, evaluations: wolfe.evaluations };
    if (point.slope * (bracket.high.t - bracket.low.t) >= 0) bracket.high = bracket.low;
    bracket.low = point;
  }
  return { point: bracket.low, evaluations: wolfe.evaluations };
}
