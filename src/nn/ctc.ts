import { LibError } from '../core/errors.js';
import { formatShape } from '../core/shape.js';
import type { LossInput } from '../ops/define.js';
import { type CtcOptions, ctcLoss, type Lengths } from '../ops/lossSequence.js';
import type { Tensor } from '../tensor/tensor.js';
import { Module } from './module.js';

type CtcInputs = readonly [logProbs: Tensor, targets: Tensor, inputLengths: Lengths, targetLengths: Lengths];

/** Connectionist temporal classification: forward(logProbs, targets, inputLengths, targetLengths) (torch.nn.CTCLoss). */
export class CTCLoss extends Module<CtcInputs> {
  constructor(readonly options: CtcOptions = {}) {
    super();
  }
  /** What the first input must hold. */
  get expects(): LossInput {
    return ctcLoss.row.expects as LossInput;
  }
  override forward(...[logProbs, targets, inputLengths, targetLengths]: CtcInputs): Tensor {
    return ctcLoss(logProbs, targets, inputLengths, targetLengths, this.options);
  }
}

export interface CtcDecodeOptions {
  /** Steps of each example. Default: all. */
  readonly inputLengths?: Tensor | readonly number[];
  /** The class that stands for nothing. Default 0. */
  readonly blank?: number;
}
export interface CtcBeamOptions extends CtcDecodeOptions {
  /** Prefixes kept at each step. Default 10. */
  readonly beamWidth?: number;
}
export interface CtcHypothesis {
  readonly labels: readonly number[];
  /** The logarithm of the labels' probability, summed over the alignments that were kept. */
  readonly logProb: number;
}

/** One example's log-probabilities: (steps, classes), row by row. */
interface Sequence {
  readonly values: ArrayLike<number>;
  readonly start: number;
  readonly stride: number;
  readonly steps: number;
  readonly classes: number;
}

function sequencesOf(op: string, logProbs: Tensor, { inputLengths, blank = 0 }: CtcDecodeOptions): readonly Sequence[] {
  if (logProbs.ndim !== 2 && logProbs.ndim !== 3) {
    throw new LibError('shape', `${op}: logProbs must be (T, N, C) or (T, C), got shape ${formatShape(logProbs.shape)}.`);
  }
  const [steps, count, classes] = (logProbs.ndim === 2 ? logProbs.unsqueeze(1) : logProbs).dims(3);
  if (!Number.isInteger(blank) || blank < 0 || blank >= classes) {
    throw new LibError('value', `${op}: blank must be a class, 0 to ${classes - 1}, got ${blank}.`);
  }
  const given = inputLengths === undefined ? Array.from({ length: count }, () => steps) : inputLengths;
  const lengths = 'dtype' in given ? Array.from(given.toArray(), Number) : given;
  if (lengths.length !== count || lengths.some((n) => !Number.isInteger(n) || n < 0 || n > steps)) {
    throw new LibError('value', `${op}: inputLengths must be ${count} whole numbers from 0 to ${steps}, got ${lengths.join(', ')}.`);
  }
  const values = logProbs.detach().toArray();
  return lengths.map((n, i) => ({ values, start: i * classes, stride: count * classes, steps: n, classes }));
}

/**
 * The labels of the likeliest class at each step, repeats merged and blanks left out, for logProbs (T, N, C) or (T, C).
 * @example ctcGreedyDecode(tensor([[0, -9], [-9, 0], [-9, 0], [0, -9], [-9, 0]])) // [[1, 1]]
 */
export function ctcGreedyDecode(logProbs: Tensor, options: CtcDecodeOptions = {}): number[][] {
  const { blank = 0 } = options;
  return sequencesOf('ctcGreedyDecode', logProbs, options).map(({ values, start, stride, steps, classes }) => {
    const labels: number[] = [];
    let before = blank;
    for (let t = 0; t < steps; t++) {
      const row = start + t * stride;
      let best = 0;
      for (let c = 1; c < classes; c++) if ((values[row + c] as number) > (values[row + best] as number)) best = c;
      if (best !== before && best !== blank) labels.push(best);
      before = best;
    }
    return labels;
  });
}

/** What a prefix's alignments sum to, by whether they end in a blank. */
interface Beam {
  readonly labels: readonly number[];
  blank: number;
  label: number;
}

const logAdd = (x: number, y: number): number => {
  const most = Math.max(x, y);
  return most === Number.NEGATIVE_INFINITY ? most : most + Math.log1p(Math.exp(Math.min(x, y) - most));
};
const scoreOf = (beam: Beam): number => logAdd(beam.blank, beam.label);

/** Prefix beam search (Hannun et al. 2014): per example the likeliest labels, best first, alignments of one prefix added up. */
export function ctcBeamSearch(logProbs: Tensor, options: CtcBeamOptions = {}): CtcHypothesis[][] {
  const { blank = 0, beamWidth = 10 } = options;
  if (!Number.isInteger(beamWidth) || beamWidth < 1) {
    throw new LibError('value', `ctcBeamSearch: beamWidth must be a positive integer, got ${beamWidth}.`);
  }
  return sequencesOf('ctcBeamSearch', logProbs, options).map((sequence) => {
    let beams: Beam[] = [{ labels: [], blank: 0, label: Number.NEGATIVE_INFINITY }];
    for (let t = 0; t < sequence.steps; t++) beams = advance(beams, sequence, t, blank, beamWidth);
    return beams.map((beam) => ({ labels: beam.labels, logProb: scoreOf(beam) }));
  });
}

function advance(beams: readonly Beam[], { values, start, stride, classes }: Sequence, t: number, blank: number, width: number): Beam[] {
  const next = new Map<string, Beam>();
  const at = (labels: readonly number[]): Beam => {
    const key = labels.join();
    const known = next.get(key) ?? { labels, blank: Number.NEGATIVE_INFINITY, label: Number.NEGATIVE_INFINITY };
    next.set(key, known);
    return known;
  };
  const row = start + t * stride;
  for (const beam of beams) {
    const last = beam.labels.at(-1);
    const total = scoreOf(beam);
    for (let c = 0; c < classes; c++) {
      const p = values[row + c] as number;
      if (p === Number.NEGATIVE_INFINITY) continue;
      const same = at(beam.labels);
      if (c === blank) same.blank = logAdd(same.blank, total + p);
      else if (c !== last) extend(at([...beam.labels, c]), total + p);
      else {
        // A repeat stays the same label, unless a blank was between.
        same.label = logAdd(same.label, beam.label + p);
        extend(at([...beam.labels, c]), beam.blank + p);
      }
    }
  }
  return [...next.values()]
    .filter((beam) => scoreOf(beam) > Number.NEGATIVE_INFINITY)
    .sort((x, y) => scoreOf(y) - scoreOf(x))
    .slice(0, width);
}

function extend(beam: Beam, logProb: number): void {
  beam.label = logAdd(beam.label, logProb);
}
