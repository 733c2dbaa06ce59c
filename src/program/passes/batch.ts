import type { MapKernel } from '../kernel.js';
import type { ProgramOperand, Step } from '../program.js';
import type { BufferFacts } from './fuse.js';

type MapStep = Step & { readonly kernel: MapKernel };

/**
 * Puts neighbouring pointwise steps that apply one expression to tensors from outside (an optimizer's updates, the scaling of
 * gradients) into one step of many parts: one pass over all parameters, divided evenly among threads.
 */
export function batchUpdates<S extends Step>(steps: readonly S[], facts: BufferFacts): S[] {
  const out: S[] = [];
  let open: S[] = [];
  let touched = new Touched(facts);
  const close = (): void => {
    if (open.length > 0) out.push(open.length === 1 ? (open[0] as S) : merged(open));
    open = [];
    touched = new Touched(facts);
  };
  for (const step of steps) {
    if (open.length > 0 && (!isAlike(open[0] as S, step) || touched.meets(step))) close();
    if (isUpdate(step, facts)) {
      open.push(step);
      touched.add(step);
    } else out.push(step);
  }
  close();
  return out;
}

/** Pointwise, in place or into homes of gradients, over whole tensors and single numbers. */
function isUpdate(step: Step, { isTemporary }: BufferFacts): step is MapStep {
  if (step.kernel.family !== 'map' || step.kernel.parts !== undefined) return false;
  const [first] = step.outputs;
  if (first === undefined || first.spec.size === 0) return false;
  const isWhole = ({ spec }: ProgramOperand): boolean => spec.contiguous && spec.size === first.spec.size;
  return step.outputs.every((y) => isWhole(y) && !isTemporary(y.buffer)) && step.inputs.every((x) => isWhole(x) || x.spec.size === 1);
}

function isAlike(a: Step, b: Step): boolean {
  if (a.kernel.family !== 'map' || b.kernel.family !== 'map') return false;
  const [x, y] = [a.kernel, b.kernel];
  const fits = (p: ProgramOperand, q: ProgramOperand | undefined): boolean => p.spec.dtype === q?.spec.dtype;
  return (
    x.compute === y.compute &&
    x.exprs.length === y.exprs.length &&
    x.exprs.every((e, i) => e === y.exprs[i]) &&
    a.inputs.length === b.inputs.length &&
    a.inputs.every((p, i) => fits(p, b.inputs[i])) &&
    a.outputs.every((p, i) => fits(p, b.outputs[i]))
  );
}

/** What the parts read and write: they run in any order, so none may touch what another one writes. */
class Touched {
  private readonly read = new Set<number>();
  private readonly written = new Set<number>();
  private brings = false;

  constructor(private readonly facts: BufferFacts) {}

  add({ inputs, outputs }: Step): void {
    for (const { buffer } of inputs) this.read.add(buffer);
    for (const { buffer } of outputs) this.written.add(buffer);
    this.brings ||= this.isBringing({ inputs, outputs });
  }

  meets(step: Step): boolean {
    if (this.brings || this.isBringing(step)) return true; // any other part writes to tensors from outside
    const isWritten = ({ buffer }: ProgramOperand): boolean => this.written.has(buffer);
    return step.inputs.some(isWritten) || step.outputs.some((y) => isWritten(y) || this.read.has(y.buffer));
  }

  private isBringing({ inputs, outputs }: Pick<Step, 'inputs' | 'outputs'>): boolean {
    return [...inputs, ...outputs].some((x) => this.facts.isBrought(x.buffer));
  }
}

function merged<S extends Step>(steps: readonly S[]): S {
  const first = steps[0] as S;
  const scalarBase = Math.min(...steps.map((s) => s.scalarBase));
  const kernel = { ...(first.kernel as MapKernel), parts: steps.map((s) => s.scalarBase - scalarBase) };
  return { ...first, kernel, scalarBase, inputs: steps.flatMap((s) => s.inputs), outputs: steps.flatMap((s) => s.outputs) };
}
