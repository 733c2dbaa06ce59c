import { LibError } from '../core/errors.js';
import { formatShape, sameShape } from '../core/shape.js';
import type { Tensor } from '../tensor/tensor.js';
import { Module, Parameter } from './module.js';

/** Modules applied one after the other (torch.nn.Sequential). State names are their positions: `0.weight`. */
export class Sequential extends Module {
  [index: number]: Module;
  readonly length: number;

  constructor(...layers: readonly Module[]) {
    super();
    for (const [i, layer] of layers.entries()) {
      if (!(layer instanceof Module))
        throw new LibError('value', `Sequential: every argument must be a module, got ${typeof layer} at position ${i}.`);
      this[i] = layer;
    }
    this.length = layers.length;
  }

  override forward(x: Tensor): Tensor {
    let h = x;
    for (const layer of this) h = layer.forward(h);
    return h;
  }

  *[Symbol.iterator](): Generator<Module> {
    for (let i = 0; i < this.length; i++) yield this[i] as Module;
  }
}

/** Modules in an array whose state is named by position (torch.nn.ModuleList). A plain array field serves as well. */
export class ModuleList<M extends Module = Module> extends Module {
  readonly length: number;
  [index: number]: M;

  constructor(modules: readonly M[] = []) {
    super();
    for (const [i, m] of modules.entries()) this[i] = m;
    this.length = modules.length;
  }

  *[Symbol.iterator](): Generator<M> {
    for (let i = 0; i < this.length; i++) yield this[i] as M;
  }

  override forward(): never {
    throw new LibError('state', 'ModuleList: it holds modules and has no forward, got a call.', 'loop over it, or use Sequential.');
  }
}

/** Modules by name (torch.nn.ModuleDict): `dict.get('head')`. State is named by them. */
export class ModuleDict<M extends Module = Module> extends Module {
  private readonly names: readonly string[];
  constructor(modules: Readonly<Record<string, M>> = {}) {
    super();
    this.names = Object.keys(modules);
    for (const [name, m] of Object.entries(modules)) setEntry('ModuleDict', this, name, m);
  }
  get(name: string): M {
    return entryOf('ModuleDict', this, this.names, name) as M;
  }
  keys(): readonly string[] {
    return this.names;
  }
  *[Symbol.iterator](): Generator<readonly [name: string, module: M]> {
    for (const name of this.names) yield [name, this.get(name)];
  }
  override forward(): never {
    throw new LibError('state', 'ModuleDict: it holds modules and has no forward, got a call.', 'get() one and call that.');
  }
}

/** Parameters in an array whose state is named by position (torch.nn.ParameterList). A plain array field serves as well. */
export class ParameterList extends Module {
  readonly length: number;
  [index: number]: Parameter;
  constructor(parameters: readonly Parameter[] = []) {
    super();
    for (const [i, p] of parameters.entries()) this[i] = p;
    this.length = parameters.length;
  }
  *[Symbol.iterator](): Generator<Parameter> {
    for (let i = 0; i < this.length; i++) yield this[i] as Parameter;
  }
  override forward(): never {
    throw new LibError('state', 'ParameterList: it holds parameters and has no forward, got a call.', 'read them by position.');
  }
}

/** Parameters by name (torch.nn.ParameterDict): `dict.get('scale')`. State is named by them. */
export class ParameterDict extends Module {
  private readonly names: readonly string[];
  constructor(parameters: Readonly<Record<string, Parameter>> = {}) {
    super();
    this.names = Object.keys(parameters);
    for (const [name, p] of Object.entries(parameters)) setEntry('ParameterDict', this, name, p);
  }
  get(name: string): Parameter {
    return entryOf('ParameterDict', this, this.names, name) as Parameter;
  }
  keys(): readonly string[] {
    return this.names;
  }
  *[Symbol.iterator](): Generator<readonly [name: string, parameter: Parameter]> {
    for (const name of this.names) yield [name, this.get(name)];
  }
  override forward(): never {
    throw new LibError('state', 'ParameterDict: it holds parameters and has no forward, got a call.', 'get() one of them.');
  }
}

function setEntry(op: string, holder: object, name: string, value: unknown): void {
  if (name in holder) throw new LibError('value', `${op}: names must not be those of the module's own members, got '${name}'.`);
  Reflect.set(holder, name, value);
}

function entryOf(op: string, holder: object, names: readonly string[], name: string): unknown {
  if (names.includes(name)) return Reflect.get(holder, name);
  throw new LibError('value', `${op}: the name must be one of ${names.join(', ')}, got '${name}'.`);
}

/**
 * Makes one parameter of two: `tieWeights(model, 'head.weight', 'token.weight')` lets the output layer use the embedding's table. It is
 * counted once, and its gradient is the sum of both uses'.
 */
export function tieWeights(model: Module<readonly never[], unknown>, target: string, source: string): void {
  const found = (path: string): readonly [holder: object, key: string, value: Parameter] => {
    const steps = path.split('.');
    const key = steps.pop() as string;
    const holder = steps.reduce<unknown>((at, step) => (at instanceof Object ? Reflect.get(at, step) : undefined), model);
    const value: unknown = holder instanceof Object ? Reflect.get(holder, key) : undefined;
    if (value instanceof Parameter) return [holder as object, key, value];
    throw new LibError('value', `tieWeights: names must be those of parameters, got '${path}'.`);
  };
  const [holder, key, replaced] = found(target);
  const [, , shared] = found(source);
  if (!sameShape(replaced.shape, shared.shape)) {
    throw new LibError('shape', `tieWeights: shapes must be equal, got ${formatShape(replaced.shape)} and ${formatShape(shared.shape)}.`);
  }
  Reflect.set(holder, key, shared);
}
