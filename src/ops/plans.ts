import { dtypes } from '../core/dtype.js';
import { LibError } from '../core/errors.js';
import { type Spec, specOf } from '../core/spec.js';
import type { Backend, Executable } from '../program/backend.js';
import type { Kernel } from '../program/kernel.js';
import type { Recording } from '../tensor/graph.js';
import type { Tensor } from '../tensor/tensor.js';
import type { KernelRow } from './define.js';

/** What a call with given specs and params comes to: decided once, then reused by every such call. */
export interface Plan {
  readonly name: string;
  readonly kernel: Kernel;
  readonly inputs: readonly Spec[];
  readonly outputs: readonly Spec[];
  readonly device: Backend;
  /** @internal Made by the eager executor when the plan first runs. */
  executable: Executable | null;
  /** @internal Of the last call. */
  params?: unknown;
  /** @internal Of the last recorded call: the next one's is mostly the same. */
  recording?: Recording<unknown> | undefined;
  /** @internal What the last recorded call saved, by its params and needs. */
  saved?: SavedPositions | undefined;
}

export type Saves = readonly (number | 'output')[];
interface SavedPositions {
  readonly params: unknown;
  /** A bit for each input. */
  readonly needs: number;
  readonly positions: Saves;
}

/** @internal A row as `defineOp` prepares it. */
export interface Definition extends KernelRow<readonly unknown[], unknown, unknown> {
  readonly plans: Map<string, Plan>;
  /** The last plans, by their first input's spec: whether a call is like the last one is soon told. */
  recent?: Plan[];
  /** The key of params, where calls give none. */
  keyOf?(params: unknown): string;
  readonly foreign: boolean;
}

const RECENT = 8;

/** The plan of a call; calls that say the same share one. */
export function planFor(
  definition: Definition,
  inputs: readonly Tensor[],
  params: unknown,
  key: string | undefined,
  into?: readonly Tensor[],
): Plan {
  const [first] = inputs;
  if (first === undefined || into !== undefined) return namedPlan(definition, inputs, params, key, into);
  definition.recent ??= [];
  const slot = first.spec.id % RECENT;
  const last = definition.recent[slot];
  if (last !== undefined && last.params === params && last.device === first.device && isFor(last, inputs)) return last;
  const plan = namedPlan(definition, inputs, params, key);
  plan.params = params;
  definition.recent[slot] = plan;
  return plan;
}

function isFor(plan: Plan, inputs: readonly Tensor[]): boolean {
  if (plan.inputs.length !== inputs.length) return false;
  for (let i = 0; i < inputs.length; i++) if ((inputs[i] as Tensor).spec !== plan.inputs[i]) return false;
  return true;
}

function namedPlan(
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
  else if (definition.keyOf !== undefined) name += `;${definition.keyOf(params)}`;
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
    params: undefined, // fields from the start: plans are alike to the compiler
    recording: undefined,
    saved: undefined,
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
