import type { Shape } from '../../core/shape.js';
import { specOf } from '../../core/spec.js';
import type { CopyKernel, Kernel, Place } from '../kernel.js';
import type { ProgramOperand, Step } from '../program.js';
import type { BufferFacts } from './fuse.js';

type Joining = Step & { readonly kernel: CopyKernel & { readonly places: readonly Place[] } };

/** Where a buffer is made, if by one step only, and how many steps read it. */
interface Traffic {
  readonly maker: ReadonlyMap<number, number | null>;
  readonly readers: ReadonlyMap<number, number>;
}

/**
 * What is only made to be joined with others (`cat`, `stack`, the gradient of a split) is written where it belongs at once, and the
 * copy falls away. For kernels that write with any strides.
 */
export function writeInPlace<S extends Step>(steps: readonly S[], facts: Pick<BufferFacts, 'isTemporary'>): S[] {
  const out: (S | null)[] = [...steps];
  const traffic = trafficOf(steps);
  steps.forEach((step, at) => {
    if (!isJoining(step) || !isWhole(step, traffic, facts)) return;
    const left = step.inputs.filter((x, i) => !redirect(out, step, x, step.kernel.places[i] as Place, traffic, facts));
    if (left.length === step.inputs.length) return;
    const places = left.map((x) => step.kernel.places[step.inputs.indexOf(x)] as Place);
    out[at] = left.length === 0 ? null : { ...step, inputs: left, kernel: { ...step.kernel, places } };
  });
  return out.filter((step) => step !== null);
}

function isJoining(step: Step): step is Joining {
  const { kernel } = step;
  return kernel.family === 'copy' && kernel.places !== undefined && kernel.fill === undefined && !kernel.accumulate;
}

/** The joined value is the copy's alone: nobody sees it half written. */
function isWhole({ outputs: [made], inputs }: Joining, { maker }: Traffic, { isTemporary }: Pick<BufferFacts, 'isTemporary'>): boolean {
  if (made === undefined || !isTemporary(made.buffer) || typeof maker.get(made.buffer) !== 'number') return false;
  return made.offset === 0 && made.spec.contiguous && new Set(inputs.map((x) => x.buffer)).size === inputs.length;
}

function trafficOf(steps: readonly Step[]): Traffic {
  const maker = new Map<number, number | null>();
  const readers = new Map<number, number>();
  steps.forEach(({ inputs, outputs }, at) => {
    for (const { buffer } of outputs) maker.set(buffer, maker.has(buffer) ? null : at);
    for (const buffer of new Set(inputs.map((x) => x.buffer))) readers.set(buffer, (readers.get(buffer) ?? 0) + 1);
  });
  return { maker, readers };
}

/** Lets the maker of `x` write to its place; false where it cannot. */
function redirect<S extends Step>(
  steps: (S | null)[],
  { outputs: [joined] }: Joining,
  x: ProgramOperand,
  place: Place,
  { maker, readers }: Traffic,
  { isTemporary }: Pick<BufferFacts, 'isTemporary'>,
): boolean {
  const from = maker.get(x.buffer);
  const step = typeof from === 'number' ? steps[from] : null;
  if (typeof from !== 'number' || !step || !isTemporary(x.buffer) || readers.get(x.buffer) !== 1 || !writesAnywhere(step.kernel))
    return false;
  const made = step.outputs.find((y) => y.buffer === x.buffer) as ProgramOperand;
  if (joined === undefined || made.spec.dtype !== joined.spec.dtype || made.spec.size !== x.spec.size) return false;
  if (!made.spec.contiguous || !x.spec.contiguous || made.offset !== 0 || x.offset !== 0) return false;
  const strides = stridesThrough(made.spec.shape, x.spec.shape, place.strides);
  if (strides === null || strides.at(-1) !== 1) return false;
  const operand = { buffer: joined.buffer, spec: specOf(made.spec.dtype, made.spec.shape, strides), offset: place.offset };
  steps[from] = { ...step, outputs: step.outputs.map((y) => (y === made ? operand : y)) };
  return true;
}

const writesAnywhere = (kernel: Kernel): boolean =>
  kernel.family === 'map' || kernel.family === 'attention' || (kernel.family === 'gemm' && kernel.views === 'dense');

/** Strides of `shape` for a dense value that lies with `strides` when seen in the shape `seen`; null where no strides say it. */
function stridesThrough(shape: Shape, seen: Shape, strides: readonly number[]): number[] | null {
  const out = shape.map(() => 1);
  let d = seen.length;
  let [left, stride] = [1, 1];
  for (let i = shape.length - 1; i >= 0; i--) {
    const size = shape[i] as number;
    if (size === 1) continue;
    while (left === 1 && d > 0) [left, stride] = [seen[--d] as number, strides[d] as number];
    if (left % size !== 0) return null;
    out[i] = stride;
    stride *= size;
    left /= size;
  }
  return out;
}
