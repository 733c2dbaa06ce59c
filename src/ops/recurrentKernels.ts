import { type Spec, specOf } from '../core/spec.js';
import { input } from '../expr/expr.js';
import type { RecurrentKernel } from '../program/kernel.js';
import { zeros } from '../tensor/creation.js';
import type { GradContext } from '../tensor/graph.js';
import type { Tensor } from '../tensor/tensor.js';
import { isGradEnabled } from './apply.js';
import { composedGradient } from './composed.js';
import { defineOp, type Op } from './define.js';
import { fuseSum } from './fused.js';
import { gemm } from './gemm.js';
import type { Direction, State } from './recurrentSteps.js';

/** A recurrent layer's walk over its steps as one kernel, forward and through time. */

/** The walk from other rows: the definition, and what is differentiated when gradients must be. Gives the output and the last states. */
export type ComposedWalk = (
  projected: Tensor,
  states: State,
  weightHh: Tensor,
  bias: Tensor | null,
  direction: Direction,
) => readonly [output: Tensor, ...last: Tensor[]];

type Cell = RecurrentKernel['cell'];

interface WalkParams {
  readonly cell: Cell;
  readonly reverse: boolean;
  readonly biased: boolean;
}

const gateCounts = { lstm: 4, gru: 3, tanh: 1, relu: 1 } as const;
const kernelOf = (by: RecurrentKernel['by'], { cell, reverse, biased }: WalkParams): RecurrentKernel => ({
  ...{ family: 'recurrent', by, cell, reverse },
  extra: biased,
});

/** Whether the tensors' device has the kernel for them. */
export function hasWalk(cell: Cell, ...tensors: readonly (Tensor | null)[]): boolean {
  const given = tensors.filter((x) => x !== null);
  const device = given[0]?.device;
  return (
    given.every(({ dtype }) => dtype === 'float32') &&
    device?.supports(kernelOf('forward', { cell, reverse: false, biased: false }), ['float32']) === true
  );
}

/** States of all steps (time + 1, batch, hidden): those before and after each step, in the order of time. */
const before = (states: Tensor, reverse: boolean): Tensor => states.narrow(0, reverse ? 1 : 0, states.sizeAt(0) - 1);
const after = (states: Tensor, reverse: boolean): Tensor => states.narrow(0, reverse ? 0 : 1, states.sizeAt(0) - 1);
const last = (states: Tensor, reverse: boolean): Tensor => states.select(0, reverse ? 0 : states.sizeAt(0) - 1);

/** Of x (time, batch, gates · hidden): states, and for LSTM and GRU what backward needs, and for LSTM the cells. */
function walkSpecs(x: Spec, cell: Cell): Spec[] {
  const [time = 0, batch = 0, width = 0] = x.shape;
  const hidden = width / gateCounts[cell];
  const states = specOf('float32', [time + 1, batch, hidden]);
  const kept = specOf('float32', [time, batch, 4 * hidden]);
  return [states, ...(cell === 'lstm' || cell === 'gru' ? [kept] : []), ...(cell === 'lstm' ? [states] : [])];
}

type Runner = (compose: ComposedWalk) => Op<[inputs: readonly Tensor[], params: WalkParams], readonly Tensor[]>;

/** Inputs: projected input, first states, recurrent weight[, bias of the GRU's candidate], all but the weight dense. */
const walkRow: Runner = (compose) =>
  defineOp({
    name: 'recurrent',
    args: (inputs: readonly Tensor[], params: WalkParams) => ({ inputs, params }),
    infer: ([x], { cell }: WalkParams) => walkSpecs(x as Spec, cell),
    kernel: (params: WalkParams) => kernelOf('forward', params),
    result: (outputs) => outputs,
    saves: ({ cell, biased }) => [...Array(2 + Number(cell === 'lstm') + 1 + Number(biased)).keys(), 'output'],
    differentiable: [0, 2],
    grad: (gradients, context) => (isGradEnabled() ? composedWalkGradient(compose, gradients, context) : walkGradient(gradients, context)),
    *samples() {},
    torch: null,
  });

