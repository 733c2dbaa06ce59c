import { specOf } from '../../core/spec.js';
import type { GemmKernel } from '../kernel.js';
import type { ProgramOperand, Step } from '../program.js';
import { type BufferFacts, countUses } from './fuse.js';
import { mayPass } from './loops.js';

type Product = Step & { readonly kernel: GemmKernel };

/** Steps further apart are not looked at. */
const NEAR = 24;

/**
 * A product of 16-bit numbers whose only reader makes it float32 (the gradient of a weight under autocast) writes float32 itself: the
 * same rounded numbers, which never go through memory in the narrow type.
 */
export function widenProducts<S extends Step>(steps: readonly S[], facts: BufferFacts): S[] {
  const out: (S | null)[] = [...steps];
  const makers = new Map<number, number>();
  const uses = countUses(steps);
  steps.forEach((step, at) => {
    const [read] = step.inputs;
    const from = read === undefined || uses.get(read.buffer) !== 1 ? undefined : makers.get(read.buffer);
    const product = from === undefined ? null : (out[from] as (S & Product) | null);
    if (from !== undefined && product !== null && at - from <= NEAR && widens(step, product, facts)) {
      const [target] = step.outputs as [ProgramOperand];
      const [made] = product.outputs as [ProgramOperand];
      const joined = {
        ...product,
        kernel: { ...product.kernel, rounded: true },
        outputs: [{ ...target, spec: specOf('float32', made.spec.shape) }],
      };
      if (out.slice(from + 1, at).every((other) => other === null || mayPass(joined, other, facts))) {
        out[from] = joined;
        out[at] = null;
      }
    }
    for (const { buffer } of step.outputs) makers.delete(buffer);
    if (isNarrow(step) && facts.isTemporary((step.outputs[0] as ProgramOperand).buffer)) {
      makers.set((step.outputs[0] as ProgramOperand).buffer, at);
    }
  });
  return out.filter((step) => step !== null);
}

function isNarrow({ kernel, inputs, outputs }: Step): boolean {
  const [made] = outputs;
  if (kernel.family !== 'gemm' || kernel.views !== 'dense' || made === undefined || !made.spec.contiguous) return false;
  const { dtype } = made.spec;
  return (dtype === 'bfloat16' || dtype === 'float16') && inputs.every((x) => x.spec.dtype === dtype);
}

/** The step copies the whole product in its order, to a place that the product does not read. */
function widens(step: Step, product: Product, { mayMeet }: BufferFacts): boolean {
  const [read, target] = wholeCopy(step);
  const [made] = product.outputs as [ProgramOperand];
  return (
    target?.spec.dtype === 'float32' &&
    read?.offset === made.offset &&
    target.spec.size === made.spec.size &&
    !product.inputs.some((x) => mayMeet(x.buffer, target.buffer))
  );
}

/** What a step copies, dense and whole, and where to. */
export function wholeCopy({ kernel, inputs, outputs }: Step): readonly ProgramOperand[] {
  const [read, target] = inputs.length === 1 ? [inputs[0], outputs[0]] : [];
  const plain = kernel.family === 'copy' && kernel.fill === undefined && !kernel.accumulate && !kernel.places;
  const whole = read?.spec.contiguous && target?.spec.contiguous && read.spec.size === target.spec.size;
  return plain && whole ? [read, target] : [];
}
