import { dtypes } from '../core/dtype.js';
import { internal, KernelError, LibError } from '../core/errors.js';
import { formatShape } from '../core/shape.js';
import type { Spec } from '../core/spec.js';
import type { Executable, Storage } from '../program/backend.js';
import { leaked, SymbolicStorage, setCapture } from '../tensor/capturing.js';
import { type Edge, GradNode, type GradRule, type Recording, UNSAVED } from '../tensor/graph.js';
import { Tensor } from '../tensor/tensor.js';
import type { Canonical, LiveScalars } from './define.js';
import { type Definition, type Plan, planFor, type Saves } from './plans.js';

export type { Definition, Plan };

/** What runs a plan: the eager executor, or a tracer that records it. Nothing above knows which. */
export interface Executor {
  /** With `into`, results are written over those tensors (in place); else outputs are new. */
  run(plan: Plan, inputs: readonly Tensor[], scalars: readonly number[], into?: readonly Tensor[], live?: LiveScalars): Tensor[];
}

/** Observes storages that the eager executor makes: backward and composites recycle through it. */
export type AllocationListener = (storage: Storage) => void;
let onAllocate: AllocationListener | null = null;
/** @internal Installs a listener and returns the previous one. */
export function setAllocationListener(listener: AllocationListener | null): AllocationListener | null {
  const before = onAllocate;
  onAllocate = listener;
  return before;
}

const buffers: Storage[] = [];
const offsets: number[] = [];
/** From so many on, the lists above are cut behind the call. */
const MANY = 16;

/** Runs each plan at once, as a program of length one. */
export const eager: Executor = {
  run(plan, inputs, scalars, into) {
    const { device, outputs } = plan;
    plan.executable ??= compilePlan(plan);
    const results: Tensor[] = [];
    let n = 0;
    for (let i = 0; i < outputs.length; i++) {
      const spec = outputs[i] as Spec;
      const out = into?.[i] ?? new Tensor(spec, device.allocate(spec.bytes), 0, device);
      if (into === undefined) onAllocate?.(out.storage);
      else out.storage.version++;
      results.push(out);
      buffers[n] = out.storage;
      offsets[n++] = out.offset * dtypes[spec.dtype].bytes;
    }
    for (let i = 0; i < inputs.length; i++) {
      const x = inputs[i] as Tensor;
      if (x.storage === UNSAVED) throw internal(`${plan.name} was given a value that its op did not save`);
      buffers[n] = x.storage;
      offsets[n++] = x.offset * dtypes[x.spec.dtype].bytes;
    }
    for (let i = n; i < buffers.length; i++) buffers[i] = UNSAVED; // keeps nothing alive, and costs less than a new length
    if (buffers.length > MANY) buffers.length = offsets.length = n;
    try {
      plan.executable.run(buffers, offsets, scalars);
    } catch (error) {
      if (buffers.some((storage) => storage instanceof SymbolicStorage)) throw leaked(plan.name);
      throw named(plan.name, error);
    }
    return results;
  },
};

/** @internal Throws where the device cannot run the plan. */
export function checkSupported({ kernel, inputs, outputs, device, name }: Plan): void {
  const types = [...outputs, ...inputs].map((s) => s.dtype);
  if (device.supports(kernel, types)) return;
  throw new LibError('dtype', `${name}: ${device.name} has no ${kernel.family} kernel for these types, got ${types.join(', ')}.`);
}

function compilePlan(plan: Plan): Executable {
  checkSupported(plan);
  const { kernel, inputs, outputs, device } = plan;
  const used = [...outputs, ...inputs];
  const operand = (spec: Spec, buffer: number) => ({ buffer, spec, offset: 0 });
  const step = {
    kernel,
    outputs: outputs.map(operand),
    inputs: inputs.map((spec, i) => operand(spec, outputs.length + i)),
    scalarBase: 0,
  };
  return device.compile({ steps: [step], buffers: used.length, scalars: 8 });
}

