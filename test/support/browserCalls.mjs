// Run by suites/browserRows.test.ts: makes the same calls on one of the two sets of modules, on the reference.
//   node [--conditions=browser] browserCalls.mjs <index.js> <calls> <results>
import { readFileSync, writeFileSync } from 'node:fs';
import { deserialize, serialize } from 'node:v8';

globalThis.navigator ??= { hardwareConcurrency: 1 }; // Node 20 has none
const [, , index, source, target] = process.argv;
const library = await import(index);
await library.setEngine({ engine: 'reference' });

const made = (value) => {
  if (Array.isArray(value)) return value.map(made);
  if (typeof value !== 'object' || value === null) return value;
  if ('tensor' in value) return library.tensor(value.data, { dtype: value.tensor }).reshape(value.shape);
  return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, made(one)]));
};
const plain = (value) => {
  if (library.isTensor(value)) return [value.dtype, [...value.shape], [...value.detach().toArray()]];
  if (Array.isArray(value)) return value.map(plain);
  return typeof value === 'object' && value !== null ? Object.entries(value).map(([key, one]) => [key, plain(one)]) : value;
};
const results = deserialize(readFileSync(source)).map(({ path, args }) => {
  library.manualSeed(7);
  try {
    return plain(path.reduce((table, key) => table[key], library)(...made(args)));
  } catch (error) {
    return String(error.stack);
  }
});
const methods = Object.getOwnPropertyNames(library.Tensor.prototype).sort();
writeFileSync(target, serialize([...results, methods]));
