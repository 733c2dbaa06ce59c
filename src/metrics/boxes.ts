import { LibError } from '../core/errors.js';
import { rankPoints } from './ranking.js';

/** x1, y1, x2, y2: the upper left and the lower right corner. */
export type Box = readonly [x1: number, y1: number, x2: number, y2: number];

function area([x1, y1, x2, y2]: Box): number {
  return Math.max(0, x2 - x1) * Math.max(0, y2 - y1);
}

/**
 * Intersection over union of two boxes; 0 where both are empty.
 * @example boxIou([0, 0, 2, 2], [1, 0, 3, 2]) // 0.3333333333333333
 */
export function boxIou(a: Box, b: Box): number {
  const width = Math.min(a[2], b[2]) - Math.max(a[0], b[0]);
  const height = Math.min(a[3], b[3]) - Math.max(a[1], b[1]);
  const shared = Math.max(0, width) * Math.max(0, height);
  const union = area(a) + area(b) - shared;
  return union > 0 ? shared / union : 0;
}

function checkShare(op: string, key: string, value: number): void {
  if (!(value >= 0 && value <= 1)) throw new LibError('value', `${op}: ${key} must be in 0..1, got ${value}.`);
}

/**
 * Non-maximum suppression: positions of the boxes that stay, best first; each removes those it overlaps by more than `iouThreshold`.
 * @example nonMaximumSuppression([[0, 0, 2, 2], [0, 0, 2, 1.9], [5, 5, 6, 6]], [0.8, 0.9, 0.3]) // [1, 2]
 */
export function nonMaximumSuppression(
  boxes: readonly Box[],
  scores: ArrayLike<number>,
  { iouThreshold = 0.5 }: { readonly iouThreshold?: number } = {},
): number[] {
  checkShare('nonMaximumSuppression', 'iouThreshold', iouThreshold);
  if (boxes.length !== scores.length)
    throw new LibError('value', `nonMaximumSuppression: boxes and scores must be as many, got ${boxes.length} and ${scores.length}.`);
  const order = boxes.map((_, i) => i).sort((a, b) => (scores[b] as number) - (scores[a] as number));
  const kept: number[] = [];
  for (const i of order) {
    if (kept.every((k) => boxIou(boxes[k] as Box, boxes[i] as Box) <= iouThreshold)) kept.push(i);
  }
  return kept;
}

/** What a detector says about one image. */
export interface Detections {
  readonly boxes: readonly Box[];
  readonly scores: ArrayLike<number>;
  /** Default: all of class 0. */
  readonly labels?: ArrayLike<number>;
}
/** What is there. */
export interface TrueBoxes {
  readonly boxes: readonly Box[];
  readonly labels?: ArrayLike<number>;
}

export interface BoxPrecisionOptions {
  /** Overlap from which on a detection is right. Default 0.5. */
  readonly iouThreshold?: number;
  /** How precision over recall is summed: 'area' (default; Pascal VOC 2010 on), or its mean at 11 or 101 recalls (VOC 2007, COCO). */
  readonly interpolation?: 'area' | 11 | 101;
}

interface Scored {
  readonly score: number;
  readonly right: number;
}

/** Detections of one class, each right or wrong: the best first take the true box they overlap most, once. */
function matched(predicted: readonly Detections[], actual: readonly TrueBoxes[], label: number, least: number): Scored[] {
  const all = predicted.flatMap(({ boxes, scores, labels }, image) =>
    boxes.flatMap((box, i) => ((labels?.[i] ?? 0) === label ? [{ image, box, score: scores[i] as number }] : [])),
  );
  const taken = new Set<string>();
  return all
    .sort((a, b) => b.score - a.score)
    .map(({ image, box, score }) => {
      const { boxes = [], labels } = actual[image] ?? {};
      let [best, at] = [-1, -1];
      for (const [i, truth] of boxes.entries()) {
        const overlap = (labels?.[i] ?? 0) === label ? boxIou(box, truth) : -1;
        if (overlap > best) [best, at] = [overlap, i];
      }
      const name = `${image} ${at}`;
      const right = at >= 0 && best >= least && !taken.has(name);
      if (right) taken.add(name);
      return { score, right: Number(right) };
    });
}

/** The area under the precision envelope, or its mean at equally spaced recalls. */
function envelope(found: readonly Scored[], positives: number, interpolation: 'area' | 11 | 101): number {
  const points = rankPoints(
    found.map((f) => f.score),
    found.map((f) => f.right),
  ).map((p) => ({ recall: p.truePositives / positives, precision: p.truePositives / (p.truePositives + p.falsePositives) }));
  let highest = 0;
  const hull = points.map((p) => ({ ...p }));
  for (const p of hull.toReversed()) {
    highest = Math.max(highest, p.precision);
    p.precision = highest;
  }
  if (interpolation === 'area') return hull.reduce((sum, p, i) => sum + (p.recall - (hull[i - 1]?.recall ?? 0)) * p.precision, 0);
  const at = Array.from({ length: interpolation }, (_, i) => i / (interpolation - 1));
  return at.reduce((sum, r) => sum + (hull.find((p) => p.recall >= r - 1e-12)?.precision ?? 0), 0) / interpolation;
}

/**
 * Mean average precision of boxes over the classes that occur, with the value of each class. Detections are matched to true boxes of
 * their image and class, the best score first, each true box once.
 * @example
 * const there: TrueBoxes[] = [{ boxes: [[0, 0, 2, 2]] }];
 * console.assert(boxAveragePrecision([{ boxes: [[0, 0, 2, 2]], scores: [0.9] }], there).mean === 1);
 */
export function boxAveragePrecision(
  predicted: readonly Detections[],
  actual: readonly TrueBoxes[],
  { iouThreshold = 0.5, interpolation = 'area' }: BoxPrecisionOptions = {},
): { readonly mean: number; readonly classes: ReadonlyMap<number, number> } {
  checkShare('boxAveragePrecision', 'iouThreshold', iouThreshold);
  if (predicted.length !== actual.length)
    throw new LibError('value', `boxAveragePrecision: there must be one entry an image, got ${predicted.length} and ${actual.length}.`);
  if (interpolation !== 'area' && interpolation !== 11 && interpolation !== 101)
    throw new LibError('option', `boxAveragePrecision: interpolation must be 'area', 11 or 101, got ${String(interpolation)}.`);
  const counts = new Map<number, number>();
  for (const { boxes, labels } of actual) {
    for (const i of boxes.keys()) counts.set(labels?.[i] ?? 0, (counts.get(labels?.[i] ?? 0) ?? 0) + 1);
  }
  const classes = new Map<number, number>();
  for (const [label, positives] of [...counts].sort(([a], [b]) => a - b)) {
    classes.set(label, envelope(matched(predicted, actual, label, iouThreshold), positives, interpolation));
  }
  const values = [...classes.values()];
  return { mean: values.length === 0 ? Number.NaN : values.reduce((a, b) => a + b, 0) / values.length, classes };
}
