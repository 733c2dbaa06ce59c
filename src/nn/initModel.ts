import { LibError } from '../core/errors.js';
import { sameShape } from '../core/shape.js';
import { noGrad } from '../tensor/autograd.js';
import { linspace, tensor } from '../tensor/creation.js';
import type { Tensor } from '../tensor/tensor.js';
import {
  constant_,
  eye_,
  fans,
  type InitOptions,
  kaimingNormal_,
  kaimingUniform_,
  normal_,
  orthogonal_,
  truncNormal_,
  uniform_,
  xavierNormal_,
  xavierUniform_,
  zeros_,
} from './init.js';
import { type AnyModule, Parameter, type StateDict } from './module.js';

/** Initialization beyond torch.nn.init: of whole models by rule, of residual networks, recurrences, heads and pretrained starts. */

/** Normal with variance 1 / fanIn (LeCun et al. 1998): for SELU, and for sigmoid and tanh near their linear part. */
export const lecunNormal_ = (x: Tensor, options: InitOptions = {}): Tensor =>
  normal_(x, 0, 1 / Math.sqrt(fans('lecunNormal_', x.shape).fanIn), options);

/** Uniform with variance 1 / fanIn: within ±√(3 / fanIn). */
export function lecunUniform_(x: Tensor, options: InitOptions = {}): Tensor {
  const bound = Math.sqrt(3 / fans('lecunUniform_', x.shape).fanIn);
  return uniform_(x, -bound, bound, options);
}

/** What PyTorch's layers start with: uniform within ±1/√fanIn, variance 1 / (3 fanIn), six times less than He's. */
export const torchDefault_ = (x: Tensor, options: InitOptions = {}): Tensor => kaimingUniform_(x, { a: Math.sqrt(5), ...options });

/** Of a standard normal variable cut at ±2. */
const CUT_DEVIATION = 0.8796256610342398;
/** Normal cut at two deviations, drawn wider so that the deviation after the cut is `std`. */
export function truncNormalExact_(x: Tensor, mean = 0, std = 1, options: InitOptions = {}): Tensor {
  if (!(std > 0)) throw new LibError('value', `truncNormalExact_: std must be positive, got ${std}.`);
  const wide = std / CUT_DEVIATION;
  return truncNormal_(x, mean, wide, mean - 2 * wide, mean + 2 * wide, options);
}

/** scale · the identity: recurrences of ReLUs start by remembering (Le et al. 2015). */
export const scaledIdentity_ = (x: Tensor, scale = 1): Tensor => noGrad(() => eye_(x).mul_(scale));

/**
 * 1 / √E[φ(z)²] for standard normal z: one layer keeps the second moment exactly. Functions that do not scale (GELU, SiLU, tanh) need
 * norms or residual paths all the same, for their gain changes as the second moment drifts.
 * @example exactGain((x) => x.relu()).toFixed(4) // '1.4142'
 */
export function exactGain(activation: (x: Tensor) => Tensor): number {
  const [reach, points] = [14, 28001];
  return noGrad(() => {
    const z = linspace(-reach, reach, points, { dtype: 'float64' });
    const density = z
      .square()
      .mul(-0.5)
      .exp()
      .div(Math.sqrt(2 * Math.PI));
    const step = (2 * reach) / (points - 1);
    return 1 / Math.sqrt(activation(z).square().mul(density).sum().mul(step).itemNow());
  });
}

/** The bias with which a detector starts to find its classes with probability `prior`: -log((1 - π) / π). Default 0.01 (Lin et al. 2017). */
export function priorBias_(bias: Tensor, prior = 0.01): Tensor {
  if (!(prior > 0 && prior < 1)) throw new LibError('value', `priorBias_: the prior must be in (0, 1), got ${prior}.`);
  return noGrad(() => bias.fill_(-Math.log((1 - prior) / prior)));
}

/**
 * Biases that start at the classes' rates: of a softmax log rate, for counts or shares; of a single sigmoid its rate's logit. For several
 * sigmoids, each with a rate of its own, call {@link priorBias_} on each.
 */
export function baseRateBias_(bias: Tensor, rates: readonly number[]): Tensor {
  if (rates.length !== bias.size || rates.some((r) => !(r > 0))) {
    throw new LibError(
      'value',
      `baseRateBias_: there must be a positive rate for each of the ${bias.size} classes, got [${rates.join(', ')}].`,
    );
  }
  const [first = 0] = rates;
  if (rates.length === 1) return priorBias_(bias, first);
  const total = rates.reduce((a, b) => a + b, 0);
  return noGrad(() =>
    bias.copy_(
      tensor(
        rates.map((r) => Math.log(r / total)),
        { dtype: bias.dtype, device: bias.device },
      ),
    ),
  );
}

export interface Gpt2Options extends InitOptions {
  /** Blocks; each writes to the residual stream twice. */
  readonly nLayer: number;
  /** Default 0.02. */
  readonly std?: number;
  /**
   * Which weights write to the residual stream. Default: names that end in outProj, attention.out, attn.out, linear2, cProj, wo, down or
   * proj, and the second weights of a mixture of experts.
   */
  readonly writesResidual?: (name: string) => boolean;
}
const residualNames = /(?:^|\.)(?:(?:outProj|(?:attention|attn)\.out|linear2|cProj|wo|down|proj)\.weight|weight2)$/i;

