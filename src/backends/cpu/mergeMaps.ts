import { dtypes } from '../../core/dtype.js';
import { type Shape, sameShape } from '../../core/shape.js';
import type { Spec } from '../../core/spec.js';
import { type Expr, input, scalar, substitute } from '../../expr/expr.js';
import type { LoopKernel, LoopView, MapKernel } from '../../program/kernel.js';
import type { Program, ProgramOperand, Step } from '../../program/program.js';

type Pointwise = Step & { readonly kernel: MapKernel };

/** What the compiled loops of the engine take. */
const MAX_OPERANDS = 16;

/**
 * Maps in a turn of a loop that walk the same elements, as one with several results: an activation and its gradient read their input, and
 * compute what both need, once. Only where the engine has the whole compiled ahead: its interpreter gains nothing by it. The same bits.
 */
export function mergeMaps(program: Program, isCompiled: (exprs: readonly Expr[]) => boolean): Program {
  const merged = (step: Step): Step => {
    const { kernel } = step;
    return kernel.family === 'loop' ? { ...step, kernel: { ...kernel, steps: mergedSteps(step, kernel, isCompiled) } } : step;
  };
  return { ...program, steps: program.steps.map(merged) };
}

function mergedSteps(loop: Step, kernel: LoopKernel, isCompiled: (exprs: readonly Expr[]) => boolean): Step[] {
  const places = new Places(loop, kernel);
  const out = [...kernel.steps];
  for (let at = 0; at < out.length; at++) {
    const taken: number[] = [];
    const passed: Step[] = [];
    let grown = out[at] as Step;
    let best: Step | null = null;
    let count = 0;
    for (let next = at + 1; next < out.length; next++) {
      const step = out[next] as Step;
      const both = passed.every((other) => places.mayPass(step, other)) ? places.merge(grown, step) : null;
      if (both === null) {
        passed.push(step);
        continue;
      }
      grown = both;
      taken.push(next);
      if (isCompiled(both.kernel.exprs)) [best, count] = [both, taken.length];
    }
    if (best !== null) out[at] = best;
    for (const next of taken.slice(0, count).reverse()) out.splice(next, 1);
  }
  return out;
}

const isMap = (step: Step): step is Pointwise =>
  step.kernel.family === 'map' && step.kernel.compute === 'float32' && step.outputs.every(({ spec }) => spec.dtype === 'float32');

const shapeOf = ({ outputs }: Pointwise): Shape => outputs[0]?.spec.shape ?? [];

/** Where the views of a loop's steps lie. */
class Places {
  private readonly operands: readonly ProgramOperand[];

  constructor(
    { inputs, outputs }: Step,
    private readonly loop: LoopKernel,
  ) {
    this.operands = [...inputs, ...outputs];
  }

  /** One step for two, the second of which could run right behind the first; null where that is not the same. */
  merge(first: Step, second: Step): Pointwise | null {
    if (!isMap(first) || !isMap(second) || !sameShape(shapeOf(first), shapeOf(second))) return null;
    const meetsOtherwise = (x: ProgramOperand, y: ProgramOperand): boolean => this.meet(x, y) && !this.isSame(x, y);
    if (second.outputs.some((x) => first.outputs.some((y) => this.meet(x, y)) || first.inputs.some((y) => meetsOtherwise(x, y))))
      return null;
    if (second.inputs.some((x) => first.outputs.some((y) => meetsOtherwise(x, y)))) return null;
    const inputs = [...first.inputs];
    const scalarBase = Math.min(first.scalarBase, second.scalarBase);
    const moved =
      (step: Step, leafOf: (x: ProgramOperand) => Expr) =>
      (e: Expr): Expr =>
        substitute(e, (leaf) =>
          leaf.kind === 'scalar' ? scalar(leaf.index + step.scalarBase - scalarBase) : leafOf(step.inputs[leaf.index] as ProgramOperand),
        );
    const place = (x: ProgramOperand): Expr => {
      const known = inputs.findIndex((y) => this.isSame(x, y));
      return input(known >= 0 ? known : inputs.push(x) - 1);
    };
    const exprs = first.kernel.exprs.map(moved(first, place));
    const made = (x: ProgramOperand): Expr => exprs[first.outputs.findIndex((y) => this.isSame(x, y))] ?? place(x);
    exprs.push(...second.kernel.exprs.map(moved(second, made)));
    const outputs = [...first.outputs, ...second.outputs];
    if (inputs.length + outputs.length > MAX_OPERANDS) return null;
    return { kernel: { ...first.kernel, exprs }, inputs, outputs, scalarBase };
  }

  /** Whether a step may run before another one that it followed. */
  mayPass(step: Step, other: Step): boolean {
    const apart = (a: readonly ProgramOperand[], b: readonly ProgramOperand[]): boolean => !a.some((x) => b.some((y) => this.meet(x, y)));
    return apart(step.inputs, other.outputs) && apart(step.outputs, other.inputs) && apart(step.outputs, other.outputs);
  }

  /** The same elements in each turn. */
  private isSame(x: ProgramOperand, y: ProgramOperand): boolean {
    const [a, b] = [this.placeOf(x), this.placeOf(y)];
    return x.spec === y.spec && a.buffer === b.buffer && a.from === b.from && a.stride === b.stride;
  }

  /** Whether two views may share bytes. Different buffers do not, where a step of a loop writes to one of them. */
  private meet(x: ProgramOperand, y: ProgramOperand): boolean {
    const [a, b] = [this.placeOf(x), this.placeOf(y)];
    return a.buffer === b.buffer && a.from < b.end && b.from < a.end;
  }

  /** Bytes of a view in all turns; scratch memory counts as a buffer. */
  private placeOf({ buffer, spec }: ProgramOperand) {
    const { operand, offset, stride } = this.loop.views[buffer] as LoopView;
    const whole = this.operands[operand];
    const { bytes } = dtypes[spec.dtype];
    const from = (offset + (whole?.offset ?? 0)) * bytes;
    return { buffer: whole?.buffer ?? -1, from, end: from + spanOf(whole?.spec ?? spec) * bytes, stride };
  }
}

/** Elements from the first to the last one. */
const spanOf = ({ shape, strides }: Spec): number => shape.reduce((n, size, d) => n + (size - 1) * (strides[d] as number), 1);
