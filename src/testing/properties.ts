import { type DType, isFloat } from '../core/dtype.js';
import { LibError } from '../core/errors.js';
import { sameShape } from '../core/shape.js';
import type { AnyRow } from '../ops/define.js';
import type { Backend } from '../program/backend.js';
import { grad, noGrad } from '../tensor/autograd.js';
import { tensor } from '../tensor/creation.js';
import { withDevice } from '../tensor/device.js';
import { jvp } from '../tensor/forward.js';
import { gradcheck } from '../tensor/gradcheck.js';
import { manualSeed } from '../tensor/random.js';
import type { Tensor } from '../tensor/tensor.js';
import { expectClose, expectTensorsClose, functionalWeights, type Tolerance } from './compare.js';
import { castFloats, mapTensors, seededRandom, tensorsIn } from './samples.js';
import type { AnyOp } from './table.js';

/**
 * Properties that every row must have, each a function that throws where it does not hold. The project's suites run them over the
 * whole table; a user's op made by `defineOp` is proved the same way.
 */
export type Arguments = readonly unknown[];
type Call = (...args: Arguments) => unknown;

/** The op on its samples, drawing the same random numbers in every call. */
export const callOf =
  (op: AnyOp): Call =>
  (...args) => {
    manualSeed(17);
    return (op as unknown as Call)(...(op.row.prepare?.(...args) ?? args));
  };

/** The row's sample calls, made on the current default device. */
export const samplesOf = (row: AnyRow): Arguments[] => [...row.samples(seededRandom(7))];

/** How far float32 results may be from the oracle's: sums of K terms may err by sqrt(K) more. */
export function scaled({ rtol, atol }: Tolerance, terms: number): Tolerance {
  const factor = Math.max(1, Math.sqrt(terms));
  return { rtol: rtol * factor, atol: atol * factor };
}

/** How many terms a result may sum: one for pointwise ops, else at most as many as the largest input has. */
export const termsOf = (op: AnyOp, args: Arguments): number => ('inPlace' in op ? 1 : Math.max(1, ...tensorsIn(args).map((t) => t.size)));

export function failed(name: string, rule: string, facts: unknown): LibError {
  return new LibError('value', `${name}: ${rule}, got ${facts}.`);
}

/** A row proves itself by samples. */
export function hasSamples({ row }: AnyOp): void {
  if (samplesOf(row).length === 0) throw failed(row.name, 'a row must have samples', 'none');
}

/** Per sample, the gradient of the weighted sum of all results by each floating-point input; null where there is none. */
export function sampleGradients(op: AnyOp, dtype: DType): (ArrayLike<number> | null)[][] {
  const call = callOf(op);
  return samplesOf(op.row).map((args) => {
    const { leaves, rebuild } = leavesOf(args, dtype);
    for (const t of leaves) t.requiresGrad_();
    const ys = tensorsIn(call(...rebuild(leaves))).filter((y) => isFloat(y.dtype));
    const loss = weightedSum(ys);
    if (loss === null) return [];
    return grad(loss, leaves, { allowUnused: true }).map((g) => g?.toArray() ?? null);
  });
}

/**
 * Per sample in float64, the gradient of the weighted sum of its first gradients by each input; null where there is none. First
 * gradients for which `counts` is false are left out of the sum.
 */
export function sampleSecondGradients(
  op: AnyOp,
  counts: (sample: number, input: number) => boolean = () => true,
): (ArrayLike<number> | null)[][] {
  const call = callOf(op);
  return samplesOf(op.row).map((args, sample) => {
    const { leaves, rebuild } = leavesOf(args, 'float64');
    for (const t of leaves) t.requiresGrad_();
    const loss = weightedSum(tensorsIn(call(...rebuild(leaves))).filter((y) => isFloat(y.dtype)));
    if (loss === null) return [];
    const first = grad(loss, leaves, { createGraph: true, allowUnused: true });
    const slopes = weightedSum(
      first.map((g, k) => (counts(sample, k) ? g : null)),
      100,
    );
    return slopes === null ? [] : grad(slopes, leaves, { allowUnused: true }).map((g) => g?.toArray() ?? null);
  });
}

/** Σ wₖ · yₖ over all results that carry gradient; null when none does. */
function weightedSum(ys: readonly (Tensor | null)[], salt = 0): Tensor | null {
  const terms = ys.map((y, k) => (y?.requiresGrad ? y.mul(weights(y, salt + k, y.dtype)).sum() : null)).filter((term) => term !== null);
  return terms.length === 0 ? null : terms.reduce((a, b) => a.add(b));
}

