// The entry `chainrule/io`: files of weights and states.
export { decodeCheckpoint, encodeCheckpoint, encodeModel, loadCheckpoint, loadModel, saveCheckpoint, saveModel } from './checkpoint.js';
export { type HostArray, toDevice, toHost } from './hostArray.js';
export { torchName } from './names.js';
export {
  decodeSafetensors,
  encodeSafetensors,
  loadSafetensors,
  type SafetensorsContent,
  type SaveOptions,
  saveSafetensors,
} from './safetensors.js';
export type { State } from './tree.js';
