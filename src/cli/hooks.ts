import { readFileSync } from 'node:fs';
import { extname } from 'node:path';
import { fileURLToPath } from 'node:url';
import swc from '@swc/wasm-typescript';

// Hooks of Node's module loader; they work in its own thread (module.register) as in this one (module.registerHooks).

interface Loaded {
  readonly format: string;
  readonly source: string;
  readonly shortCircuit: true;
}
type NextResolve = (specifier: string, context?: object) => unknown;
type NextLoad = (url: string, context?: object) => unknown;

const own: string = new URL('../index.js', import.meta.url).href;

/** Whatever an experiment file imports from 'chainrule' is the package that runs it: there must not be two. */
export function resolve(specifier: string, context: object, next: NextResolve): unknown {
  const ours = specifier === 'chainrule' || specifier.startsWith('chainrule/');
  return ours ? next(specifier, { ...context, parentURL: own }) : next(specifier, context);
}

/** TypeScript for Nodes that do not read it themselves. Types are erased, as Node does: what cannot be erased is an error there, too. */
export function load(url: string, context: object, next: NextLoad): unknown {
  const native = Boolean((process.features as { readonly typescript?: unknown }).typescript);
  if (native || !url.startsWith('file:') || !['.ts', '.mts'].includes(extname(new URL(url).pathname))) return next(url, context);
  const file = fileURLToPath(url);
  return { format: 'module', source: erase(readFileSync(file, 'utf8'), file), shortCircuit: true } satisfies Loaded;
}

function erase(source: string, file: string): string {
  try {
    return swc.transformSync(source, { mode: 'strip-only', filename: file }).code;
  } catch (error) {
    const { message, startLine, snippet } = error as { message?: string; startLine?: number; snippet?: string };
    const line = startLine === undefined ? '' : `:${startLine}`;
    throw new SyntaxError(`${file}${line}: ${message ?? String(error)}${snippet === undefined ? '' : ` (${snippet.split('\n')[0]})`}`);
  }
}
