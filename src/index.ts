import { setEngine } from './engine.js';
import { sealLibrary } from './ops/define.js';
import { installMethods } from './ops/index.js';

installMethods();
await setEngine();

export { type Compiled, type CompileOptions, compile, type ProgramInfo } from './capture/compile.js';
export { type DryRunCounts, dryRun } from './capture/dryRun.js';
export {
  type Lifetime,
  type MachineLimits,
  type MemoryProfile,
  type Profile,
  type ProfileOptions,
  type ProfileRow,
  profile,
} from './capture/profile.js';
export { type DType, promote } from './core/dtype.js';
export { type ErrorCode, LibError } from './core/errors.js';
export { broadcastAll as broadcastShapes, type Shape } from './core/shape.js';
export { setWarningListener, type WarningListener } from './core/warning.js';
export { describeEngine, type EngineOptions, engine, type Selection, setEngine } from './engine.js';
export { type Expr, input, scalar } from './expr/expr.js';
export { type Anomaly, AnomalyError, type AnomalyOptions, detectAnomaly } from './nn/anomaly.js';
export { Buffer, Module, Parameter, type StateDict } from './nn/module.js';
export { isGradEnabled } from './ops/apply.js';
export { type AutocastDType, type AutocastOptions, type AutocastPolicy, autocast } from './ops/autocast.js';
export { type Canonical, defineComposite, defineOp, defineView, type KernelRow, type Op, type Random } from './ops/define.js';
export * as fft from './ops/fft.js';
export * from './ops/functions.js';
export * as linalg from './ops/linalg.js';
export * as masked from './ops/masked.js';
export * as signal from './ops/signal.js';
export * as special from './ops/special.js';
export { clipGradNorm_, clipGradValue_ } from './optim/clip.js';
export type { Backend } from './program/backend.js';
export { type BackwardOptions, backward, enableGrad, type GradOptions, grad, noGrad } from './tensor/autograd.js';
export { checkpoint } from './tensor/checkpoint.js';
export * from './tensor/creation.js';
export { type Device, defaultDevice, defaultDevice as getDefaultDevice, setDefaultDevice, withDevice } from './tensor/device.js';
export { formatTensor, type PrintOptions, setPrintOptions } from './tensor/format.js';
export { jvp, vjp } from './tensor/forward.js';
export { type GradcheckOptions, type GradcheckResult, gradcheck } from './tensor/gradcheck.js';
export * from './tensor/random.js';
export { isTensor, Tensor, type TensorData } from './tensor/tensor.js';
export { type Randomness, type VmapOptions, vmap } from './tensor/vmap.js';

sealLibrary();
