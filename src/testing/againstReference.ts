import { type DType, isFloat } from '../core/dtype.js';
import { LibError } from '../core/errors.js';
import type { Backend } from '../program/backend.js';
import { withDevice } from '../tensor/device.js';
import type { Tensor } from '../tensor/tensor.js';
import { expectClose, expectTensorsClose, type Tolerance, tolerances } from './compare.js';
import { type Arguments, callOf, failed, sampleGradients, samplesOf, scaled, termsOf } from './properties.js';
import { castFloats, plainPart, scatterLayout, tensorsIn } from './samples.js';
import type { AnyOp } from './table.js';

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
