import type { Storage } from '../program/backend.js';
import { GradNode, type Recording } from '../tensor/graph.js';
import type { Tensor } from '../tensor/tensor.js';
import { attach, edgeOf, isRecorded, setAllocationListener, setGradEnabled, setTangentTap } from './apply.js';
import type { Canonical, CustomRow } from './define.js';

/** @internal */
export interface CustomDefinition extends CustomRow<readonly unknown[], unknown, unknown> {
  readonly foreign: boolean;
}

/** A custom row: many kernels, one step of the graph. */
export function applyCustom(definition: CustomDefinition, { inputs, params, scalars = [] }: Canonical<unknown>): readonly Tensor[] {
  const outputs = runForward(definition, inputs, params);
  if (outputs.length === 0 || !isRecorded(inputs)) return outputs;
  const { name, grad, saves, keeps, foreign, differentiable } = definition;
  const saved = [...inputs.map((x, i) => (saves?.includes(i) ? x : null)), ...outputs.map((y, i) => (keeps?.includes(i) ? y : null))];
  const recording: Recording<unknown> = {
    name,
    rule: grad,
    params,
    scalars,
    inputSpecs: inputs.map((x) => x.spec),
    outputSpecs: outputs.map((y) => y.spec),
    device: (outputs[0] as Tensor).device,
    foreign,
  };
  attach(new GradNode(recording, inputs.map(edgeOf), saved), inputs, outputs, differentiable);
  return outputs;
}

/** Runs `body` outside the graph: its ops are not recorded and carry no tangents. */
export function unrecorded<T>(body: () => T): T {
  const tap = setTangentTap(null);
  const recorded = setGradEnabled(false);
  try {
    return body();
  } finally {
    setGradEnabled(recorded);
    setTangentTap(tap);
  }
}

/** Runs a custom row's forward without recording, and frees what it made on the way. */
function runForward(definition: CustomDefinition, inputs: readonly Tensor[], params: unknown): readonly Tensor[] {
  const made: Storage[] = [];
  const listener = setAllocationListener((storage) => made.push(storage));
  let outputs: readonly Tensor[];
  try {
    outputs = unrecorded(() => definition.forward(inputs, params));
  } finally {
    setAllocationListener(listener);
  }
  for (const storage of made) {
    if (outputs.some((y) => y.storage === storage)) listener?.(storage);
    else if (!definition.foreign) (outputs[0] as Tensor).device.release(storage);
  }
  return outputs;
}
