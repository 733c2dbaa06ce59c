import { isFloat } from '../core/dtype.js';
import { LibError } from '../core/errors.js';
import { formatShape, needWhole } from '../core/shape.js';
import { isReadable } from '../tensor/capturing.js';
import { ones } from '../tensor/creation.js';
import type { Tensor } from '../tensor/tensor.js';
import { fold } from './columns.js';
import { defineComposite, type Op, type Random } from './define.js';
import { fft, irfft, rfft } from './fourier.js';
import { stack } from './join.js';
import type { PadOptions } from './pad.js';

/** Spectra of short pieces of a signal. Complex numbers are pairs, as in {@link fft}. */

interface Framing {
  /** Samples between the beginnings of neighbouring pieces. Default: a quarter of nFft, rounded down. */
  readonly hopLength?: number;
  /** Default: nFft. */
  readonly winLength?: number;
  /** Weights of the samples of a piece, (winLength,), in the middle of nFft. Default: ones. */
  readonly window?: Tensor | null;
  /** Pieces have their middles, not their beginnings, at multiples of hopLength: the signal is padded by half a piece. Default true. */
  readonly center?: boolean;
  /** Spectra are divided by the root of nFft. Default false. */
  readonly normalized?: boolean;
  /** Half of the spectrum, which says all of real signals. Default true; of istft, which reads no more, unless there are nFft frequencies. */
  readonly onesided?: boolean;
}
export interface StftOptions extends Framing {
  /** Default 'reflect'. */
  readonly padMode?: PadOptions['mode'];
  /** Without `center`: pieces begin where windows do, not half of nFft - winLength earlier. Default false. */
  readonly alignToWindow?: boolean;
  /** As PyTorch wants it said; pairs are given in either case. */
  readonly returnComplex?: boolean;
}
export interface IstftOptions extends Framing {
  /** Samples of the result. Default: as many as the pieces hold. */
  readonly length?: number;
}

interface Pieces {
  readonly hop: number;
  /** (nFft,) */
  readonly window: Tensor;
  /** Zeros before and after the window. */
  readonly margins: readonly [number, number];
}
function piecesOf(op: string, like: Tensor, nFft: number, options: Framing): Pieces {
  const { hopLength: hop = Math.floor(nFft / 4), winLength: width = nFft, window = null } = options;
  const right = [nFft, hop, width].every((n) => Number.isInteger(n) && n > 0) && width <= nFft;
  if (!right)
    throw new LibError(
      'value',
      `${op}: nFft, hopLength and winLength <= nFft must be positive integers, got ${nFft}, ${hop} and ${width}.`,
    );
  if (window && `${window.shape}` !== `${width}`)
    throw new LibError('shape', `${op}: the window must have shape (${width},), got ${formatShape(window.shape)}.`);
  const before = Math.floor((nFft - width) / 2);
  const margins = [before, nFft - width - before] as const;
  const given = window ?? ones([width], { dtype: like.dtype, device: like.device });
  return { hop, window: width === nFft ? given : given.pad(margins), margins };
}
/** What `center` pads with at either end. */
const halfOf = (nFft: number, { center = true }: Framing): number => (center ? Math.floor(nFft / 2) : 0);

const weights = (random: Random, n: number): Tensor => random([n], { low: 0.5, high: 1 });

/**
 * The spectra of overlapping pieces of a real signal, (time,) or (batch, time): pairs (…, nFft / 2 + 1 frequencies, pieces, 2)
 * (PyTorch: torch.stft).
 * @example stft(randn([400]), 16, { window: hannWindow(16) }).shape // [9, 101, 2]
 */
export const stft: Op<[x: Tensor, nFft: number, options?: StftOptions]> = defineComposite({
  name: 'stft',
  compose(x: Tensor, nFft: number, options: StftOptions = {}) {
    const { padMode = 'reflect', normalized = false, onesided = true, alignToWindow = false, center = true } = options;
    const { hop, window, margins } = piecesOf('stft', x, nFft, options);
    if ((x.ndim !== 1 && x.ndim !== 2) || !isFloat(x.dtype))
      throw new LibError('shape', `stft: the signal must be floats (time,) or (batch, time), got ${x.dtype} ${formatShape(x.shape)}.`);
    if (center && alignToWindow) throw new LibError('option', 'stft: alignToWindow is for center: false, got center: true.');
    const edge = halfOf(nFft, options);
    const whole = x.reshape([1, -1, x.sizeAt(-1)]);
    const padded = center ? whole.pad([edge, edge], { mode: padMode }) : alignToWindow ? whole.pad(margins) : whole;
    if (padded.sizeAt(-1) < nFft)
      throw new LibError('shape', `stft: the signal must have at least nFft samples, got ${padded.sizeAt(-1)} for ${nFft}.`);
    const pieces = padded.squeeze({ dim: 0 }).unfold(-1, nFft, hop).mul(window); // (batch, pieces, nFft)
    const norm = normalized ? 'ortho' : 'backward';
    const spectra = onesided ? rfft(pieces, { norm }) : fft(stack([pieces, pieces.mul(0)], { dim: -1 }), { norm });
    const y = spectra.transpose(1, 2);
    return x.ndim === 1 ? y.squeeze({ dim: 0 }) : y;
  },
  *samples(random): Iterable<[x: Tensor, nFft: number, options?: StftOptions]> {
    yield [random([30]), 8];
    yield [random([2, 24]), 8, { hopLength: 3, winLength: 6, window: weights(random, 6), normalized: true }];
    yield [random([20]), 7, { center: false, onesided: false }];
    yield [random([20]), 8, { winLength: 4, center: false, alignToWindow: true }];
    yield [random([12]), 4, { padMode: 'constant' }];
  },
  *errors(random): Iterable<readonly [[x: Tensor, nFft: number, options?: StftOptions], string]> {
    yield [[random([20]), 0], 'must be positive integers, got 0'];
    yield [[random([20]), 8, { winLength: 9 }], 'winLength <= nFft'];
    yield [[random([20]), 8, { window: random([4]) }], 'the window must have shape (8,)'];
    yield [[random([2, 2, 20]), 8], 'must be floats (time,) or (batch, time)'];
    yield [[random([6]), 8, { center: false }], 'at least nFft samples, got 6'];
    yield [[random([20]), 8, { alignToWindow: true }], 'alignToWindow is for center: false'];
  },
  torch: { call: 'torch.view_as_real(torch.stft(a[0], a[1], return_complex=True, **o))' },
});

