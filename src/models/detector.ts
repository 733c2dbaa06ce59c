import { type Shapes, shapes } from '../data/synthetic.js';
import { type Box, boxIou, nonMaximumSuppression } from '../metrics/boxes.js';
import { BatchNorm2d, Conv2d, DetectionHead, type DetectionOutput, type DetectionTargets, detectionLoss, Module } from '../nn/index.js';
import { noGrad } from '../tensor/autograd.js';
import { tensor } from '../tensor/creation.js';
import type { Tensor } from '../tensor/tensor.js';
import { supervisedTask, type TinyTask } from './task.js';

/** Boxes are in pixels. */
export interface Detection {
  readonly box: Box;
  readonly kind: number;
  readonly score: number;
}

/** Non-maximum suppression within each kind, the best first: none stays that overlaps a better one by more than `limit`. */
export function nms(found: readonly Detection[], limit: number = 0.5): Detection[] {
  const kinds = [...new Set(found.map(({ kind }) => kind))];
  const kept = kinds.flatMap((kind) => {
    const own = found.filter((one) => one.kind === kind);
    const scores = own.map(({ score }) => score);
    const boxes = own.map(({ box }) => box);
    return nonMaximumSuppression(boxes, scores, { iouThreshold: limit }).map((i) => own[i] as Detection);
  });
  return kept.sort((a, b) => b.score - a.score);
}

export interface DetectorOptions {
  /** Default 1. */
  readonly inChannels?: number;
  /** Default 16. */
  readonly width?: number;
  /** Sides of the square anchors at each place, in pixels. Default [4, 7]. */
  readonly anchorSizes?: readonly number[];
}

/**
 * A one-stage detector with focal loss (RetinaNet; Lin et al. 2017): pictures (batch, channels, size, size) to a class logit and a box for
 * each anchor, one map of stride 4. Everything is background at first (prior bias).
 */
export class Detector extends Module<readonly [x: Tensor], DetectionOutput> {
  readonly convs: readonly Conv2d[];
  readonly norms: readonly BatchNorm2d[];
  readonly head: DetectionHead;
  readonly anchorSizes: readonly number[];

  constructor(
    readonly classes: number,
    { inChannels = 1, width = 16, anchorSizes = [4, 7] }: DetectorOptions = {},
  ) {
    super();
    const channels = [inChannels, width, width, 2 * width];
    const strides = [1, 2, 2];
    this.convs = strides.map(
      (stride, i) => new Conv2d(channels[i] as number, channels[i + 1] as number, 3, { stride, padding: 1, bias: false }),
    );
    this.norms = strides.map((_, i) => new BatchNorm2d(channels[i + 1] as number));
    this.head = new DetectionHead(2 * width, classes, { anchors: anchorSizes.length });
    this.anchorSizes = anchorSizes;
  }
  override forward(x: Tensor): DetectionOutput {
    let h = x;
    for (const [i, conv] of this.convs.entries()) h = (this.norms[i] as BatchNorm2d).forward(conv.forward(h)).relu();
    return this.head.forward(h);
  }

  /** The anchors of a picture of `size` pixels, in the order of the head's rows. */
  anchors(size: number): Box[] {
    const places = Array.from({ length: size / 4 }, (_, i) => 4 * i + 2);
    return places.flatMap((y) => places.flatMap((x) => this.anchorSizes.map((s): Box => [x - s / 2, y - s / 2, x + s / 2, y + s / 2])));
  }

  /** What anchors should say: those that overlap an object by half (or best) are on it, those below 0.4 on the ground, others are left out. */
  targets(size: number, objects: Shapes['objects']): DetectionTargets {
    const anchors = this.anchors(size);
    const rows = objects.map((list) => matchAnchors(anchors, list));
    const oneHot = (kind: number): number[] => Array.from({ length: this.classes }, (_, c) => (c === kind ? 1 : 0));
    return {
      matched: tensor(rows.map((row) => row.map(({ state }) => state))),
      classes: tensor(rows.map((row) => row.map(({ kind }) => oneHot(kind)))),
      boxes: tensor(rows.map((row) => row.map(({ offsets }) => [...offsets]))),
    };
  }

