import { attach, edgeOf, isGradEnabled } from '../ops/apply.js';
import { GradNode } from '../tensor/graph.js';
import { isTensor, Tensor } from '../tensor/tensor.js';
import type { AnyModule } from './module.js';

export type ForwardPreHook = (module: AnyModule, inputs: readonly unknown[]) => unknown;
export type ForwardHook = (module: AnyModule, inputs: readonly unknown[], output: unknown) => unknown;
/** Gradients in the order of the tensors among inputs and outputs; null where none arrived or none is wanted. */
export type BackwardHook = (
  module: AnyModule,
  gradInput: readonly (Tensor | null)[],
  gradOutput: readonly (Tensor | null)[],
) => readonly (Tensor | null)[] | undefined;

interface Hooks {
  readonly pre: Set<ForwardPreHook>;
  readonly forward: Set<ForwardHook>;
  readonly backward: Set<BackwardHook>;
}
interface Hooked {
  forward: (...inputs: readonly unknown[]) => unknown;
  [HOOKS]?: Hooks;
}
const HOOKS: unique symbol = Symbol('hooks');

/** Hooks a module: its `forward` is wrapped while it has hooks, and only then. */
export function addHook<K extends keyof Hooks>(module: AnyModule, kind: K, hook: Hooks[K] extends Set<infer H> ? H : never): () => void {
  const target = module as unknown as Hooked;
  const hooks = target[HOOKS] ?? wrap(module, target);
  const set = hooks[kind] as Set<unknown>;
  set.add(hook);
  return () => {
    set.delete(hook);
    if (hooks.pre.size + hooks.forward.size + hooks.backward.size > 0 || target[HOOKS] !== hooks) return;
    Reflect.deleteProperty(target, 'forward');
    Reflect.deleteProperty(target, HOOKS);
  };
}

function wrap(module: AnyModule, target: Hooked): Hooks {
  const hooks: Hooks = { pre: new Set(), forward: new Set(), backward: new Set() };
  const original = target.forward;
  Object.defineProperty(target, HOOKS, { value: hooks, configurable: true });
  Object.defineProperty(target, 'forward', {
    configurable: true,
    writable: true,
    enumerable: false,
    value: (...given: readonly unknown[]): unknown => {
      let inputs = given;
      for (const h of hooks.pre) inputs = replaced(h(module, inputs), inputs);
      const pass = hooks.backward.size === 0 ? null : new Pass(module, hooks.backward);
      inputs = pass === null ? inputs : (pass.inputs(inputs) as readonly unknown[]);
      let output = original.call(module, ...inputs);
      for (const h of hooks.forward) output = h(module, inputs, output) ?? output;
      return pass === null ? output : pass.outputs(output);
    },
  });
  return hooks;
}

function replaced(result: unknown, inputs: readonly unknown[]): readonly unknown[] {
  if (result === undefined || result === null) return inputs;
  return Array.isArray(result) ? result : [result];
}

/** One pass through a module whose gradients are watched at both of its ends. */
class Pass {
  private gradOutput: readonly (Tensor | null)[] = [];
  private waits = false;

  constructor(
    private readonly module: AnyModule,
    private readonly hooks: ReadonlySet<BackwardHook>,
  ) {}

  inputs(values: unknown): unknown {
    return through(
      'moduleInputs',
      values,
      (gradInput) => this.call(gradInput),
      () => (this.waits = true),
    );
  }
  outputs(values: unknown): unknown {
    return through('moduleOutputs', values, (gradOutput) => {
      this.gradOutput = gradOutput;
      if (!this.waits) this.call([]); // nobody wants gradients of the inputs
      return gradOutput;
    });
  }

  private call(gradInput: readonly (Tensor | null)[]): readonly (Tensor | null)[] {
    let gradients = gradInput;
    for (const h of this.hooks) gradients = h(this.module, gradients, this.gradOutput) ?? gradients;
    return gradients;
  }
}

/** The tensors among values pass through one step of the graph that does nothing but show their gradients, all at once. */
function through(
  name: string,
  values: unknown,
  seen: (gradients: readonly (Tensor | null)[]) => readonly (Tensor | null)[],
  onRecord: () => void = () => undefined,
): unknown {
  const list = Array.isArray(values) ? (values as readonly unknown[]) : [values];
  const tensors = list.filter(isTensor);
  if (!isGradEnabled() || !tensors.some((t) => t.requiresGrad)) return values;
  onRecord();
  const outputs = tensors.map((t) => new Tensor(t.spec, t.storage, t.offset, t.device));
  const specs = tensors.map((t) => t.spec);
  const node = new GradNode(
    {
      name,
      rule: (gradients) => seen(gradients),
      params: null,
      scalars: [],
      inputSpecs: specs,
      outputSpecs: specs,
      device: (tensors[0] as Tensor).device,
      foreign: true, // hooks may keep what they see
    },
    tensors.map(edgeOf),
    [...tensors, ...tensors].map(() => null),
  );
  attach(node, tensors, outputs);
  let next = 0;
  const passed = list.map((v) => (isTensor(v) ? outputs[next++] : v));
  return Array.isArray(values) ? passed : passed[0];
}
