import { LibError } from '../core/errors.js';
import { grad, noGrad } from '../tensor/autograd.js';
import { isTensor, type Tensor } from '../tensor/tensor.js';
import { type InitOptions, orthogonal_ } from './init.js';
import { leavesOf, weightOf } from './initModel.js';
import type { AnyModule } from './module.js';

/** Whether signals and gradients keep their size through a model that was just initialized, and LSUV, which makes them. */

export interface LayerAudit {
  readonly name: string;
  /** Of the layer's outputs. */
  readonly variance: number;
  readonly secondMoment: number;
  /** Of what the activation module behind it gives; of its outputs where none is. */
  readonly zeroFraction: number;
  /** Variance of the loss's gradient by the outputs; NaN where none comes. */
  readonly gradientVariance: number;
  /** Units whose weights equal another's: they will stay twins. */
  readonly duplicates: number;
}
export interface InitAudit {
  readonly layers: readonly LayerAudit[];
  readonly healthy: boolean;
  /** What is wrong, in words. */
  readonly problems: readonly string[];
}

type Seen = (name: string, layer: AnyModule, y: Tensor, inputs: readonly unknown[]) => void;

/** Runs `body` while every layer reports its outputs, or every one that `which` takes. */
function watchOutputs<T>(model: AnyModule, body: () => T, seen: Seen, which = hasWeight): T {
  const removers = leavesOf(model)
    .filter(([, layer]) => which(layer))
    .map(([name, layer]) => layer.registerForwardHook((m, inputs, y) => void (isTensor(y) && seen(name, m, y, inputs))));
  try {
    return body();
  } finally {
    for (const remove of removers) remove();
  }
}
const hasWeight = (layer: AnyModule): boolean => weightOf(layer) !== null;

const varianceOf = (x: Tensor): number => x.var({ correction: 0 }).itemNow();

function duplicatesOf(weight: Tensor): number {
  const rows = weight.detach().reshape([weight.sizeAt(0), -1]);
  const values = rows.toArray();
  const width = rows.sizeAt(1);
  const distinct = new Set(Array.from({ length: rows.sizeAt(0) }, (_, r) => Array.from(values.slice(r * width, (r + 1) * width)).join()));
  return rows.sizeAt(0) - distinct.size;
}

/**
 * One forward and backward pass of `run`, which gives a loss: per layer the moments of outputs and gradients, zeros, and twins. Healthy:
 * moments of neighbouring layers within a factor 2 of each other, and of the last and first within a factor 100.
 */
export function auditInit(model: AnyModule, run: () => Tensor): InitAudit {
  const outputs: { readonly name: string; readonly layer: AnyModule; readonly y: Tensor }[] = [];
  const activated = new Map<unknown, Tensor>(); // what activations made of each output
  const note: Seen = (name, layer, y, [x]) => void (hasWeight(layer) ? outputs.push({ name, layer, y }) : activated.set(x, y));
  const loss = watchOutputs(model, run, note, () => true);
  if (outputs.length === 0) throw new LibError('value', 'auditInit: the run must use layers of the model, got none.');
  const gradients = grad(
    loss,
    outputs.map(({ y }) => y),
    { allowUnused: true },
  );
  const layers = noGrad(() =>
    outputs.map(({ name, layer, y }, i) => {
      const values = y.detach();
      const g = gradients[i] ?? null;
      return {
        name,
        variance: varianceOf(values),
        secondMoment: values.square().mean().itemNow(),
        zeroFraction: (activated.get(y) ?? y).detach().eq(0).to(values.dtype).mean().itemNow(),
        gradientVariance: g ? varianceOf(g) : Number.NaN,
        duplicates: duplicatesOf(weightOf(layer) as Tensor),
      };
    }),
  );
  const problems = [
    ...ratioProblems('second moment of outputs', layers, (l) => l.secondMoment),
    ...ratioProblems('variance of gradients', layers, (l) => l.gradientVariance),
    ...layers
      .filter((l) => l.duplicates > 0)
      .map((l) => `${l.name}: ${l.duplicates} units have the weights of another and will stay its twins`),
  ];
  return { layers, healthy: problems.length === 0, problems };
}

