import { LibError } from '../core/errors.js';
import { formatShape } from '../core/shape.js';
import { stack } from '../ops/join.js';
import { type RotaryOptions, rotaryEmbedding } from '../ops/positions.js';
import { arange, empty, getDefaultDtype, type TensorOptions, tensor } from '../tensor/creation.js';
import type { Tensor } from '../tensor/tensor.js';
import { normal_ } from './init.js';
import { checkSizes } from './linear.js';
import { Buffer, Module, Parameter } from './module.js';

/** Sines and cosines of the position at wavelengths from 2π to 10000 · 2π (Vaswani et al. 2017): (length, width), sines at even places. */
export function sinusoidalPositions(length: number, width: number, options: Omit<TensorOptions, 'requiresGrad'> = {}): Tensor {
  checkSizes('sinusoidalPositions', { length, width });
  const { dtype = getDefaultDtype(), device } = options;
  const place = { dtype: 'float64', ...(device && { device }) } as const;
  const rates = arange(0, width, { step: 2, ...place })
    .mul(-Math.log(10000) / width)
    .exp();
  const angles = arange(length, place).unsqueeze(1).mul(rates);
  return stack([angles.sin(), angles.cos()], { dim: 2 })
    .reshape([length, 2 * rates.size])
    .narrow(1, 0, width)
    .to(dtype)
    .contiguous();
}

/** The part of a table (positions, width) that belongs to x (…, time, width). */
function rowsFor(op: string, table: Tensor, x: Tensor, offset: number): Tensor {
  const [length, width] = table.dims(2);
  if (x.ndim < 2 || x.sizeAt(-1) !== width) {
    throw new LibError('shape', `${op}: the input must be (…, time, ${width}), got shape ${formatShape(x.shape)}.`);
  }
  const end = offset + x.sizeAt(-2);
  if (offset < 0 || end > length) {
    throw new LibError('value', `${op}: positions must be below ${length}, got ${offset}..${end - 1}.`, 'make the encoding longer.');
  }
  return table.narrow(0, offset, end - offset);
}

export interface PositionOptions {
  /** The position of the first step. Default 0. */
  readonly offset?: number;
}

/** Adds {@link sinusoidalPositions} to (…, time, width). Nothing is learned. */
export class SinusoidalEncoding extends Module<readonly [x: Tensor, options?: PositionOptions]> {
  readonly table: Buffer;
  constructor(
    readonly width: number,
    readonly maxLength: number = 5000,
  ) {
    super();
    this.table = new Buffer(sinusoidalPositions(maxLength, width), { persistent: false });
  }
  override forward(x: Tensor, { offset = 0 }: PositionOptions = {}): Tensor {
    return x.add(rowsFor('SinusoidalEncoding', this.table, x, offset).to(x.dtype));
  }
}

/** Adds a learned vector for each position to (…, time, width). Drawn normal with deviation 0.02, as GPT-2's. */
export class LearnedEncoding extends Module<readonly [x: Tensor, options?: PositionOptions]> {
  readonly weight: Parameter;
  constructor(
    readonly maxLength: number,
    readonly width: number,
  ) {
    super();
    checkSizes('LearnedEncoding', { maxLength, width });
    this.weight = new Parameter(normal_(empty([maxLength, width]), 0, 0.02));
  }
  override forward(x: Tensor, { offset = 0 }: PositionOptions = {}): Tensor {
    return x.add(rowsFor('LearnedEncoding', this.weight, x, offset));
  }
}

/** Turns pairs of queries or keys (…, time, width) by their position: see {@link rotaryEmbedding}. Nothing is learned. */
export class RotaryEncoding extends Module<readonly [x: Tensor, options?: PositionOptions]> {
  readonly base: number;
  readonly interleaved: boolean;
  constructor({ base = 10000, interleaved = false }: Omit<RotaryOptions, 'offset'> = {}) {
    super();
    this.base = base;
    this.interleaved = interleaved;
  }
  override forward(x: Tensor, { offset = 0 }: PositionOptions = {}): Tensor {
    return rotaryEmbedding(x, { base: this.base, interleaved: this.interleaved, offset });
  }
}

/** ALiBi's slope of each head: 2^(-8/n), 2^(-16/n), … for n a power of two, else filled up from the series of 2n (Press et al. 2022). */
export function alibiSlopes(numHeads: number): number[] {
  checkSizes('alibiSlopes', { numHeads });
  const whole = 2 ** Math.floor(Math.log2(numHeads));
  const series = (n: number): number[] => Array.from({ length: n }, (_, i) => 2 ** ((-8 * (i + 1)) / n));
  const between = series(2 * whole).filter((_, i) => i % 2 === 0);
  return [...series(whole), ...between.slice(0, numHeads - whole)];
}

export interface AlibiOptions extends Omit<TensorOptions, 'requiresGrad'> {
  /** Hide what lies ahead too (-∞), else it counts by its distance. Default false. */
  readonly causal?: boolean;
}

/**
 * Attention with linear biases (Press et al. 2022), to be added to scores (batch, heads, queries, keys): -slope · distance, (heads,
 * queries, keys). The last query stands at the last key.
 */
export function alibiBias(numHeads: number, queries: number, keys: number = queries, options: AlibiOptions = {}): Tensor {
  checkSizes('alibiBias', { queries, keys });
  const { causal = false, ...rest } = options;
  const slopes = tensor(alibiSlopes(numHeads), { shape: [numHeads, 1, 1], ...rest });
  const place = { dtype: slopes.dtype, device: slopes.device };
  const distance = arange(keys - queries, keys, place)
    .unsqueeze(1)
    .sub(arange(keys, place)); // (queries, keys)
  const bias = slopes.mul(distance.abs()).neg();
  return causal ? bias.maskedFill(distance.lt(0), Number.NEGATIVE_INFINITY) : bias;
}