/** Copies of a sample's float tensors as leaves of one type, in the order in which they appear. */
function leavesOf(args: Arguments, dtype: DType = 'float64'): { readonly leaves: Tensor[]; rebuild(inputs: readonly Tensor[]): Arguments } {
  const copies = castFloats(args, dtype) as Arguments;
  const leaves = tensorsIn(copies).filter((t) => t.dtype === dtype);
  const position = new Map(leaves.map((t, i) => [t, i]));
  const rebuild = (inputs: readonly Tensor[]): Arguments => mapTensors(copies, (t) => inputs[position.get(t) ?? -1] ?? t) as Arguments;
  return { leaves, rebuild };
}

/** A sample as a function of its float64 leaves, when a gradient flows from a result to one of them. */
interface Differentiable {
  readonly leaves: Tensor[];
  readonly f: (...inputs: Tensor[]) => Tensor[];
  readonly what: string;
}

function* differentiableSamples(op: AnyOp): Generator<Differentiable> {
  const call = callOf(op);
  for (const [i, args] of samplesOf(op.row).entries()) {
    const { leaves, rebuild } = leavesOf(args);
    if (leaves.every((t) => t.size === 0)) continue;
    for (const t of leaves) t.requiresGrad_();
    const f = (...inputs: Tensor[]): Tensor[] => tensorsIn(call(...rebuild(inputs)));
    if (f(...leaves).some((y) => y.requiresGrad && y.size > 0)) yield { leaves, f, what: `${op.row.name} sample ${i}` };
  }
}

/**
 * Gradients equal central differences, and gradients of gradients do too. Samples of rows with kinks may sit on one, but not all.
 * Results with infinities and NaN have no differences. Gives the number of samples that agree.
 */
export function gradientsAgree(op: AnyOp, { second = true }: { readonly second?: boolean } = {}): number {
  const kinks = op.row.kinks === true;
  let agreed = 0;
  let wrong: LibError | null = null;
  for (const { leaves, f, what } of differentiableSamples(op)) {
    if (!f(...leaves).every((y) => y.toArray().every(Number.isFinite))) continue;
    const { passed, errors } = gradcheck(f, leaves, { second: second && !kinks });
    if (passed) agreed++;
    else
      wrong ??= failed(
        what,
        'gradients must agree with differences',
        `relative errors ${errors.map((e) => e.toExponential(1)).join(', ')}`,
      );
  }
  if (wrong !== null && !(kinks && agreed > 0)) throw wrong;
  return agreed;
}

/** Forward and reverse mode are transposes of each other: ⟨v, J u⟩ = ⟨Jᵀ v, u⟩. Gives the number of results that were checked. */
export function modesAgree(op: AnyOp): number {
  let checked = 0;
  for (const { leaves, f, what } of differentiableSamples(op)) {
    const plain = leaves.map((x) => x.detach());
    const us = leaves.map((x, k) => weights(x, 2 + k, 'float64'));
    f(...leaves).forEach((_, k) => {
      const y = f(...leaves)[k] as Tensor; // a graph of its own: it is walked once
      if (!y.requiresGrad || y.size === 0) return;
      const v = weights(y, 1, 'float64');
      const pulled = grad(y, leaves, { gradient: v, allowUnused: true });
      const [, tangent] = jvp((...inputs) => f(...inputs)[k] as Tensor, plain, us);
      const right = pulled.reduce((s, g, j) => s + (g === null ? 0 : inner(g, us[j] as Tensor)), 0);
      expectClose([inner(v, tangent)], [right], { rtol: 1e-8, atol: 1e-9 }, `${what}: ⟨v, Ju⟩ against ⟨Jᵀv, u⟩`);
      checked++;
    });
  }
  return checked;
}

const weights = (like: Tensor, salt: number, dtype: DType): Tensor =>
  tensor(functionalWeights(like.size, salt), { shape: like.shape, dtype, device: like.device });

function inner(a: Tensor, b: Tensor): number {
  const [x, y] = [a.toArray(), b.toArray()];
  let s = 0;
  for (let i = 0; i < x.length; i++) s += (x[i] as number) * (y[i] as number);
  return s;
}

/** `<op>: <rule>, got <facts>.`, and at most one hint. */
export const errorStyle: RegExp = /^[\w.]+: [\s\S]+, got [\s\S]+\.(\n {2}Hint: [^\n]+)?$/;

/** Calls that must fail do, with a message in the library's style that holds the promised phrase. */
export function errorsSpeak(op: AnyOp): void {
  const { row } = op;
  for (const [args, says] of row.errors?.(seededRandom(3)) ?? []) {
    let thrown: unknown = null;
    try {
      (op as unknown as Call)(...args);
    } catch (error) {
      thrown = error;
    }
    const message = thrown instanceof Error ? thrown.message : 'no error';
    if (!message.includes(says)) throw failed(row.name, `the error must say '${says}'`, `'${message}'`);
    if (!(thrown instanceof LibError)) throw failed(row.name, 'the error must be a LibError', `'${message}'`);
    if (!errorStyle.test(message)) throw failed(row.name, "errors must read '<op>: <rule>, got <facts>.'", `'${message}'`);
  }
}

