import { type GradContext, GradNode, type GradRule } from '../tensor/graph.js';
import { Tensor } from '../tensor/tensor.js';
import { attach, edgeOf, isRecorded } from './apply.js';
import { unrecorded } from './applyCustom.js';

export interface CustomGrad<P> {
  readonly name: string;
  readonly inputs: readonly Tensor[];
  readonly params: P;
  /** Input positions whose values `grad` reads, and 'output'. */
  readonly saves: readonly (number | 'output')[];
  /** The value, in any number of ops; none of them is recorded. */
  compute(): Tensor;
  /** As in a kernel row: linear in the gradient and written in ops. */
  grad(g: Tensor, context: GradContext<P>): readonly (Tensor | null)[];
}

/**
 * Computes something in several ops that count as one step of the graph: for values whose mathematical gradient is simpler,
 * cheaper or more stable than what the chain rule finds on the way they are computed.
 */
export function customGrad<P>({ name, inputs, params, saves, compute, grad }: CustomGrad<P>): Tensor {
  const output = unrecorded(compute);
  if (!isRecorded(inputs)) return output;
  // What was computed may be a view or an input itself: the step's output is a tensor of its own.
  const out = new Tensor(output.spec, output.storage, output.offset, output.device);
  const rule: GradRule<P> = ([g], context) => (g ? grad(g, context) : inputs.map(() => null));
  const saved = inputs.map((x, i) => (saves.includes(i) ? x : null));
  const node = new GradNode(
    {
      name,
      rule: rule as GradRule<unknown>,
      params,
      scalars: [],
      inputSpecs: inputs.map((x) => x.spec),
      outputSpecs: [out.spec],
      device: out.device,
      foreign: false,
    },
    inputs.map(edgeOf),
    [...saved, saves.includes('output') ? out : null],
  );
  attach(node, inputs, [out]);
  return out;
}