/** Pieces (batch, pieces, nFft) put where they were and added: (batch, samples). */
function overlapped(pieces: Tensor, hop: number): Tensor {
  const [batch, count, nFft] = pieces.dims(3) as [number, number, number];
  const samples = nFft + hop * (count - 1);
  return fold(pieces.transpose(1, 2), [1, samples], [1, nFft], { stride: [1, hop] }).reshape([batch, samples]);
}

/**
 * The signal of which these are the spectra, pairs (…, frequencies, pieces, 2): the inverse of {@link stft}, in the sense of least squares
 * where pieces disagree (Griffin & Lim 1984; PyTorch: torch.istft).
 */
export const istft: Op<[spectra: Tensor, nFft: number, options?: IstftOptions]> = defineComposite({
  name: 'istft',
  compose(spectra: Tensor, nFft: number, options: IstftOptions = {}) {
    const { normalized = false, onesided = spectra.ndim < 3 || spectra.sizeAt(-3) !== nFft, length } = options;
    const bins = onesided ? Math.floor(nFft / 2) + 1 : nFft;
    if ((spectra.ndim !== 3 && spectra.ndim !== 4) || spectra.sizeAt(-1) !== 2 || spectra.sizeAt(-3) !== bins || spectra.size === 0) {
      const facts = `${formatShape(spectra.shape)} for nFft ${nFft}`;
      throw new LibError('shape', `istft: spectra must be pairs (batch?, ${bins} frequencies, pieces, 2), got ${facts}.`);
    }
    if (length !== undefined) needWhole('istft', 'length', length, 1);
    const { hop, window } = piecesOf('istft', spectra, nFft, options);
    const all = (spectra.ndim === 3 ? spectra.unsqueeze(0) : spectra).transpose(1, 2); // (batch, pieces, frequencies, 2)
    const norm = normalized ? 'ortho' : 'backward';
    const pieces = irfft(all.narrow(2, 0, Math.floor(nFft / 2) + 1), { n: nFft, norm });
    const sum = overlapped(pieces.mul(window), hop);
    const weight = overlapped(window.mul(window).expand([1, pieces.sizeAt(1), nFft]), hop);
    const start = halfOf(nFft, options);
    const end = length === undefined ? sum.sizeAt(1) - start : Math.min(start + length, sum.sizeAt(1));
    const [kept, divisor] = [sum, weight].map((t) => t.narrow(1, start, Math.max(0, end - start))) as [Tensor, Tensor];
    if (isReadable(divisor) && divisor.size > 0 && divisor.detach().amin().itemNow() < 1e-11)
      throw new LibError('value', 'istft: every sample must be under a window, got squared windows that add up to 0.');
    const y = kept.div(divisor);
    const filled = length === undefined || y.sizeAt(1) >= length ? y : y.pad([0, length - y.sizeAt(1)]);
    return spectra.ndim === 3 ? filled.squeeze({ dim: 0 }) : filled;
  },
  *samples(random): Iterable<[spectra: Tensor, nFft: number, options?: IstftOptions]> {
    yield [random([5, 6, 2]), 8];
    yield [random([2, 5, 5, 2]), 8, { hopLength: 3, winLength: 6, window: weights(random, 6), normalized: true }];
    yield [random([7, 4, 2]), 7, { onesided: false, length: 9 }];
    yield [random([3, 5, 2]), 4, { center: false }];
  },
  *errors(random): Iterable<readonly [[spectra: Tensor, nFft: number, options?: IstftOptions], string]> {
    yield [[random([4, 6, 2]), 8], 'pairs (batch?, 5 frequencies, pieces, 2)'];
    yield [[random([5, 6, 2]), 8, { hopLength: 0 }], 'must be positive integers'];
    yield [[random([5, 6, 2]), 8, { length: 0 }], 'whole number of at least 1'];
    yield [[random([5, 6, 2]), 8, { window: random([8]).mul(0) }], 'every sample must be under a window'];
  },
  torch: { call: 'torch.istft(torch.view_as_complex(a[0].contiguous()), a[1], **o)' },
});

/** The imaginary parts of pairs (…, 2): (…). */
export const imag: Op<[z: Tensor]> = defineComposite({
  name: 'imag',
  compose(z: Tensor) {
    if (z.ndim === 0 || z.sizeAt(-1) !== 2)
      throw new LibError('shape', `imag: complex numbers must be pairs in a last dim of size 2, got shape ${formatShape(z.shape)}.`);
    return z.select(-1, 1);
  },
  *samples(random): Iterable<[z: Tensor]> {
    yield [random([3, 2])];
    yield [random([2])];
  },
  *errors(random): Iterable<readonly [[z: Tensor], string]> {
    yield [[random([3])], 'pairs in a last dim of size 2'];
  },
  torch: { call: 'torch.view_as_complex(a[0]).imag' },
});
