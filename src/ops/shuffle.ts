import { LibError } from '../core/errors.js';
import { formatShape, needWhole } from '../core/shape.js';
import type { Tensor } from '../tensor/tensor.js';
import type { Op } from './define.js';
import { functional } from './fused.js';
import { composed } from './shortRows.js';

/** Rows that exchange channels for places. */

type Factor = Op<[x: Tensor, factor: number]>;

function image(op: string, x: Tensor, factor: number): readonly [channels: number, height: number, width: number] {
  if (x.ndim < 3) throw new LibError('shape', `${op}: the input must be (…, channels, height, width), got shape ${formatShape(x.shape)}.`);
  needWhole(op, 'the factor', factor, 1);
  return [x.sizeAt(-3), x.sizeAt(-2), x.sizeAt(-1)];
}

/** (…, channels · r², height, width) to (…, channels, height · r, width · r): sub-pixel upsampling (Shi et al. 2016). */
export const pixelShuffle: Factor = composed(
  'pixelShuffle',
  (x, r) => {
    const [channels, height, width] = image('pixelShuffle', x, r);
    if (channels % (r * r) !== 0) throw new LibError('shape', `pixelShuffle: channels must be divisible by ${r * r}, got ${channels}.`);
    const lead = x.shape.slice(0, -3);
    const n = lead.length;
    const parts = x.reshape([...lead, channels / (r * r), r, r, height, width]);
    const order = [...lead.map((_, i) => i), n, n + 3, n + 1, n + 4, n + 2];
    return parts.permute(order).reshape([...lead, channels / (r * r), height * r, width * r]);
  },
  (random) => [
    [random([2, 8, 2, 3]), 2],
    [random([9, 2, 2]), 3],
  ],
  { torch: functional('pixel_shuffle').call, errors: (random) => [[[random([1, 6, 2, 2]), 2], 'divisible by 4']] },
);
/** (…, channels, height · r, width · r) to (…, channels · r², height, width): undoes {@link pixelShuffle}. */
export const pixelUnshuffle: Factor = composed(
  'pixelUnshuffle',
  (x, r) => {
    const [channels, height, width] = image('pixelUnshuffle', x, r);
    if (height % r !== 0 || width % r !== 0)
      throw new LibError('shape', `pixelUnshuffle: height and width must be divisible by ${r}, got ${height} and ${width}.`);
    const lead = x.shape.slice(0, -3);
    const n = lead.length;
    const parts = x.reshape([...lead, channels, height / r, r, width / r, r]);
    const order = [...lead.map((_, i) => i), n, n + 2, n + 4, n + 1, n + 3];
    return parts.permute(order).reshape([...lead, channels * r * r, height / r, width / r]);
  },
  (random) => [[random([2, 2, 4, 6]), 2]],
  { torch: functional('pixel_unshuffle').call, errors: (random) => [[[random([1, 2, 3, 4]), 2], 'divisible by 2']] },
);
/** Deals the channels of (batch, channels, …) out to `groups` in turn (Zhang et al. 2018). */
export const channelShuffle: Factor = composed(
  'channelShuffle',
  (x, groups) => {
    if (x.ndim < 3)
      throw new LibError('shape', `channelShuffle: the input must be (batch, channels, …), got shape ${formatShape(x.shape)}.`);
    const [batch = 1, channels = 1, ...places] = x.shape;
    if (!Number.isInteger(groups) || groups < 1 || channels % groups !== 0)
      throw new LibError('value', `channelShuffle: groups must divide the ${channels} channels, got ${groups}.`);
    return x
      .reshape([batch, groups, channels / groups, ...places])
      .transpose(1, 2)
      .reshape(x.shape);
  },
  (random) => [[random([2, 6, 2, 2]), 3]],
  { torch: functional('channel_shuffle').call, errors: (random) => [[[random([1, 6, 2]), 4], 'must divide']] },
);
