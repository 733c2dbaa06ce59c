import { platform } from '#platform';
import { LibError } from '../core/errors.js';
import type { Tensor } from '../tensor/tensor.js';
import { crc32 } from './crc32.js';
import { fileName } from './fileName.js';
import { bytesOf, type HostArray, toDevice, toHost } from './hostArray.js';
import { matchNames, torchName } from './names.js';
import { decodeSafetensors, encodeChunks } from './safetensors.js';
import { packState, unpackState } from './tree.js';

const VERSION = 1;

/** What modules and their kin have in common: a state that can be taken and given back. */
export interface HasState<S> {
  stateDict(): S;
  loadStateDict(state: S): unknown;
}

/** A model's parameters and buffers by name. */
export interface HasTensors {
  stateDict(): ReadonlyMap<string, Tensor>;
  loadStateDict(state: ReadonlyMap<string, Tensor>, options?: { readonly strict?: boolean }): unknown;
}

/** The bytes of a checkpoint: one safetensors file whose arrays are checked by a checksum. */
export async function encodeCheckpoint(state: unknown): Promise<Uint8Array[]> {
  const { json, arrays } = await packState(state);
  const metadata = { format: 'chainrule-checkpoint', version: `${VERSION}`, crc32: `${checksum(arrays)}`, state: json };
  return encodeChunks(arrays, { metadata });
}

/** Reads what {@link encodeCheckpoint} wrote; tensors are made on the default device. `file` is its name in errors. */
export function decodeCheckpoint(bytes: Uint8Array, { file = 'the file' }: { readonly file?: string } = {}): unknown {
  const { tensors, metadata } = decodeSafetensors(bytes, { file });
  const { format, version, state, crc32: expected } = metadata;
  if (format !== 'chainrule-checkpoint' || state === undefined) {
    const hint = 'use loadSafetensors() or loadModel() for a file that holds weights only.';
    throw new LibError(
      'file',
      `loadCheckpoint: ${file}: the file must be a checkpoint, got ${format ?? 'a plain safetensors file'}.`,
      hint,
    );
  }
  if (Number(version) !== VERSION)
    throw new LibError('file', `loadCheckpoint: ${file}: version ${VERSION} can be read, got version ${version}.`);
  const actual = checksum(tensors);
  if (`${actual}` !== expected) {
    throw new LibError(
      'file',
      `loadCheckpoint: ${file}: the arrays must have the checksum ${expected}, got ${actual}: the file is damaged.`,
    );
  }
  return unpackState({ json: state, arrays: tensors });
}

const checksum = (arrays: ReadonlyMap<string, HostArray>): number =>
  crc32([...arrays.keys()].sort().map((name) => bytesOf((arrays.get(name) as HostArray).data)));

/**
 * Saves any nesting of plain data, tensors and typed arrays. The file is replaced whole or not at all.
 * @example await saveCheckpoint('last.safetensors', { model: model.stateDict(), optimizer: optimizer.stateDict(), epoch: 3 })
 */
export async function saveCheckpoint(path: string | URL, state: unknown): Promise<void> {
  await platform.writeFile('saveCheckpoint', path, await encodeCheckpoint(state));
}

/**
 * Loads what {@link saveCheckpoint} saved, in the same nesting.
 * @example const { model: weights, epoch } = await loadCheckpoint('last.safetensors')
 */
export async function loadCheckpoint<T = unknown>(source: string | URL): Promise<T> {
  return decodeCheckpoint(await platform.readFile('loadCheckpoint', source), { file: fileName(source) }) as T;
}

/** The safetensors bytes of a model's weights, with PyTorch's names: `running_mean`, not `runningMean`. */
export async function encodeModel(
  tensors: ReadonlyMap<string, Tensor>,
  metadata: Readonly<Record<string, string>> = {},
): Promise<Uint8Array[]> {
  const arrays = new Map<string, HostArray>();
  for (const [name, x] of tensors) {
    if (arrays.has(torchName(name)))
      throw new LibError('value', `saveModel: names must differ in PyTorch's spelling, got two of ${torchName(name)}.`);
    arrays.set(torchName(name), await toHost(x));
  }
  return encodeChunks(arrays, { metadata });
}

/**
 * Saves a model's weights as a safetensors file that PyTorch can load, too.
 * @example await saveModel('weights.safetensors', model)
 */
export async function saveModel(path: string | URL, model: HasTensors): Promise<void> {
  await platform.writeFile('saveModel', path, await encodeModel(model.stateDict()));
}

/**
 * Loads weights into a model, from a file that `saveModel` or PyTorch wrote.
 * @example await loadModel('weights.safetensors', model)
 */
export async function loadModel(
  source: string | URL,
  model: HasTensors,
  { strict = true }: { readonly strict?: boolean } = {},
): Promise<void> {
  const { tensors } = decodeSafetensors(await platform.readFile('loadModel', source), { file: fileName(source) });
  const own = model.stateDict().keys();
  const weights = new Map([...matchNames(tensors, [...own])].map(([name, array]) => [name, toDevice(array)]));
  model.loadStateDict(weights, { strict });
}
