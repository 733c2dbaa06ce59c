import { internal } from '../core/errors.js';
import { type Spec, specOf } from '../core/spec.js';
import { GradNode, type GradRule, type Recording } from '../tensor/graph.js';
import { Tensor } from '../tensor/tensor.js';
import { attach, edgeOf, isRecorded } from './apply.js';
import type { Canonical, ViewLayout, ViewRow } from './define.js';

/** @internal */
export interface ViewDefinition extends ViewRow<readonly unknown[], unknown> {
  readonly layouts: Map<string, { readonly spec: Spec; readonly offset: number }>;
}

/** A view: the same bytes under another layout. Never runs a kernel. */
export function applyView(definition: ViewDefinition, { inputs, params, key }: Canonical<unknown>): Tensor {
  const x = inputs[0] as Tensor;
  const name = `${x.spec.id};${key ?? JSON.stringify(params)}`;
  let layout = definition.layouts.get(name);
  if (layout === undefined) {
    const { shape, strides, offset } = definition.view(x.spec, params);
    layout = { spec: specOf(x.spec.dtype, shape, strides), offset };
    definition.layouts.set(name, layout);
  }
  const view = new Tensor(layout.spec, x.storage, x.offset + layout.offset, x.device);
  view.viewOf = x.viewOf ?? x;
  if (isRecorded(inputs)) recordView(definition, x, view, params);
  return view;
}

/** The gradient of any view: set the gradient into zeros where the view lies. Told by the table, as it is an op. */
export type ViewAdjoint = (gradient: Tensor, base: Spec, view: ViewLayout) => Tensor;
const adjoint: { of: ViewAdjoint | null } = { of: null };
/** @internal */
export function setViewAdjoint(of: ViewAdjoint): void {
  adjoint.of = of;
}

function recordView(definition: ViewDefinition, x: Tensor, view: Tensor, params: unknown): void {
  const rule: GradRule<unknown> = ([g], { inputs: [base] }) => {
    if (!g || !base) return [null];
    if (definition.grad) return [definition.grad(g, base.spec, params)];
    if (adjoint.of === null) throw internal('no view adjoint is installed');
    // The gradient of the base is dense, whatever the base's own strides are.
    return [adjoint.of(g, base.spec, definition.view(specOf(base.dtype, base.shape), params))];
  };
  const recording: Recording<unknown> = {
    name: definition.name,
    rule,
    params,
    scalars: [],
    inputSpecs: [x.spec],
    outputSpecs: [view.spec],
    device: x.device,
    foreign: false,
  };
  attach(new GradNode(recording, [edgeOf(x)], [null, null]), [x], [view]);
}
