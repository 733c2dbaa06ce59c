import { LibError } from '../core/errors.js';
import type { Tensor } from '../tensor/tensor.js';
import { Module } from './module.js';

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
