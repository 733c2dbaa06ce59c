// Layers one by one: how a row of layerRows.mjs becomes a call of this library and a request to PyTorch.
import * as cr from 'chainrule';
import { Module } from 'chainrule/nn';
import { rows } from './layerRows.mjs';

/** Inputs that a row names by kind. Those with `grad` are leaves; peers/torchLayers.py makes the same. */
const makers = {
  normal: ({ shape }) => cr.randn(shape),
  uniform: ({ shape }) => cr.rand(shape),
  integers: ({ shape, high }) => cr.randint(0, high, shape),
  signs: ({ shape }) => cr.randint(0, 2, shape).to('float32').mul(2).sub(1),
  logProbabilities: ({ shape }) => cr.logSoftmax(cr.randn(shape)),
  definite: ({ shape: [n] }) => {
    const a = cr.randn([n, n]);
    return a.matmul(a.t()).div(n).add(cr.eye(n));
  },
  symmetric: ({ shape: [n] }) => {
    const a = cr.randn([n, n]);
    return a.add(a.t());
  },
  /** Additive: -inf above the diagonal. */
  causal: ({ shape }) => cr.full(shape, Number.NEGATIVE_INFINITY).triu({ diagonal: 1 }),
  /** Of a batch (first dim): true where an item has no more elements. */
  padding: ({ shape: [n, length] }) => cr.arange(length).unsqueeze(0).ge(cr.arange(n).unsqueeze(1).mul(-3).add(length)),
};

const makeInput = (of) => {
  const made = makers[of.kind](of);
  return of.grad ? made.detach().requiresGrad_() : made;
};

/** Forward and backward from a fixed gradient; what is computed is given or lies in `.grad`, so that nothing of it can be left out. */
function forwardBackward(call, inputs) {
  const run = call instanceof Module ? (...args) => call.forward(...args) : call;
  const leaves = [...inputs.filter((x) => x.requiresGrad), ...(call instanceof Module ? call.parameters() : [])];
  const first = (result) => (cr.isTensor(result) ? result : Object.values(result)[0]);
  const shape = first(run(...inputs)).shape;
  const gradient = shape.length === 0 ? undefined : cr.randn(shape);
  return () => {
    for (const leaf of leaves) leaf.grad = null;
    const y = first(run(...inputs));
    if (leaves.length > 0) y.backward({ gradient });
    return y;
  };
}

const parameters = () => Array.from({ length: 16 }, () => new cr.Parameter(cr.randn([256, 256])));

/** A step of an optimizer over 16 matrices, 2²⁰ numbers, with gradients that stay. */
function optimizerStep(build) {
  const params = parameters();
  for (const p of params) p.grad = cr.randn([256, 256]);
  const optimizer = build(params);
  return () => optimizer.step();
}

export const layers = rows.map(({ name, inputs, ours, torch, step = false }) => ({
  name,
  group: 'layers',
  flops: 0,
  /** What the PyTorch peer needs to know. */
  request: { inputs, torch, step },
  make: step ? () => optimizerStep(ours) : () => forwardBackward(ours(), inputs.map(makeInput)),
}));