function composedWalkGradient(
  compose: ComposedWalk,
  [gStates, , gCells]: readonly (Tensor | null)[],
  context: GradContext<WalkParams>,
): readonly (Tensor | null)[] {
  const { inputs, params, needs } = context;
  const { cell, reverse, biased } = params;
  const again = (tensors: readonly Tensor[]): readonly Tensor[] => {
    const count = cell === 'lstm' ? 2 : 1;
    const [x, ...rest] = tensors as readonly [Tensor, ...Tensor[]];
    const bias = biased ? (rest.at(-1) ?? null) : null;
    const [y, ...ends] = compose(x, rest.slice(0, count) as unknown as State, rest[count] as Tensor, bias, { reverse });
    return cell === 'lstm' ? [y, ends[1] as Tensor] : [y];
  };
  const wanted = [gStates ? after(gStates, reverse) : null, gCells ? last(gCells, reverse) : null];
  return composedGradient('recurrent', again, inputs, wanted, needs);
}

function walkGradient([gStates, , gCells]: readonly (Tensor | null)[], context: GradContext<WalkParams>): readonly (Tensor | null)[] {
  const { inputs, outputs, params, needs } = context;
  const { cell, reverse, biased } = params;
  const at = cell === 'lstm' ? 3 : 2;
  const weight = inputs[at] as Tensor;
  const states = outputs[0] as Tensor;
  if (!gStates && !gCells) return [];
  const g = gStates?.contiguous() ?? zeros(states.shape, { device: states.device });
  const gLast = gCells ? [last(gCells, reverse).contiguous()] : [];
  const results = walkBackward([weight, ...outputs, g, ...gLast], { cell, reverse, biased: gLast.length > 0 });
  const [gx, gh, further] = results as readonly [Tensor, Tensor, Tensor?];
  const sums = cell === 'gru' ? (further as Tensor) : gx;
  const flat = (x: Tensor): Tensor => x.reshape([x.sizeAt(0) * x.sizeAt(1), x.sizeAt(2)]);
  const gWeight = needs[at] ? gemm('recurrentBackward', flat(sums).t(), flat(before(states, reverse))) : null;
  const hidden = states.sizeAt(2);
  const gBias = biased ? [fuseSum('recurrentBackward', [sums.narrow(2, 2 * hidden, hidden)], input(0), [0, 1])] : [];
  return [gx, gh, ...(cell === 'lstm' ? [further as Tensor] : []), gWeight, ...gBias];
}

/** Inputs: weight, the outputs of the walk, the gradient of its states[, of the last cells]. */
const walkBackward: Op<[inputs: readonly Tensor[], params: WalkParams], readonly Tensor[]> = defineOp({
  name: 'recurrentBackward',
  args: (inputs: readonly Tensor[], params: WalkParams) => ({ inputs, params }),
  infer: ([, states], { cell }: WalkParams) => {
    const [steps = 1, batch = 0, hidden = 0] = (states as Spec).shape;
    const sums = specOf('float32', [steps - 1, batch, gateCounts[cell] * hidden]);
    const state = specOf('float32', [batch, hidden]);
    return [sums, state, ...(cell === 'lstm' ? [state] : cell === 'gru' ? [sums] : [])];
  },
  kernel: (params: WalkParams) => kernelOf('backward', params),
  result: (outputs) => outputs,
  *samples() {},
  torch: null,
});

const rows = new Map<Cell, ReturnType<Runner>>();

/** The walk's output (time, batch, hidden) and last states, from one kernel. `bias` is added to the state's part of the gates. */
export function fusedWalk(
  compose: ComposedWalk,
  cell: Cell,
  projected: Tensor,
  first: State,
  weightHh: Tensor,
  bias: Tensor | null,
  { reverse = false }: Direction,
): readonly [output: Tensor, ...last: Tensor[]] {
  let row = rows.get(cell);
  if (row === undefined) {
    row = walkRow(compose);
    rows.set(cell, row);
  }
  const inputs = [projected.contiguous(), ...first.map((s) => s.contiguous()), weightHh, ...(bias ? [bias.contiguous()] : [])];
  const [states, , cells] = row(inputs, { cell, reverse, biased: bias !== null }) as readonly [Tensor, Tensor?, Tensor?];
  const ends = [states, ...(cells ? [cells] : [])].map((s) => last(s, reverse));
  return [after(states, reverse), ...ends];
}