/** @internal The error of a kernel, as the user of an op sees it. */
export function named(op: string, error: unknown): unknown {
  if (!(error instanceof KernelError)) return error;
  const fallback = error.code === 'index' ? 'indices must lie inside the tensor' : 'the engine must be able to run the call';
  const { rule = fallback } = error;
  return new LibError(error.code, `${op}: ${rule}, got ${error.facts}.`);
}

let executor: Executor = eager;
let gradEnabled = true;

export const currentExecutor = (): Executor => executor;
/** @internal Installs another executor and returns the previous one. */
export function setExecutor(next: Executor): Executor {
  const before = executor;
  executor = next;
  return before;
}

/** Runs `body` eagerly, also while a program is being captured: for state that must outlive the capture. */
export function eagerly<T>(body: () => T): T {
  const [outer, capture] = [setExecutor(eager), setCapture(null)];
  try {
    return body();
  } finally {
    setExecutor(outer);
    setCapture(capture);
  }
}

export const isGradEnabled = (): boolean => gradEnabled;
/** @internal Prefer {@link noGrad} and {@link enableGrad}. */
export function setGradEnabled(value: boolean): boolean {
  const before = gradEnabled;
  gradEnabled = value;
  return before;
}

/** Forward mode's tap: called after each differentiable step while tangents are being carried. */
export type TangentTap = (node: GradNode, inputs: readonly Tensor[], outputs: readonly Tensor[]) => void;
let tangentTap: TangentTap | null = null;
/** @internal */
export function setTangentTap(tap: TangentTap | null): TangentTap | null {
  const before = tangentTap;
  tangentTap = tap;
  return before;
}

/** The waist of the library: every op with a kernel, eager or captured, forward or backward, passes through here. */
export function apply(
  definition: Definition,
  { inputs, params, scalars = NO_SCALARS, live, key }: Canonical<unknown>,
  into?: readonly Tensor[],
): readonly Tensor[] {
  const plan = planFor(definition, inputs, params, key, into);
  const record = definition.grad !== undefined && isRecorded(inputs);
  if (into !== undefined) return applyInPlace(definition, plan, { inputs, params, scalars, live }, into, record);
  const outputs = executor.run(plan, inputs, scalars, undefined, live);
  if (record) recordStep(definition, plan, inputs, params, scalars, outputs);
  return outputs;
}

const NO_SCALARS: readonly number[] = [];
const isEdge = (e: Edge | null): boolean => e !== null;
const requiresGrad = (t: Tensor): boolean => t.requiresGrad;

/** Whether a step with these inputs goes into the graph, or has tangents to carry. */
export const isRecorded = (inputs: readonly Tensor[]): boolean => tangentTap !== null || (gradEnabled && inputs.some(requiresGrad));

/** Where the gradient of `t` goes; null when nobody wants it. */
export function edgeOf(t: Tensor): Edge | null {
  if (!t.requiresGrad) return null;
  return t.node === null ? { node: null, output: 0, leaf: t } : { node: t.node, output: t.outputIndex, leaf: null };
}

function recordStep(
  definition: Definition,
  plan: Plan,
  inputs: readonly Tensor[],
  params: unknown,
  scalars: readonly number[],
  outputs: readonly Tensor[],
  edges: readonly (Edge | null)[] = inputs.map(edgeOf),
): void {
  const wanted = savedPositions(definition, plan, params, edges);
  const saved: (Tensor | null)[] = [];
  for (let i = 0; i < inputs.length; i++) saved.push(wanted.includes(i) ? (inputs[i] as Tensor) : null);
  for (const out of outputs) saved.push(wanted.includes('output') ? out : null);
  attach(new GradNode(recordingOf(definition, plan, params, scalars), edges, saved), inputs, outputs, definition.differentiable);
}

function recordingOf({ name, grad, foreign }: Definition, plan: Plan, params: unknown, scalars: readonly number[]): Recording<unknown> {
  const { recording: last, inputs: inputSpecs, outputs: outputSpecs, device } = plan;
  if (last !== undefined && last.params === params && last.scalars === scalars) return last;
  const rule = grad as GradRule<unknown>;
  plan.recording = { name, rule, params, scalars, inputSpecs, outputSpecs, device, foreign };
  return plan.recording;
}