/**
 * Weights N(0, std²), those that write to the residual stream by 1/√(2 nLayer) smaller, biases 0, norms 1 and 0 (GPT-2). Gives what was
 * done to each parameter.
 */
export function gpt2Init(model: AnyModule, { nLayer, std = 0.02, writesResidual, generator }: Gpt2Options): InitReport[] {
  if (!Number.isInteger(nLayer) || nLayer < 1) throw new LibError('value', `gpt2Init: nLayer must be a positive integer, got ${nLayer}.`);
  const writes = writesResidual ?? ((name: string) => residualNames.test(name));
  return Array.from(model.namedParameters(), ([name, p]) => {
    if (p.ndim < 2) {
      const one = name.endsWith('weight');
      noGrad(() => p.fill_(one ? 1 : 0));
      return { name, rule: one ? 'ones' : 'zeros' };
    }
    const own = writes(name) ? std / Math.sqrt(2 * nLayer) : std;
    normal_(p, 0, own, generator ? { generator } : {});
    return { name, rule: `normal(0, ${own.toPrecision(4)})` };
  });
}

/** What {@link initialize} and its kin did to a parameter. */
export interface InitReport {
  readonly name: string;
  readonly rule: string;
}

/** How the weight of a layer is filled, by what follows it. */
export interface InitRule {
  readonly rule: string;
  /** Whether the rule is for this layer; `next` is the activation that follows, or ''. The first that says yes is used. */
  matches(layer: AnyModule, next: string, name: string): boolean;
  apply(weight: Tensor, options: InitOptions): unknown;
}

const oneOf =
  (...names: readonly string[]): ((layer: AnyModule, next: string) => boolean) =>
  (_, next) =>
    names.includes(next);
const rules: readonly InitRule[] = [
  { rule: 'normal(0, 1)', matches: (layer) => layer.constructor.name === 'Embedding', apply: (w, o) => normal_(w, 0, 1, o) },
  {
    rule: 'kaimingNormal fanIn relu',
    matches: oneOf('ReLU', 'ReLU6', 'RReLU', 'PReLU', 'LeakyReLU', 'ELU', 'CELU', 'Hardswish', 'GELU', 'SiLU', 'Swish', 'Mish', 'Softplus'),
    apply: (w, o) => kaimingNormal_(w, { nonlinearity: 'relu', ...o }),
  },
  { rule: 'lecunNormal', matches: oneOf('SELU'), apply: (w, o) => lecunNormal_(w, o) },
  {
    rule: 'xavierUniform',
    matches: oneOf('Tanh', 'Sigmoid', 'Softsign', 'Hardtanh', 'Hardsigmoid', 'LogSigmoid'),
    apply: (w, o) => xavierUniform_(w, o),
  },
  { rule: 'xavierNormal', matches: () => true, apply: (w, o) => xavierNormal_(w, o) },
];

const transparent = /Norm|Dropout|Pool|Flatten|Unflatten|Identity|DropPath/;

/** The activation that follows a layer in the order of the model's fields, norms and the like skipped. */
function nextActivation(leaves: readonly AnyModule[], at: number): string {
  for (const layer of leaves.slice(at + 1)) {
    const { name } = layer.constructor;
    if (transparent.test(name)) continue;
    return weightOf(layer) === null ? name : '';
  }
  return '';
}

/** @internal The weight matrix (or kernel) of a layer. */
export function weightOf(layer: AnyModule): Parameter | null {
  const { weight } = layer as unknown as { readonly weight?: unknown };
  return weight instanceof Parameter && weight.ndim >= 2 ? weight : null;
}
const biasOf = (layer: AnyModule): Tensor | null => {
  const { bias } = layer as unknown as { readonly bias?: unknown };
  return bias instanceof Parameter ? bias : null;
};

/** @internal Modules without modules inside, by name. */
export const leavesOf = (model: AnyModule): (readonly [string, AnyModule])[] =>
  [...model.namedModules()].filter(([, m]) => m.children().length === 0);

export interface InitializeOptions extends InitOptions {
  /** Rules that come before the built-in ones. Default: none. */
  readonly own?: readonly InitRule[];
  /** What biases start at, in front of ReLUs 0.01 at times. Default 0. */
  readonly bias?: number;
}

/** The activation between a block's two linear layers, which is no module of its own. */
function innerActivation(model: AnyModule, name: string): string {
  if (!/(?:^|\.)linear1$/.test(name)) return '';
  const holder = [...model.namedModules()].find(([path]) => path === name.split('.').slice(0, -1).join('.'))?.[1];
  const { activation } = (holder ?? {}) as { readonly activation?: unknown };
  const own = typeof activation === 'function' ? activation.name : activation;
  return ['ReLU', 'GELU', 'SiLU', 'Sigmoid'].find((known) => known.toLowerCase() === own) ?? '';
}

