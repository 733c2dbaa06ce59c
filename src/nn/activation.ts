import { full } from '../tensor/creation.js';
import type { Tensor } from '../tensor/tensor.js';
import { Module, Parameter } from './module.js';

/** Activations as layers. Each calls the op of the same name; see there for the formula. */

/** max(x, 0) (torch.nn.ReLU). */
export class ReLU extends Module {
  override forward(x: Tensor): Tensor {
    return x.relu();
  }
}

/** x for x > 0, else negativeSlope · x (torch.nn.LeakyReLU). */
export class LeakyReLU extends Module {
  constructor(readonly negativeSlope: number = 0.01) {
    super();
  }
  override forward(x: Tensor): Tensor {
    return x.leakyRelu({ negativeSlope: this.negativeSlope });
  }
}

/** A leaky ReLU whose slope is learned, one or one per channel (torch.nn.PReLU). */
export class PReLU extends Module {
  readonly weight: Parameter;
  constructor({ numParameters = 1, init = 0.25 }: { readonly numParameters?: number; readonly init?: number } = {}) {
    super();
    this.weight = new Parameter(full([numParameters], init));
  }
  override forward(x: Tensor): Tensor {
    const shape = x.shape.map((_, i) => (i === 1 && x.ndim > 1 ? this.weight.size : 1));
    const slope = this.weight.size === 1 ? this.weight : this.weight.reshape(shape);
    return x.clamp({ min: 0 }).add(slope.mul(x.clamp({ max: 0 })));
  }
}

/** x for x > 0, else alpha · (eˣ − 1) (torch.nn.ELU). */
export class ELU extends Module {
  constructor(readonly alpha: number = 1) {
    super();
  }
  override forward(x: Tensor): Tensor {
    return x.elu({ alpha: this.alpha });
  }
}

/** Self-normalizing ELU (torch.nn.SELU). */
export class SELU extends Module {
  override forward(x: Tensor): Tensor {
    return x.selu();
  }
}

/** x · Φ(x), or its tanh approximation (torch.nn.GELU). */
export class GELU extends Module {
  readonly approximate: 'none' | 'tanh';
  constructor({ approximate = 'none' }: { readonly approximate?: 'none' | 'tanh' } = {}) {
    super();
    this.approximate = approximate;
  }
  override forward(x: Tensor): Tensor {
    return x.gelu({ approximate: this.approximate });
  }
}

/** x · sigmoid(x) (torch.nn.SiLU). */
export class SiLU extends Module {
  override forward(x: Tensor): Tensor {
    return x.silu();
  }
}

/** x · tanh(softplus(x)) (torch.nn.Mish). */
export class Mish extends Module {
  override forward(x: Tensor): Tensor {
    return x.mish();
  }
}

/** 1 / (1 + e⁻ˣ) (torch.nn.Sigmoid). */
export class Sigmoid extends Module {
  override forward(x: Tensor): Tensor {
    return x.sigmoid();
  }
}

/** Hyperbolic tangent (torch.nn.Tanh). */
export class Tanh extends Module {
  override forward(x: Tensor): Tensor {
    return x.tanh();
  }
}

/** log(1 + eˣ), smooth ReLU (torch.nn.Softplus). */
export class Softplus extends Module {
  override forward(x: Tensor): Tensor {
    return x.softplus();
  }
}

/** Probabilities along `dim` (torch.nn.Softmax). */
export class Softmax extends Module {
  constructor(readonly dim: number = -1) {
    super();
  }
  override forward(x: Tensor): Tensor {
    return x.softmax({ dim: this.dim });
  }
}

/** Log-probabilities along `dim` (torch.nn.LogSoftmax). */
export class LogSoftmax extends Module {
  constructor(readonly dim: number = -1) {
    super();
  }
  override forward(x: Tensor): Tensor {
    return x.logSoftmax({ dim: this.dim });
  }
}