/** Hangs a recorded step on its outputs. */
export function attach(node: GradNode, inputs: readonly Tensor[], outputs: readonly Tensor[], differentiable?: readonly number[]): void {
  const wanted = gradEnabled && node.edges.some(isEdge);
  for (let i = 0; i < outputs.length; i++) {
    const out = outputs[i] as Tensor;
    const flows = differentiable === undefined ? dtypes[out.spec.dtype].kind === 'float' : differentiable.includes(i);
    if (!wanted || !flows) continue;
    out.requiresGrad = true;
    out.node = node;
    out.outputIndex = i;
  }
  tangentTap?.(node, inputs, outputs);
}

function savedPositions({ saves }: Definition, plan: Plan, params: unknown, edges: readonly (Edge | null)[]): Saves {
  if (saves === undefined) return NO_SAVES;
  if (typeof saves !== 'function') return saves;
  let needs = edges.length > 30 ? Number.NaN : 0; // NaN is like no other
  for (let i = 0; i < edges.length; i++) needs = 2 * needs + Number(edges[i] !== null || tangentTap !== null);
  const { saved } = plan;
  if (saved !== undefined && saved.params === params && saved.needs === needs) return saved.positions;
  const positions = saves(
    params,
    edges.map((e) => e !== null || tangentTap !== null),
  );
  plan.saved = { params, needs, positions };
  return positions;
}
const NO_SAVES: Saves = [];

/** In place, with gradients: the tensor moves to a new place in the graph, whose edge leads to its old one. */
function applyInPlace(
  definition: Definition,
  plan: Plan,
  { inputs, params, scalars = NO_SCALARS, live }: Canonical<unknown>,
  into: readonly Tensor[],
  record: boolean,
): readonly Tensor[] {
  for (const target of into) checkWritable(`${definition.name}_`, target);
  if (!record) {
    const outputs = executor.run(plan, inputs, scalars, into, live);
    if (gradEnabled) for (const out of outputs) cut(out);
    return outputs;
  }
  const edges = inputs.map(edgeOf);
  const wanted = savedPositions(definition, plan, params, edges);
  // What the step saves of the old value must survive the write.
  const kept = inputs.map((x, i) => (wanted.includes(i) && into.some((t) => t.storage === x.storage) ? copyOf(x) : x));
  const outputs = executor.run(plan, inputs, scalars, into, live);
  recordStep(definition, plan, kept, params, scalars, outputs, edges);
  return outputs;
}

/** A tensor overwritten with values that depend on nothing leaves the graph. */
function cut(t: Tensor): void {
  if (!t.requiresGrad) return;
  t.requiresGrad = false;
  t.node = null;
}

/** Refuses writes that autograd could not follow. */
export function checkWritable(op: string, target: Tensor): void {
  if (!gradEnabled) return;
  if (target.requiresGrad && target.node === null) {
    throw new LibError(
      'grad',
      `${op}: a leaf that requires grad cannot be changed in place, got shape ${formatShape(target.shape)}.`,
      'wrap the write in noGrad(() => …).',
    );
  }
  if (target.viewOf?.requiresGrad) {
    throw new LibError(
      'grad',
      `${op}: a view of a tensor that requires grad cannot be changed in place, got shape ${formatShape(target.shape)}.`,
      'write to a clone(), or use where() or scatter() to build the new value.',
    );
  }
}

const bitCopy: { copy: ((x: Tensor) => Tensor) | null } = { copy: null };
/** @internal The clone op, told by the table: apply itself knows no op. */
export function setCopy(copy: (x: Tensor) => Tensor): void {
  bitCopy.copy = copy;
}
function copyOf(x: Tensor): Tensor {
  if (bitCopy.copy === null) throw internal('no copy op is installed');
  const before = setGradEnabled(false);
  try {
    return bitCopy.copy(x);
  } finally {
    gradEnabled = before;
  }
}
