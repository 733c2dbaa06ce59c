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
import { expectClose, expectTensorsClose, functionalWeights, type Tolerance, tolerances } from './compare.js';
import { castFloats, mapTensors, plainPart, scatterLayout, seededRandom, tensorsIn } from './samples.js';
import type { AnyOp } from './table.js';

/**
 * Properties that every row must have, each a function that throws where it does not hold. The project's suites run them over the
 * whole table; a user's op made by `defineOp` is proved the same way.
 */
type Arguments = readonly unknown[];
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

function failed(name: string, rule: string, facts: unknown): LibError {
  return new LibError('value', `${name}: ${rule}, got ${facts}.`);
}

/** A row proves itself by samples. */
export function hasSamples({ row }: AnyOp): void {
  if (samplesOf(row).length === 0) throw failed(row.name, 'a row must have samples', 'none');
}

interface Variant {
  readonly name: string;
  of(args: Arguments): Arguments;
  /** For results that are stored with fewer bits than they are computed with. Default: the project's tolerances. */
  readonly tolerance?: Tolerance;
}

const cast = (dtype: DType, tolerance?: Tolerance): Variant => ({
  name: dtype,
  of: (args) => castFloats(args, dtype) as Arguments,
  ...(tolerance && { tolerance }),
});

const variants: readonly Variant[] = [
  { name: 'dense', of: (args) => args },
  { name: 'strided', of: (args) => scatterLayout(args) as Arguments },
  cast('float64'),
  { name: 'strided float64', of: (args) => scatterLayout(castFloats(args, 'float64')) as Arguments },
  cast('bfloat16', { rtol: 0.02, atol: 0.02 }),
  cast('float16', { rtol: 0.004, atol: 0.004 }),
  cast('int32'),
];

interface Outcome {
  readonly tensors: readonly Tensor[];
  readonly plain: string;
  readonly error: LibError | null;
}

/** What a call comes to; an error on purpose is an outcome too. */
function outcomeOf(run: () => unknown): Outcome {
  try {
    const result = run();
    return { tensors: tensorsIn(result), plain: JSON.stringify(plainPart(result)) ?? 'nothing', error: null };
  } catch (error) {
    if (!(error instanceof LibError)) throw error;
    return { tensors: [], plain: error.code, error };
  }
}

function expectSameOutcome(actual: Outcome, expected: Outcome, toleranceOf: (dtype: DType) => Tolerance, what: string): void {
  if (actual.error && !expected.error)
    throw failed(what, 'the call must succeed as it does on the reference backend', `"${actual.error.message}"`);
  if (actual.plain !== expected.plain)
    throw failed(what, `results must be those of the reference backend, ${expected.plain}`, actual.plain);
  expected.tensors.forEach((e, k) => {
    const tolerance = isFloat(e.dtype) ? toleranceOf(e.dtype) : { rtol: 0, atol: 0 };
    expectTensorsClose(actual.tensors[k] as Tensor, e, tolerance, `${what}, result ${k}`);
  });
}

/** One call with one layout and type of its inputs. */
interface Answer {
  readonly what: string;
  readonly outcome: Outcome;
}

/** Of every sample in every variant. Samples are made anew for each variant: rows in place change them. */
function answersOf(op: AnyOp, device: Backend): readonly Answer[] {
  const call = callOf(op);
  return withDevice(device, () =>
    variants.flatMap((variant) =>
      samplesOf(op.row).map((args, i) => ({
        what: `${op.row.name} sample ${i} ${variant.name}`,
        outcome: outcomeOf(() => call(...variant.of(args as Arguments))),
      })),
    ),
  );
}

interface Expected extends Answer {
  toleranceOf(dtype: DType): Tolerance;
}

function expectedOf(op: AnyOp, reference: Backend): readonly Expected[] {
  const terms = withDevice(reference, () => samplesOf(op.row).map((args) => termsOf(op, args as Arguments)));
  return answersOf(op, reference).map((answer, i) => {
    const { tolerance } = variants[Math.floor(i / terms.length)] as Variant;
    const toleranceOf = (dtype: DType): Tolerance =>
      tolerance ?? (dtype === 'float64' ? tolerances.float64 : scaled(tolerances.float32, terms[i % terms.length] as number));
    return { ...answer, toleranceOf };
  });
}

/** What is slow to compute and the same for every backend that is compared. */
function once<T>(compute: (op: AnyOp, reference: Backend) => T): (op: AnyOp, reference: Backend) => T {
  const known = new WeakMap<AnyOp, Map<Backend, T>>();
  return (op, reference) => {
    const ofOp = known.get(op) ?? new Map<Backend, T>();
    known.set(op, ofOp);
    const value = ofOp.has(reference) ? (ofOp.get(reference) as T) : compute(op, reference);
    ofOp.set(reference, value);
    return value;
  };
}

const expectedOnce = once(expectedOf);
const floats = ['float32', 'float64'] as const;
const gradientsOnce = once((op, device) => withDevice(device, () => floats.map((dtype) => sampleGradients(op, dtype))));

/** A backend computes what the reference computes: dense and strided inputs, every type that the row takes. */
export function agreesWithReference(op: AnyOp, backend: Backend, reference: Backend): void {
  const answers = answersOf(op, backend);
  for (const [i, { what, outcome, toleranceOf }] of expectedOnce(op, reference).entries())
    expectSameOutcome((answers[i] as Answer).outcome, outcome, toleranceOf, what);
}

/** The gradients that a backend computes are the reference's: backward kernels run nowhere else. */
export function gradientsAgreeWithReference(op: AnyOp, backend: Backend, reference: Backend): void {
  for (const [n, dtype] of floats.entries()) {
    const actual = withDevice(backend, () => sampleGradients(op, dtype));
    gradientsOnce(op, reference)[n]?.forEach((sample, i) => {
      const largest = Math.max(1, ...sample.map((g) => g?.length ?? 0));
      const tolerance = dtype === 'float64' ? tolerances.float64 : scaled(tolerances.float32, 'inPlace' in op ? 1 : 4 * largest);
      sample.forEach((e, k) => {
        const a = actual[i]?.[k] ?? null;
        const what = `${op.row.name} sample ${i} ${dtype}, gradient ${k}`;
        if ((a === null) !== (e === null)) throw failed(what, 'must be there on both backends', a === null ? 'none' : 'one too many');
        if (a !== null && e !== null) expectClose(a, e, tolerance, what);
      });
    });
  }
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
      const values = samplesOf(op.row).map((args) => outcomeOf(() => callOf(op)(...args)).tensors.map((t) => [...t.toArray()]));
      const gradients = sampleGradients(op, 'float32').map((sample) => sample.map((g) => g && Array.from(g)));
      return JSON.stringify([values, gradients], (_, v: unknown) => (typeof v === 'number' && !Number.isFinite(v) ? String(v) : v));
    });
  if (run(one) !== run(other))
    throw failed(op.row.name, `${one.describe()} and ${other.describe()} must give the same bits`, 'different ones');
}