  /** The objects in pictures, best first, after non-maximum suppression. */
  detect(x: Tensor, { threshold = 0.5, limit = 0.5 }: { readonly threshold?: number; readonly limit?: number } = {}): Detection[][] {
    const anchors = this.anchors(x.sizeAt(2));
    const { scores, boxes } = noGrad(() => this.head.predict(this.forward(x)));
    const [score, offset] = [scores.toArray(), boxes.toArray()];
    return Array.from({ length: x.sizeAt(0) }, (_, n) => {
      const found = anchors.flatMap((anchor, a): Detection[] => {
        const row = n * anchors.length + a;
        const box = decodeBox(anchor, Array.from(offset.slice(4 * row, 4 * row + 4), Number));
        return Array.from({ length: this.classes }, (_, kind) => ({ box, kind, score: Number(score[row * this.classes + kind]) }));
      });
      return nms(
        found.filter((one) => one.score >= threshold),
        limit,
      );
    });
  }
}

/** A box as its center's distance from the anchor's, in anchors, and the logarithms of the ratios of the sides. */
export function encodeBox(anchor: Box, box: Box): [number, number, number, number] {
  const [a, b] = [centered(anchor), centered(box)];
  return [(b.x - a.x) / a.width, (b.y - a.y) / a.height, Math.log(b.width / a.width), Math.log(b.height / a.height)];
}
export function decodeBox(anchor: Box, offsets: readonly number[]): Box {
  const { x, y, width, height } = centered(anchor);
  const [dx, dy, dw, dh] = offsets as readonly [number, number, number, number];
  const [cx, cy, w, h] = [x + dx * width, y + dy * height, width * Math.exp(dw), height * Math.exp(dh)];
  return [cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2];
}
const centered = ([l, t, r, b]: Box): { readonly x: number; readonly y: number; readonly width: number; readonly height: number } => ({
  x: (l + r) / 2,
  y: (t + b) / 2,
  width: r - l,
  height: b - t,
});

interface AnchorTarget {
  readonly state: -1 | 0 | 1;
  readonly kind: number;
  readonly offsets: readonly number[];
}
function matchAnchors(anchors: readonly Box[], objects: Shapes['objects'][number]): AnchorTarget[] {
  const ious = anchors.map((anchor) => objects.map(({ box }) => boxIou(anchor, box)));
  const best = objects.map((_, o) => Math.max(...ious.map((row) => row[o] as number)));
  return anchors.map((anchor, a) => {
    const row = ious[a] as number[];
    const most = Math.max(0, ...row);
    const o = row.indexOf(most);
    const object = objects[o];
    if (object === undefined || most < 0.4) {
      // An object that no anchor fits well still has its best one.
      const forced = objects.findIndex((_, i) => (row[i] as number) > 0 && row[i] === best[i]);
      if (forced < 0) return { state: 0, kind: -1, offsets: [0, 0, 0, 0] };
      const { box, kind } = objects[forced] as (typeof objects)[number];
      return { state: 1, kind, offsets: encodeBox(anchor, box) };
    }
    const on = most >= 0.5 || most === best[o];
    return { state: on ? 1 : -1, kind: on ? object.kind : -1, offsets: on ? encodeBox(anchor, object.box) : [0, 0, 0, 0] };
  });
}

export const detectorTiny: TinyTask<Detector> = supervisedTask({
  id: 'ARC-25',
  name: 'RetinaNet-like detector',
  build: () => new Detector(2),
  batch: (step) => {
    const { x, objects } = shapes({ samples: 32, size: 16, seed: step + 1 });
    const { matched, classes, boxes } = new Detector(2).targets(16, objects);
    return [x, matched, classes, boxes] as const;
  },
  loss: (model, x: Tensor, matched: Tensor, classes: Tensor, boxes: Tensor) => {
    const output = model.forward(x);
    return detectionLoss(output.scores, output.boxes, { matched, classes, boxes }, { beta: 0.1 }).loss;
  },
  steps: 150,
  lr: 0.02,
});