/**
 * Fills every layer's weight by the activation that follows it (He for the ReLU family and its smooth kin, LeCun for SELU, Xavier
 * otherwise) and its bias with zeros, or `bias`. Rules of your own come first. Gives what was done to each parameter.
 */
export function initialize(model: AnyModule, { own = [], bias: start = 0, ...options }: InitializeOptions = {}): InitReport[] {
  const named = leavesOf(model);
  const leaves = named.map(([, m]) => m);
  return named.flatMap(([name, layer], i) => {
    const weight = weightOf(layer);
    if (weight === null) return [];
    const path = name === '' ? '' : `${name}.`;
    const next = innerActivation(model, name) || nextActivation(leaves, i);
    const chosen = [...own, ...rules].find((rule) => rule.matches(layer, next, name)) as InitRule;
    chosen.apply(weight, options);
    const bias = biasOf(layer);
    if (bias) constant_(bias, start);
    const biasRule = start === 0 ? 'zeros' : `constant ${start}`;
    return [{ name: `${path}weight`, rule: chosen.rule }, ...(bias ? [{ name: `${path}bias`, rule: biasRule }] : [])];
  });
}

/** Makes a residual branch start at 0, and its block at the identity: zeroes the scale of its last norm, or the last weight and bias. */
export function zeroBranch_(branch: AnyModule): InitReport[] {
  const last = leavesOf(branch).findLast(([, m]) => 'weight' in m && (m as { readonly weight: unknown }).weight instanceof Parameter);
  if (!last) throw new LibError('value', 'zeroBranch_: the branch must hold a weight, got none.');
  const [name, layer] = last;
  const { weight } = layer as unknown as { readonly weight: Parameter };
  const bias = biasOf(layer);
  for (const p of [weight, bias]) if (p) zeros_(p);
  return [{ name: `${name}.weight`, rule: 'zeros' }, ...(bias ? [{ name: `${name}.bias`, rule: 'zeros' }] : [])];
}

export interface RecurrentOptions extends InitOptions {
  /** Of the hidden-to-hidden matrices. Default 'orthogonal'. */
  readonly hidden?: 'orthogonal' | 'identity';
  /** Factor of these matrices. Default 1. */
  readonly scale?: number;
  /** The forget gate's bias in an LSTM (gates: input, forget, cell, output). Default 1. */
  readonly forgetBias?: number;
}

/** Recurrent layers: each gate's hidden matrix orthogonal (or the identity), input matrices Xavier, biases 0, the forget gate's 1. */
export function recurrentInit(
  model: AnyModule,
  { hidden = 'orthogonal', scale = 1, forgetBias = 1, ...options }: RecurrentOptions = {},
): InitReport[] {
  const report: InitReport[] = [];
  for (const [name, p] of model.namedParameters()) {
    const own = name.split('.').at(-1) ?? name;
    if (/^weight_?[hH]h/.test(own)) {
      const size = p.sizeAt(1);
      for (let start = 0; start + size <= p.sizeAt(0); start += size) {
        const gate = p.detach().narrow(0, start, size);
        if (hidden === 'identity') scaledIdentity_(gate, scale);
        else orthogonal_(gate, { gain: scale, ...options });
      }
      report.push({ name, rule: hidden });
    } else if (/^weight_?[iI]h/.test(own)) {
      xavierUniform_(p, options);
      report.push({ name, rule: 'xavierUniform' });
    } else if (/^bias_?[iIhH]h/.test(own)) {
      zeros_(p);
      const forgets = /^bias_?[iI]h/.test(own) && isLstm(model, name);
      // One of the two biases is enough: they are added.
      if (forgets)
        noGrad(() =>
          p
            .detach()
            .narrow(0, p.size / 4, p.size / 4)
            .fill_(forgetBias),
        );
      report.push({ name, rule: forgets ? `zeros, forget gate ${forgetBias}` : 'zeros' });
    }
  }
  return report;
}

function isLstm(model: AnyModule, parameter: string): boolean {
  const path = parameter.split('.').slice(0, -1).join('.');
  for (const [name, m] of model.namedModules()) if (name === path) return m.constructor.name.startsWith('LSTM');
  return false;
}

export interface BackboneReport {
  readonly loaded: readonly string[];
  /** Kept as initialized: heads left out, and what the state lacks or has in another shape. */
  readonly missing: readonly string[];
  readonly unexpected: readonly string[];
}

/** Loads what a pretrained state shares with a model, except names that begin with one of `heads`; these stay as they are. */
export function loadBackbone(
  model: AnyModule,
  state: StateDict,
  { heads = [] }: { readonly heads?: readonly string[] } = {},
): BackboneReport {
  const isHead = (name: string): boolean => heads.some((head) => name === head || name.startsWith(`${head}.`));
  const own = model.stateDict();
  const loaded = [...own.keys()].filter((name) => !isHead(name) && sameShape(state.get(name)?.shape ?? [-1], own.get(name)?.shape ?? []));
  noGrad(() => {
    for (const name of loaded) own.get(name)?.copy_(state.get(name) as Tensor);
  });
  return {
    loaded,
    missing: [...own.keys()].filter((name) => !loaded.includes(name)),
    unexpected: [...state.keys()].filter((name) => !own.has(name)),
  };
}
