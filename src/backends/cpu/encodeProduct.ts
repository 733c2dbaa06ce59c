import { internal } from '../../core/errors.js';
import { specOf } from '../../core/spec.js';
import { toBytecode } from '../../expr/bytecode.js';
import type { ProductKernel } from '../../program/kernel.js';
import { planeStrides } from '../../program/plane.js';
import type { Step } from '../../program/program.js';
import { computeCodes, writeExprs } from './encodeExpr.js';
import { writeConv, writeGemm } from './encodeHeavy.js';
import type { TapeWriter } from './tapeWriter.js';

/** A product followed by a pointwise step over its elements, all operands seen as the product's matrices. */
export function writeProduct(
  tape: TapeWriter,
  step: Step,
  { product, shape, epilogue, input, kept }: ProductKernel,
  findAot: (lo: number, hi: number) => number,
): void {
  const factors = product.bias ? 3 : 2;
  const [first] = step.outputs;
  const outputs = step.outputs.slice(Number(kept));
  const walked = outputs[0]?.spec.shape;
  if (first === undefined || walked === undefined) throw internal('a product has an output');
  const made = { ...first, spec: specOf('float32', shape) };
  const others = step.inputs.slice(factors);
  const operands = [...others.slice(0, input), made, ...others.slice(input), ...outputs];
  const { exprs, compute } = epilogue;
  const write = product.views === 'dense' ? writeGemm : writeConv;
  write(tape, { ...step, inputs: step.inputs.slice(0, factors), outputs: [made] }, product, () => {
    tape.ints(1, computeCodes[compute], findAot(...toBytecode(exprs, compute).hash), others.length + 1, outputs.length);
    for (const x of operands) tape.view(x, planeStrides(x.spec, x === made ? shape : walked, product) ?? undefined);
    writeExprs(tape, exprs, compute, others.length + 1);
  });
}