function ratioProblems(what: string, layers: readonly LayerAudit[], of: (layer: LayerAudit) => number): string[] {
  const values = layers.map((l) => [l.name, of(l)] as const).filter(([, v]) => !Number.isNaN(v));
  const found: string[] = [];
  for (let i = 1; i < values.length; i++) {
    const [[before, x], [name, y]] = [values[i - 1] as readonly [string, number], values[i] as readonly [string, number]];
    const ratio = y / x;
    if (!(ratio >= 0.5 && ratio <= 2)) found.push(`${name}: ${what} is ${ratio.toPrecision(3)} times that of ${before}`);
  }
  const through = (values.at(-1)?.[1] ?? 1) / (values[0]?.[1] ?? 1);
  if (!(through >= 1e-2 && through <= 1e2)) found.push(`${what} changes by a factor ${through.toPrecision(3)} through the model`);
  return found;
}

export interface LsuvOptions extends InitOptions {
  /** How far from 1 a variance may be. Default 0.1. */
  readonly tolerance?: number;
  /** Most passes for a layer. Default 10. */
  readonly maxIterations?: number;
}

/** Orthogonal weights, then each layer in turn scaled until its outputs on a batch have variance 1 (Mishkin & Matas 2016). */
export function lsuv(
  model: AnyModule,
  run: () => unknown,
  { tolerance = 0.1, maxIterations = 10, ...options }: LsuvOptions = {},
): LayerVariance[] {
  const layers = leavesOf(model).filter(([, layer]) => weightOf(layer) !== null && layer.constructor.name !== 'Embedding');
  for (const [, layer] of layers) orthogonal_(weightOf(layer) as Tensor, options);
  return layers.map(([name, layer]) => {
    let variance = Number.NaN;
    for (let i = 0; i <= maxIterations; i++) {
      variance = Number.NaN;
      noGrad(() =>
        watchOutputs(model, run, (_, m, y) => {
          if (m === layer) variance = varianceOf(y);
        }),
      );
      if (Number.isNaN(variance)) throw new LibError('value', `lsuv: the run must use every layer, got none of ${name}.`);
      if (Math.abs(variance - 1) < tolerance || variance === 0 || i === maxIterations) break;
      const weight = weightOf(layer) as Tensor;
      noGrad(() => weight.div_(Math.sqrt(variance)));
    }
    return { name, variance };
  });
}
export interface LayerVariance {
  readonly name: string;
  readonly variance: number;
}

export interface InitAdvice {
  readonly weights: string;
  readonly reason: string;
}

/** Which initializer fits an activation (by its module's name) or a kind of network, and why. */
export function adviseInit(activation: string, { normalized = false }: { readonly normalized?: boolean } = {}): InitAdvice {
  const breaks = 'random weights break the symmetry of units, biases may be 0';
  if (/^(ReLU6?|LeakyReLU|PReLU|RReLU|ELU|CELU|Hardswish)$/i.test(activation)) {
    return {
      weights: 'kaimingNormal_',
      reason: `half of the second moment is lost at each ${activation}, so variance 2 / fanIn keeps it; ${breaks}.`,
    };
  }
  if (/^(Tanh|Sigmoid|Softsign|Hardtanh|Hardsigmoid)$/i.test(activation)) {
    return {
      weights: 'xavierUniform_',
      reason: `${activation} is nearly linear at 0, so variance 2 / (fanIn + fanOut) serves both directions; ${breaks}.`,
    };
  }
  if (/^SELU$/i.test(activation))
    return { weights: 'lecunNormal_', reason: `its fixed point (mean 0, variance 1) is derived for variance 1 / fanIn; ${breaks}.` };
  if (/^(GELU|SiLU|Swish|Mish)$/i.test(activation)) {
    const weights = normalized ? 'kaimingNormal_, xavierNormal_ or normal_(0, 0.02)' : 'kaimingNormal_';
    const reason = normalized
      ? 'norms hold the scale, so any of these trains'
      : `${activation} is not scale-free, no gain is stable over depth: add norms or residual paths`;
    return { weights, reason: `${reason}; ${breaks}.` };
  }
  if (/^(RNN|LSTM|GRU)/i.test(activation)) {
    return {
      weights: 'recurrentInit',
      reason: 'orthogonal hidden matrices keep the length of a state over many steps; the forget gate starts open.',
    };
  }
  if (/^(Transformer|Residual)/i.test(activation)) {
    return {
      weights: 'gpt2Init or zeroBranch_',
      reason: 'writes to the residual stream add up, so each is scaled by 1/√(2 nLayer) or starts at 0.',
    };
  }
  return {
    weights: 'xavierNormal_',
    reason: `no rule is known for ${activation}: variance 2 / (fanIn + fanOut) fits a linear map; ${breaks}.`,
  };
}
