import { isFloat } from '../core/dtype.js';
import type { AnyRow, Op } from '../ops/define.js';
import type { Backend } from '../program/backend.js';
import { grad } from '../tensor/autograd.js';
import { withDevice } from '../tensor/device.js';
import { jvp } from '../tensor/forward.js';
import { gradcheck } from '../tensor/gradcheck.js';
import { manualSeed } from '../tensor/random.js';
import { tensor } from '../tensor/creation.js';
import type { Tensor } from '../tensor/tensor.js';
import { expectClose, expectTensorsClose, functionalWeights, type Tolerance, tolerances } from './compare.js';
import { castFloats, mapTensors, scatterLayout, seededRandom, tensorsIn } from './samples.js';

/**
 * Properties that every row must have, each a function that throws where it does not hold. The project's suites run them over the
 * whole table; a user's op made by `defineOp` is proved the same way.
 */
export type AnyOp = Op<never[], unknown>;

type Call = (...args: readonly unknown[]) => unknown;
const callOf =
  (op: AnyOp): Call =>
  (...args) => {
    manualSeed(17); // rows that draw random numbers draw the same ones in every call
    return (op as unknown as Call)(...args);
  };

/** The row's sample calls, made on the current default device. */
export const samplesOf = (row: AnyRow): (readonly unknown[])[] => [...row.samples(seededRandom(7))];

/** How far float32 results may be from the oracle's: sums of K terms may err by sqrt(K) more. */
export function scaled({ rtol, atol }: Tolerance, terms: number): Tolerance {
  const factor = Math.max(1, Math.sqrt(terms));
  return { rtol: rtol * factor, atol: atol * factor };
}

/** A backend computes what the reference computes: dense and strided inputs, float32 and float64. */
export function agreesWithReference(op: AnyOp, backend: Backend, reference: Backend): void {
  const call = callOf(op);
  const variants: readonly ((args: unknown) => unknown)[] = [
    (args) => args,
    scatterLayout,
    (args) => castFloats(args, 'float64'),
    (args) => castFloats(scatterLayout(args), 'float64'),
  ];
  const run = (device: Backend, sample: number, variant: (args: unknown) => unknown): Tensor[] =>
    withDevice(device, () => tensorsIn(call(...(variant(samplesOf(op.row)[sample]) as readonly unknown[]))));
  const count = withDevice(reference, () => samplesOf(op.row).length);
  for (let i = 0; i < count; i++) {
    for (const [v, variant] of variants.entries()) {
      const expected = run(reference, i, variant);
      const actual = run(backend, i, variant);
      const terms = withDevice(reference, () => Math.max(1, ...tensorsIn(samplesOf(op.row)[i]).map((t) => t.size)));
      expected.forEach((e, k) => {
        const tolerance = e.dtype === 'float64' ? tolerances.float64 : scaled(tolerances.float32, terms);
        expectTensorsClose(actual[k] as Tensor, e, isFloat(e.dtype) ? tolerance : { rtol: 0, atol: 0 }, `${op.row.name} sample ${i} variant ${v}`);
      });
    }
  }
}

/** Float64 copies of a sample's float tensors as leaves, in the order in which they appear. */
function leavesOf(args: readonly unknown[]): { readonly leaves: Tensor[]; rebuild(inputs: readonly Tensor[]): readonly unknown[] } {
  const doubled = castFloats(args, 'float64') as readonly unknown[];
  const leaves = tensorsIn(doubled).filter((t) => t.dtype === 'float64');
  const position = new Map(leaves.map((t, i) => [t, i]));
  const rebuild = (inputs: readonly Tensor[]): readonly unknown[] =>
    mapTensors(doubled, (t) => inputs[position.get(t) ?? -1] ?? t) as readonly unknown[];
  return { leaves, rebuild };
}

/** Gradients equal central differences, and gradients of gradients do too. */
export function gradientsAgree(op: AnyOp, { second = true }: { readonly second?: boolean } = {}): void {
  const call = callOf(op);
  samplesOf(op.row).forEach((args, i) => {
    const { leaves, rebuild } = leavesOf(args);
    if (leaves.length === 0 || leaves.every((t) => t.size === 0)) return;
    for (const t of leaves) t.requiresGrad_();
    const f = (...inputs: Tensor[]): Tensor[] => tensorsIn(call(...rebuild(inputs)));
    if (!f(...leaves).some((y) => y.requiresGrad && y.size > 0)) return;
    const { passed, errors } = gradcheck(f, leaves, { second: second && op.row.kinks !== true });
    if (!passed) throw new Error(`${op.row.name} sample ${i}: gradients must agree with differences, got relative errors ${errors.join(', ')}.`);
  });
}

/** Forward and reverse mode are transposes of each other: ⟨v, J u⟩ = ⟨Jᵀ v, u⟩. */
export function modesAgree(op: AnyOp): void {
  const call = callOf(op);
  samplesOf(op.row).forEach((args, i) => {
    const { leaves, rebuild } = leavesOf(args);
    if (leaves.length === 0 || leaves.every((t) => t.size === 0)) return;
    for (const t of leaves) t.requiresGrad_();
    const f = (...inputs: Tensor[]): Tensor => tensorsIn(call(...rebuild(inputs))).find((y) => isFloat(y.dtype)) as Tensor;
    const y = f(...leaves);
    if (!y?.requiresGrad || y.size === 0) return;
    const v = weights(y, 1);
    const us = leaves.map((x, k) => weights(x, 2 + k));
    const pulled = grad(y, leaves, { gradient: v, allowUnused: true });
    const plain = leaves.map((x) => x.detach());
    const [, tangent] = jvp(f, plain, us);
    const left = inner(v, tangent);
    const right = pulled.reduce((s, g, k) => s + (g === null ? 0 : inner(g, us[k] as Tensor)), 0);
    expectClose([left], [right], { rtol: 1e-8, atol: 1e-9 }, `${op.row.name} sample ${i}: ⟨v, Ju⟩ against ⟨Jᵀv, u⟩`);
  });
}

const weights = (like: Tensor, salt: number): Tensor => tensor(functionalWeights(like.size, salt), { shape: like.shape, dtype: 'float64' });

function inner(a: Tensor, b: Tensor): number {
  const [x, y] = [a.toArray(), b.toArray()];
  let s = 0;
  for (let i = 0; i < x.length; i++) s += (x[i] as number) * (y[i] as number);
  return s;
}

/** Calls that must fail do, with a message that names the op and holds the promised phrase. */
export function errorsSpeak(op: AnyOp): void {
  const { row } = op;
  for (const [args, says] of row.errors?.(seededRandom(3)) ?? []) {
    let message = 'no error';
    try {
      callOf(op)(...args);
    } catch (error) {
      message = (error as Error).message;
    }
    if (!message.includes(says) || !/^\w+: /.test(message)) {
      throw new Error(`${row.name}: an error must say '${says}' and begin with the op's name, got '${message}'.`);
    }
  }
}
