import { LibError } from '../core/errors.js';
import { formatShape } from '../core/shape.js';
import type { PadOptions } from '../ops/pad.js';
import type { Tensor } from '../tensor/tensor.js';
import { Module } from './module.js';

/** One width for all sides, or [before, after] of the last dim, then of the one before it, and so on. Negative widths cut. */
export type Padding = number | readonly number[];

abstract class Pad extends Module {
  protected abstract readonly rank: number;
  protected abstract readonly mode: NonNullable<PadOptions['mode']>;
  constructor(readonly padding: Padding) {
    super();
  }
  protected value(): number {
    return 0;
  }
  override forward(x: Tensor): Tensor {
    const { padding, rank, mode } = this;
    const pads = typeof padding === 'number' ? new Array<number>(2 * rank).fill(padding) : padding;
    if (pads.length !== 2 * rank) {
      const rule = `${this.constructor.name}: padding must be one number or ${2 * rank}`;
      throw new LibError('value', `${rule}, got [${pads.join(', ')}].`);
    }
    if (mode !== 'constant' && x.ndim !== rank + 1 && x.ndim !== rank + 2) {
      const rule = `${this.constructor.name}: the input must have ${rank + 1} or ${rank + 2} dimensions`;
      throw new LibError('shape', `${rule}, got shape ${formatShape(x.shape)}.`);
    }
    return x.pad(pads, { mode, ...(mode === 'constant' && { value: this.value() }) });
  }
  override extraRepr(): string {
    return String(this.padding);
  }
}
abstract class ConstantPad extends Pad {
  protected override readonly mode = 'constant';
  constructor(
    padding: Padding,
    readonly fill: number,
  ) {
    super(padding);
  }
  protected override value(): number {
    return this.fill;
  }
}

/** Widens (…, length) with one value (torch.nn.ConstantPad1d). */
export class ConstantPad1d extends ConstantPad {
  protected override readonly rank = 1;
}
/** Widens (…, length) with zeros (torch.nn.ZeroPad1d). */
export class ZeroPad1d extends Pad {
  protected override readonly rank = 1;
  protected override readonly mode = 'constant';
}
/** Widens (…, length) with its mirror image, the edge not repeated (torch.nn.ReflectionPad1d). */
export class ReflectionPad1d extends Pad {
  protected override readonly rank = 1;
  protected override readonly mode = 'reflect';
}
/** Widens (…, length) with its edges (torch.nn.ReplicationPad1d). */
export class ReplicationPad1d extends Pad {
  protected override readonly rank = 1;
  protected override readonly mode = 'replicate';
}
/** Widens (…, length) with what is at the other end (torch.nn.CircularPad1d). */
export class CircularPad1d extends Pad {
  protected override readonly rank = 1;
  protected override readonly mode = 'circular';
}

/** Widens (…, height, width) with one value (torch.nn.ConstantPad2d). */
export class ConstantPad2d extends ConstantPad {
  protected override readonly rank = 2;
}
/** Widens (…, height, width) with zeros (torch.nn.ZeroPad2d). */
export class ZeroPad2d extends Pad {
  protected override readonly rank = 2;
  protected override readonly mode = 'constant';
}
/** Widens (…, height, width) with its mirror image, the edge not repeated (torch.nn.ReflectionPad2d). */
export class ReflectionPad2d extends Pad {
  protected override readonly rank = 2;
  protected override readonly mode = 'reflect';
}
/** Widens (…, height, width) with its edges (torch.nn.ReplicationPad2d). */
export class ReplicationPad2d extends Pad {
  protected override readonly rank = 2;
  protected override readonly mode = 'replicate';
}
/** Widens (…, height, width) with what is at the other end (torch.nn.CircularPad2d). */
export class CircularPad2d extends Pad {
  protected override readonly rank = 2;
  protected override readonly mode = 'circular';
}

/** Widens (…, depth, height, width) with one value (torch.nn.ConstantPad3d). */
export class ConstantPad3d extends ConstantPad {
  protected override readonly rank = 3;
}
/** Widens (…, depth, height, width) with zeros (torch.nn.ZeroPad3d). */
export class ZeroPad3d extends Pad {
  protected override readonly rank = 3;
  protected override readonly mode = 'constant';
}
/** Widens (…, depth, height, width) with its mirror image, the edge not repeated (torch.nn.ReflectionPad3d). */
export class ReflectionPad3d extends Pad {
  protected override readonly rank = 3;
  protected override readonly mode = 'reflect';
}
/** Widens (…, depth, height, width) with its edges (torch.nn.ReplicationPad3d). */
export class ReplicationPad3d extends Pad {
  protected override readonly rank = 3;
  protected override readonly mode = 'replicate';
}
/** Widens (…, depth, height, width) with what is at the other end (torch.nn.CircularPad3d). */
export class CircularPad3d extends Pad {
  protected override readonly rank = 3;
  protected override readonly mode = 'circular';
}
