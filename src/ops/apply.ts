import { dtypes } from '../core/dtype.js';
import { internal, KernelError, LibError } from '../core/errors.js';
import { formatShape } from '../core/shape.js';
import { type Spec, specOf } from '../core/spec.js';
import type { Backend, Executable, Storage } from '../program/backend.js';
import type { Kernel } from '../program/kernel.js';
import { leaked, SymbolicStorage, setCapture } from '../tensor/capturing.js';
import { type Edge, GradNode, type GradRule, type Recording, UNSAVED } from '../tensor/graph.js';
import { Tensor } from '../tensor/tensor.js';
import type { Canonical, KernelRow, LiveScalars } from './define.js';

/** What a call with given specs and params comes to: decided once, then reused by every such call. */
export interface Plan {
  readonly name: string;
  readonly kernel: Kernel;
  readonly inputs: readonly Spec[];
  readonly outputs: readonly Spec[];
  readonly device: Backend;
  /** @internal Made by the eager executor when the plan first runs. */
  executable: Executable | null;
}

/** What runs a plan: the eager executor, or a tracer that records it. Nothing above knows which. */
export interface Executor {
  /** With `into`, results are written over those tensors (in place); else outputs are new. */
  run(plan: Plan, inputs: readonly Tensor[], scalars: readonly number[], into?: readonly Tensor[], live?: LiveScalars): Tensor[];
}

/** @internal A row as `defineOp` prepares it. */
export interface Definition extends KernelRow<readonly unknown[], unknown, unknown> {
  readonly plans: Map<string, Plan>;
  readonly foreign: boolean;
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
    if (buffers.length !== n) {
      buffers.length = n; // costs more than the comparison
      offsets.length = n;
    }
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
const requiresGrad = (t: Tensor): boolean => t.requiresGrad;

/** Whether a step with these inputs goes into the graph, or has tangents to carry. */
export const isRecorded = (inputs: readonly Tensor[]): boolean => tangentTap !== null || (gradEnabled && inputs.some(requiresGrad));

function planFor(
  definition: Definition,
  inputs: readonly Tensor[],
  params: unknown,
  key: string | undefined,
  into?: readonly Tensor[],
): Plan {
  const first = inputs[0] ?? into?.[0];
  const device = first?.device ?? (params as { readonly device: Backend }).device;
  let name = `${device.id}`;
  for (let i = 0; i < inputs.length; i++) name += `,${(inputs[i] as Tensor).spec.id}`;
  if (into !== undefined) for (const t of into) name += `>${t.spec.id}`;
  if (key !== undefined) name += `;${key}`;
  else if (params !== null) name += `;${JSON.stringify(params)}`;
  return definition.plans.get(name) ?? makePlan(definition, inputs, params, device, name, into);
}

function makePlan(
  definition: Definition,
  tensors: readonly Tensor[],
  params: unknown,
  device: Backend,
  key: string,
  into?: readonly Tensor[],
): Plan {
  const stranger = tensors.find((t) => t.device !== device);
  if (stranger) {
    throw new LibError(
      'device',
      `${definition.name}: all tensors must be on one device, got ${device.name} and ${stranger.device.name}.`,
      'move one with to(device).',
    );
  }
  const inputs = tensors.map((t) => t.spec);
  const inferred = definition.infer(inputs, params);
  const outputs = (Array.isArray(inferred) ? (inferred as readonly Spec[]) : [inferred as Spec]).map(dense);
  const plan: Plan = {
    name: definition.name,
    kernel: definition.kernel(params, inputs),
    inputs,
    outputs: into === undefined ? outputs : checkInto(definition.name, outputs, into),
    device,
    executable: null,
  };
  definition.plans.set(key, plan);
  return plan;
}

/** New tensors are dense, also where a row's `infer` hands on the spec of a strided input. */
const dense = (spec: Spec): Spec => (spec.contiguous ? spec : specOf(spec.dtype, spec.shape));

function checkInto(name: string, outputs: readonly Spec[], into: readonly Tensor[]): Spec[] {
  return outputs.map((spec, i) => {
    const target = into[i]?.spec ?? spec;
    if (`${target.shape}` !== `${spec.shape}`) {
      throw new LibError(
        'shape',
        `${name}_: the result must have the shape of the tensor written to, got (${spec.shape}) into (${target.shape}).`,
      );
    }
    if (dtypes[target.dtype].rank < dtypes[spec.dtype].rank && dtypes[target.dtype].kind !== dtypes[spec.dtype].kind) {
      throw new LibError('dtype', `${name}_: the result must fit the tensor written to, got ${spec.dtype} into ${target.dtype}.`);
    }
    return target;
  });
}

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
  const wanted = savedPositions(definition, params, edges);
  const saved: (Tensor | null)[] = [];
  for (let i = 0; i < inputs.length; i++) saved.push(wanted.includes(i) ? (inputs[i] as Tensor) : null);
  for (const out of outputs) saved.push(wanted.includes('output') ? out : null);
  const recording: Recording<unknown> = {
    name: definition.name,
    rule: definition.grad as GradRule<unknown>,
    params,
    scalars,
    inputSpecs: plan.inputs,
    outputSpecs: plan.outputs,
    device: plan.device,
    foreign: definition.foreign,
  };
  attach(new GradNode(recording, edges, saved), inputs, outputs, definition.differentiable);
}

/** Hangs a recorded step on its outputs. */
export function attach(node: GradNode, inputs: readonly Tensor[], outputs: readonly Tensor[], differentiable?: readonly number[]): void {
  const wanted = gradEnabled && node.edges.some((e) => e !== null);
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

function savedPositions({ saves }: Definition, params: unknown, edges: readonly (Edge | null)[]): readonly (number | 'output')[] {
  if (saves === undefined) return NO_SAVES;
  if (typeof saves !== 'function') return saves;
  return saves(
    params,
    edges.map((e) => e !== null || tangentTap !== null),
  );
}
const NO_SAVES: readonly (number | 'output')[] = [];

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
  const wanted = savedPositions(definition, params, edges);
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
