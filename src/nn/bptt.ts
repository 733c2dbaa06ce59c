import { LibError } from '../core/errors.js';
import { backward } from '../tensor/autograd.js';
import { isTensor, type Tensor } from '../tensor/tensor.js';

/** The state of a recurrent net between two stretches of a sequence: a tensor, or several. */
export type RecurrentState = Tensor | readonly RecurrentState[];

/** The same values outside the graph: no gradient flows into what came before. */
export function detachState<S extends RecurrentState>(state: S): S {
  return mapState(state, (t) => t.detach());
}

export interface TruncatedOptions {
  /** Steps of each stretch (k₁): one loss and one backward each. */
  readonly stepSize: number;
  /** How far a loss reaches back (k₂), a multiple of `stepSize`. Default: its own stretch only. */
  readonly window?: number;
  /** Called after each stretch's backward, for an optimizer's step; with a `window` beyond a stretch parameters must not change here. */
  readonly afterStretch?: (loss: Tensor) => void;
}

interface Stretch {
  readonly before: readonly Tensor[];
  readonly after: readonly Tensor[];
}

/**
 * Backpropagation through time, truncated (Williams & Peng 1990): `run` makes a loss and the next state from steps start..end, and the
 * loss of each stretch sends gradients back through `window` steps. Gives the last state, outside the graph.
 */
export function truncatedBackward<S extends RecurrentState>(
  length: number,
  state: S,
  run: (start: number, end: number, state: S) => readonly [loss: Tensor, state: S],
  { stepSize, window = stepSize, afterStretch }: TruncatedOptions,
): S {
  if (!Number.isInteger(stepSize) || stepSize < 1) {
    throw new LibError('value', `truncatedBackward: stepSize must be a positive integer, got ${stepSize}.`);
  }
  if (!(window >= stepSize && window % stepSize === 0)) {
    throw new LibError('value', `truncatedBackward: window must be a multiple of stepSize, got ${window} for ${stepSize}.`);
  }
  const reach = window / stepSize;
  const past: Stretch[] = [];
  let current = detachState(state);
  for (let start = 0; start < length; start += stepSize) {
    const from = mapState(current, (t) => t.detach().requiresGrad_());
    const [loss, next] = run(start, Math.min(start + stepSize, length), from);
    past.push({ before: tensorsOf(from), after: tensorsOf(next) });
    if (past.length > reach) past.shift();
    backward(loss, { retainGraph: reach > 1 });
    for (let i = past.length - 2; i >= 0; i--) passOn(past[i] as Stretch, past[i + 1] as Stretch);
    for (const { before } of past) for (const t of before) t.grad = null;
    afterStretch?.(loss);
    current = detachState(next);
  }
  return current;
}

/** The gradient that has arrived at the start of `later` flows on through `earlier`, whose end it was. */
function passOn(earlier: Stretch, later: Stretch): void {
  const terms = earlier.after.flatMap((t, i) => {
    const g = later.before[i]?.grad;
    return g && t.requiresGrad ? [t.mul(g.detach()).sum()] : [];
  });
  const [first, ...rest] = terms;
  if (first !== undefined)
    backward(
      rest.reduce((a, b) => a.add(b), first),
      { retainGraph: true },
    );
}

function mapState<S extends RecurrentState>(state: S, change: (t: Tensor) => Tensor): S {
  return (isTensor(state) ? change(state) : state.map((s) => mapState(s, change))) as S;
}

const tensorsOf = (state: RecurrentState): Tensor[] => (isTensor(state) ? [state] : state.flatMap(tensorsOf));
