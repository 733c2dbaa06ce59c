import { dtypes } from '../core/dtype.js';
import { internal, LibError } from '../core/errors.js';
import { type Spec, specOf } from '../core/spec.js';
import { GradNode, type GradRule, type Recording } from '../tensor/graph.js';
import { Tensor } from '../tensor/tensor.js';
import { attach, edgeOf, isRecorded } from './apply.js';
import type { Canonical, ViewLayout, ViewRow } from './define.js';

/** @internal */
export interface ViewDefinition extends ViewRow<readonly unknown[], unknown> {
  readonly layouts: Map<string, Layout>;
}

interface Layout {
  readonly spec: Spec;
  readonly offset: number;
  /** Distance of the last element from the base's first; -1 where there is none. */
  readonly reach: number;
}

/** A view: the same bytes under another layout. Never runs a kernel. */
export function applyView(definition: ViewDefinition, { inputs, params, key }: Canonical<unknown>): Tensor {
  const x = inputs[0] as Tensor;
  const name = `${x.spec.id};${key ?? JSON.stringify(params)}`;
  let layout = definition.layouts.get(name);
  if (layout === undefined) {
    layout = layoutOf(definition, x.spec, params);
    definition.layouts.set(name, layout);
  }
  if ((x.offset + layout.reach) * dtypes[x.dtype].bytes >= x.storage.byteLength && layout.reach >= 0) throw outside(definition, x, layout);
  const view = new Tensor(layout.spec, x.storage, x.offset + layout.offset, x.device);
  view.viewOf = x.viewOf ?? x;
  if (isRecorded(inputs)) recordView(definition, x, view, params);
  return view;
}

function layoutOf({ name, view }: ViewDefinition, base: Spec, params: unknown): Layout {
  const { shape, strides, ...found } = view(base, params);
  const offset = shape.includes(0) ? 0 : found.offset; // nothing is read, from nowhere
  const whole = (n: number): boolean => Number.isInteger(n) && n >= 0;
  if (!whole(offset) || !shape.every(whole) || !strides.every(whole)) {
    const got = `sizes [${shape.join(', ')}], strides [${strides.join(', ')}] and offset ${offset}`;
    throw new LibError('value', `${name}: sizes, strides and offset must be whole numbers of at least 0, got ${got}.`);
  }
  const spec = specOf(base.dtype, shape, strides);
  const reach = shape.reduce((sum, size, i) => sum + (size - 1) * (strides[i] ?? 0), offset);
  return { spec, offset, reach: spec.size === 0 ? -1 : reach };
}

/** Only layouts that the caller gives can reach further than their base. */
function outside({ name }: ViewDefinition, x: Tensor, { reach }: Layout): LibError {
  const room = x.storage.byteLength / dtypes[x.dtype].bytes - x.offset;
  return new LibError('index', `${name}: the view must lie inside the tensor's memory, got element ${reach} of ${room}.`);
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
