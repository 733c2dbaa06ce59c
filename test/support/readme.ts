import { readFileSync } from 'node:fs';

/** The programs of README.md, as they stand there. */
export function readmePrograms(): { readonly training: string; readonly fit: string } {
  const text = readFileSync(new URL('../../README.md', import.meta.url), 'utf8');
  const [training, fit, ...others] = Array.from(text.matchAll(/^```ts\n([\s\S]*?)^```$/gm), ([, program = '']) => program);
  if (training === undefined || fit === undefined || others.length > 0) throw new Error('README.md must hold two TypeScript programs');
  return { training, fit };
}

export const lineCount = (program: string): number => program.trimEnd().split('\n').length;

/** TypeScript to JavaScript, for a Node that cannot run it as it is. */
export async function transpile(program: string): Promise<string> {
  const { transform } = await import('esbuild');
  return (await transform(program, { loader: 'ts', target: 'es2022', format: 'esm' })).code;
}