/** `name_` writes what the op gives over its first argument, and tells autograd. */
export function writesInPlace(op: AnyOp): number {
  const { inPlace } = op as unknown as { readonly inPlace: (target: Tensor, ...rest: Arguments) => Tensor };
  const name = `${op.row.name}_`;
  let written = 0;
  samplesOf(op.row).forEach((args, i) => {
    const [x, ...rest] = args as [Tensor, ...unknown[]];
    const [expected] = tensorsIn(callOf(op)(...args)) as [Tensor];
    if (!sameShape(expected.shape, x.shape) || expected.dtype !== x.dtype) return;
    const target = x.clone();
    const before = target.storage.version;
    manualSeed(17);
    if (inPlace(target, ...rest) !== target) throw failed(name, 'the result must be the tensor written to', 'another one');
    if (target.storage.version <= before)
      throw failed(name, 'each write must count a version', `${before} before and ${target.storage.version} after`);
    expectTensorsClose(target, expected, { rtol: 0, atol: 0 }, `${name} sample ${i}`);
    written++;
  });
  return written;
}

/** A leaf that requires grad refuses `name_`, but not under noGrad. */
export function protectsLeaves(op: AnyOp): void {
  const { inPlace } = op as unknown as { readonly inPlace: (target: Tensor, ...rest: Arguments) => Tensor };
  const fits = ([x]: Arguments): boolean => isFloat((x as Tensor).dtype) && (x as Tensor).size > 0;
  const args = samplesOf(op.row).find((sample) => fits(sample) && sameShape(resultOf(op, sample).shape, (sample[0] as Tensor).shape));
  if (args === undefined) return;
  const [x, ...rest] = args as [Tensor, ...unknown[]];
  const leaf = x.clone().requiresGrad_();
  let message = 'no error';
  try {
    inPlace(leaf, ...rest);
  } catch (error) {
    message = (error as Error).message;
  }
  if (!message.includes('leaf')) throw failed(`${op.row.name}_`, 'a write to a leaf that requires grad must be refused', `'${message}'`);
  noGrad(() => inPlace(leaf, ...rest));
}

const resultOf = (op: AnyOp, args: Arguments): Tensor => tensorsIn(callOf(op)(...args))[0] as Tensor;

/** Backward refuses to use a saved value that was written to since. Gives the number of values that were tried. */
export function guardsSavedValues(op: AnyOp): number {
  let tried = 0;
  for (const { leaves, f, what } of differentiableSamples(op)) {
    const record = (): Tensor => f(...leaves.map((x) => x.clone())).find((y) => y.requiresGrad && y.size > 0) as Tensor;
    const count = record().node?.savedTensors().length ?? 0;
    for (let s = 0; s < count; s++) {
      const y = record();
      const saved = y.node?.savedTensors()[s] as Tensor;
      saved.storage.version++; // as any write in place does
      let message = 'no error';
      try {
        grad(y, leaves, { gradient: weights(y, 0, 'float64'), allowUnused: true });
      } catch (error) {
        message = (error as Error).message;
      }
      if (!message.includes('must not change before backward')) throw failed(what, 'backward must refuse changed values', `'${message}'`);
      tried++;
    }
  }
  return tried;
}

/** The results of a view row show the bytes of its argument. */
export function sharesStorage(op: AnyOp): void {
  samplesOf(op.row).forEach((args, i) => {
    const [x] = args as [Tensor];
    for (const y of tensorsIn(callOf(op)(...args))) {
      if (y.storage !== x.storage)
        throw failed(`${op.row.name} sample ${i}`, 'a view must share the bytes of its argument', 'bytes of its own');
    }
  });
}

/** Two set-ups of a backend give the same bits, gradients included. */
export function sameBits(op: AnyOp, one: Backend, other: Backend): void {
  const run = (device: Backend): string =>
    withDevice(device, () => {
      const values = samplesOf(op.row).map((args) => tensorsIn(callOf(op)(...args)).map((t) => [...t.toArray()]));
      const gradients = sampleGradients(op, 'float32').map((sample) => sample.map((g) => g && Array.from(g)));
      return JSON.stringify([values, gradients], (_, v: unknown) => (typeof v === 'number' && !Number.isFinite(v) ? String(v) : v));
    });
  if (run(one) !== run(other))
    throw failed(op.row.name, `${one.describe()} and ${other.describe()} must give the same bits`, 'different ones');
}
