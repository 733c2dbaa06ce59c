import { pathToFileURL } from 'node:url';
import { inRoot } from './files.mjs';

/** The format of the tapes that the library in dist/ writes, as it tells itself. */
export async function tapeFormat() {
  const { tapeFormat: own } = await import(pathToFileURL(inRoot('dist', 'backends', 'cpu', 'format.js')).href);
  return own();
}
