// The package as a user gets it: packed, and installed into an empty project.
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { emptyProject, npm, run } from './project.js';
import { readmePrograms, transpile } from './readme.js';

export const root: string = fileURLToPath(new URL('../../', import.meta.url));
export const platform: string = `${process.platform}-${process.arch}`;
export const hasAddon: boolean = existsSync(join(root, 'dist', 'native', `chainrule-${platform}.node`));
export const project: ReturnType<typeof emptyProject> = emptyProject();
export const installed = (...path: readonly string[]): string => join(project.folder, 'node_modules', ...path);
const programs = readmePrograms();

export interface Packed {
  readonly filename: string;
  readonly files: readonly { readonly path: string }[];
}

export async function install(...packages: readonly string[]): Promise<void> {
  const { status, output } = await npm(['install', ...packages], project.folder);
  assert.equal(status, 0, output);
}

/** npm is asked once, for it takes seconds: `others` are what the tests need beside the package. */
export async function packAndInstall(...others: readonly string[]): Promise<Packed> {
  const { status, output } = await npm(['pack', '--json', '--ignore-scripts', '--pack-destination', project.folder], root);
  assert.equal(status, 0, output);
  const [packed] = JSON.parse(output.slice(output.indexOf('['))) as [Packed];
  await install(`./${packed.filename}`, ...others);
  for (const [name, program] of Object.entries(programs)) {
    project.write(`${name}.mjs`, await transpile(program));
    project.write(`${name}.ts`, program);
  }
  return packed;
}

/** Runs the README's training script; says with which engine and how long it took. */
export async function learns(node: string, env: NodeJS.ProcessEnv = {}, extension = 'mjs'): Promise<string> {
  const { output, seconds } = await run(node, [`training.${extension}`], project.folder, env);
  assert.match(output, /^test accuracy 9[5-9]\.\d+ %/m, output);
  const [, engine = ''] = /\(engine: (.*)\)$/m.exec(output) ?? [];
  return `${engine}; ${seconds.toFixed(1)} s`;
}

/** Runs the README's program with fit(). */
export async function fits(node: string, extension = 'mjs'): Promise<string> {
  const { output, seconds, status } = await run(node, [`fit.${extension}`], project.folder);
  assert.equal(status, 0, output);
  assert.match(output, /accuracy: 0\.9[4-9]/, output);
  return `fit() ${seconds.toFixed(1)} s`;
}

/** `chainrule info`, and an experiment file trained from the command line. */
export async function commandLineWorks(node: string): Promise<void> {
  const chainrule = (...args: readonly string[]) => run(node, [installed('chainrule', 'bin', 'chainrule.js'), ...args], project.folder);
  const info = await chainrule('info');
  assert.equal(info.status, 0, info.output);
  assert.match(info.output, /engine/i);
  project.write('xor.ts', readFileSync(installed('chainrule', 'examples', 'xor.ts'), 'utf8'));
  const trained = await chainrule('train', 'xor.ts', '--out', 'runs');
  assert.equal(trained.status, 0, trained.output);
  assert.ok(existsSync(join(project.folder, 'runs')), trained.output);
}

/** The README's programs, and calls that the compiler must refuse, as a strict project; gives its configurations. */
export function writeTypedProject(): readonly string[] {
  for (const [name, program] of Object.entries(programs)) project.write(`typed/${name}.ts`, program);
  project.write(
    'typed/wrong.ts',
    [
      "import { ones } from 'chainrule';",
      "import { AdamW } from 'chainrule/optim';",
      '// @ts-expect-error keepdim is spelled as in PyTorch',
      'ones([2, 3]).sum({ dim: 0, keepDim: true });',
      '// @ts-expect-error an option that no optimizer has',
      'new AdamW([], { learningRate: 1 });',
      'export const shape: readonly number[] = ones([2]).mul(2).shape;',
    ].join('\n'),
  );
  const strict = {
    strict: true,
    noEmit: true,
    target: 'es2022',
    lib: ['es2022', 'dom'],
    types: [],
    noUncheckedIndexedAccess: true,
    skipLibCheck: false,
  };
  const config = (module: object): string => JSON.stringify({ compilerOptions: { ...strict, ...module }, include: ['*.ts'] });
  project.write('typed/nodenext.json', config({ module: 'nodenext' }));
  project.write('typed/bundler.json', config({ module: 'esnext', moduleResolution: 'bundler' }));
  return ['nodenext.json', 'bundler.json'];
}

/** `typescript`: where the compiler is. */
export async function typeChecks(typescript: string, config: string): Promise<string> {
  const args = [join(typescript, 'bin', 'tsc'), '-p', `typed/${config}`];
  const { status, output, seconds } = await run(process.execPath, args, project.folder);
  assert.equal(status, 0, output);
  return `${seconds.toFixed(1)} s`;
}
