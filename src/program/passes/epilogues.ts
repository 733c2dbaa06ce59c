import { sameShape } from '../../core/shape.js';
import type { GemmKernel, MapKernel, ProductKernel } from '../kernel.js';
import { planeStrides } from '../plane.js';
import type { ProgramOperand, Step } from '../program.js';
import type { BufferFacts } from './fuse.js';
import { mayPass } from './loops.js';

type Named = Step & { readonly name: string };
type Product = Named & { readonly kernel: GemmKernel };
type Pointwise = Named & { readonly kernel: MapKernel };

/** Steps further apart are not looked at. */
const NEAR = 24;
/** Elements: a smaller product is in cache anyway when its reader runs. */
const MIN_SIZE = 16384;
const MIN_ROWS = 8;
const MIN_COLUMNS = 16;
/** Operands of a pointwise step that the engine has room for. */
const MAX_OPERANDS = 32;

/**
 * Lets a pointwise step (an activation, a residual, a mask, a scale and shift for each channel) run on each block of a product or
 * convolution as soon as it is made, while it is in cache. A product that nobody else reads is not kept. Numbers stay the same bits.
 */
export function attachEpilogues<S extends Named>(steps: readonly S[], facts: BufferFacts): S[] {
  const out: (S | null)[] = [...steps];
  const readers = countReaders(steps);
  const makers = new Map<number, number>();
  steps.forEach((step, at) => {
    const place = isPointwise(step) ? attach(out, step, at, makers, readers, facts) : undefined;
    for (const { buffer } of step.outputs) makers.delete(buffer);
    if (place === undefined && isProduct(step)) makers.set((step.outputs[0] as ProgramOperand).buffer, at);
  });
  return out.filter((step) => step !== null);
}

function countReaders(steps: readonly Step[]): Map<number, number> {
  const readers = new Map<number, number>();
  for (const { inputs } of steps) {
    for (const buffer of new Set(inputs.map((x) => x.buffer))) readers.set(buffer, (readers.get(buffer) ?? 0) + 1);
  }
  return readers;
}

const isPointwise = <S extends Named>(step: S): step is S & Pointwise =>
  step.kernel.family === 'map' &&
  step.kernel.parts === undefined &&
  step.kernel.compute === 'float32' &&
  step.inputs.length + step.outputs.length <= MAX_OPERANDS;

function isProduct<S extends Named>({ kernel, inputs, outputs }: S): boolean {
  if (kernel.family !== 'gemm' || kernel.views === 'convWeight') return false;
  const { spec } = outputs[0] as ProgramOperand;
  if (!spec.contiguous || spec.size < MIN_SIZE) return false;
  if (kernel.views === 'dense') {
    const columns = spec.shape.at(-1) as number;
    if (spec.size < MIN_ROWS * columns || columns < MIN_COLUMNS) return false;
  } else if (kernel.views === 'convInput' && kernel.geometry?.stride.some((s) => s > 1)) return false;
  return [...inputs, ...outputs].every((x) => x.spec.dtype === 'float32');
}

/** Puts the step behind a product that it reads; where the two are now, or undefined. */
function attach<S extends Named>(
  steps: (S | null)[],
  step: S & Pointwise,
  at: number,
  makers: ReadonlyMap<number, number>,
  readers: ReadonlyMap<number, number>,
  facts: BufferFacts,
): number | undefined {
  for (const [i, { buffer }] of step.inputs.entries()) {
    const from = makers.get(buffer);
    const product = from === undefined ? null : (steps[from] as (S & Product) | null);
    if (from === undefined || product === null || product.kernel.family !== 'gemm' || at - from > NEAR) continue;
    if (!fits(product, step, i, facts)) continue;
    const between = steps.slice(from + 1, at).filter((other) => other !== null);
    const up = between.every((other) => mayPass(step, other, facts));
    if (!up && !between.every((other) => mayPass(other, product, facts))) continue;
    steps[at] = null;
    steps[from] = null;
    const place = up ? from : at;
    steps[place] = joined(product, step, i, facts.isTemporary(buffer) && readers.get(buffer) === 1);
    return place;
  }
  return undefined;
}

/** The step walks the product's elements row by row, and writes nothing that the product still reads. */
function fits({ kernel, inputs: factors, outputs }: Product, step: Pointwise, at: number, { mayMeet }: BufferFacts): boolean {
  const [made] = outputs as [ProgramOperand];
  const read = step.inputs[at] as ProgramOperand;
  const others = step.inputs.filter((_, i) => i !== at);
  const shape = (step.outputs[0] as ProgramOperand).spec.shape;
  const isLikeIt = ({ spec }: ProgramOperand): boolean =>
    spec.contiguous &&
    (kernel.views !== 'dense'
      ? sameShape(spec.shape, made.spec.shape)
      : spec.size === made.spec.size && spec.shape.at(-1) === made.spec.shape.at(-1));
  if (read.offset !== made.offset || !isLikeIt(read) || !step.outputs.every(isLikeIt)) return false;
  if (others.some((x) => mayMeet(x.buffer, made.buffer) || planeStrides(x.spec, shape, kernel) === null)) return false;
  return !step.outputs.some((y) => [...factors, ...others, made].some((x) => mayMeet(x.buffer, y.buffer)));
}

function joined<S extends Named>(product: S & Product, step: S & Pointwise, at: number, isAlone: boolean): S {
  const [made] = product.outputs as [ProgramOperand];
  const [first] = step.outputs as [ProgramOperand];
  const kept = !isAlone || first.spec.dtype !== made.spec.dtype;
  const { shape } = made.spec;
  const kernel: ProductKernel = { family: 'product', product: product.kernel, shape, epilogue: step.kernel, input: at, kept };
  return {
    ...step,
    name: `${product.name} + ${step.name}`,
    kernel,
    inputs: [...product.inputs, ...step.inputs.filter((_, i) => i !== at)],
    outputs: kept ? [made, ...step.outputs] : step.outputs,
  };
}
