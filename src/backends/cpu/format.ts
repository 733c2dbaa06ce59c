import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { LibError } from '../../core/errors.js';

/** The modules that write tapes: an engine reads those of the modules that it was built beside. */
const writers = [
  ...['encode', 'encodeExpr', 'encodeFactor', 'encodeFused', 'encodeHeavy', 'encodeLoops', 'encodeProduct', 'tapeWriter'].map(
    (name) => `./${name}.js`,
  ),
  ...['../../expr/bytecode.js', '../../expr/instructions.js', '../../core/dtype.js'],
];

let known: string | null | undefined;

/** A name for the format of the tapes that this library writes: a hash of the code that does. null where it lies in a bundle. */
export function tapeFormat(): string | null {
  if (known !== undefined) return known;
  try {
    const hash = createHash('sha256');
    for (const file of writers) hash.update(readFileSync(new URL(file, import.meta.url)));
    known = hash.digest('hex').slice(0, 16);
  } catch {
    known = null;
  }
  return known;
}

/** Throws where an engine was built beside other sources: it would misread tapes, and crash or compute nonsense. */
export function checkFormat(engine: string, format: string | undefined): void {
  const own = tapeFormat();
  if (own === null || format === own) return;
  throw new LibError(
    'device',
    `engine: the ${engine} engine must be built from the same sources as the library, got tapes of format ${own} for one that reads ${format ?? 'an older one'}.`,
    'npm run build.',
  );
}
