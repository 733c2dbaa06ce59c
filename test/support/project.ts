import { execFile } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';

export interface Finished {
  readonly status: number;
  readonly output: string;
  readonly seconds: number;
}

/** Runs a command to its end. Nothing of the test run's own settings is passed on. */
export function run(command: string, args: readonly string[], cwd: string, env: NodeJS.ProcessEnv = {}): Promise<Finished> {
  const clean = Object.fromEntries(Object.entries(process.env).filter(([key]) => !/^(NODE_|CHAINRULE_|npm_)/i.test(key)));
  const started = performance.now();
  return new Promise((resolve) => {
    execFile(command, args, { cwd, env: { ...clean, ...env }, maxBuffer: 2 ** 26 }, (error, stdout, stderr) => {
      const status = error === null ? 0 : typeof error.code === 'number' ? error.code : 1;
      resolve({
        status,
        output: stdout + stderr + (status !== 0 && error ? error.message : ''),
        seconds: (performance.now() - started) / 1000,
      });
    });
  });
}

/** npm as it came with Node, whatever the PATH says. */
export async function npm(args: readonly string[], cwd: string): Promise<Finished> {
  const beside = join(
    dirname(process.execPath),
    process.platform === 'win32' ? 'node_modules/npm/bin/npm-cli.js' : '../lib/node_modules/npm/bin/npm-cli.js',
  );
  const quiet = ['--no-audit', '--no-fund', '--loglevel=error'];
  return existsSync(beside) ? run(process.execPath, [beside, ...args, ...quiet], cwd) : run('npm', [...args, ...quiet], cwd);
}

/** An empty project outside of the repository. */
export function emptyProject(): { readonly folder: string; write(file: string, text: string): void; remove(): void } {
  const folder = mkdtempSync(join(tmpdir(), 'chainrule-user-'));
  const write = (file: string, text: string): void => {
    mkdirSync(dirname(join(folder, file)), { recursive: true });
    writeFileSync(join(folder, file), text);
  };
  write('package.json', JSON.stringify({ name: 'user', private: true, type: 'module' }));
  return { folder, write, remove: () => rmSync(folder, { recursive: true, force: true }) };
}

/** Every package below a node_modules folder, with what its manifest says about scripts. */
export function installedPackages(
  folder: string,
): { readonly name: string; readonly folder: string; readonly scripts: Readonly<Record<string, string>> }[] {
  const modules = join(folder, 'node_modules');
  if (!existsSync(modules)) return [];
  const folders = readdirSync(modules)
    .filter((name) => !name.startsWith('.'))
    .flatMap((name) =>
      name.startsWith('@') ? readdirSync(join(modules, name)).map((inner) => join(modules, name, inner)) : [join(modules, name)],
    );
  return folders.flatMap((path) => {
    const { name, scripts = {} } = JSON.parse(readFileSync(join(path, 'package.json'), 'utf8')) as {
      name: string;
      scripts?: Record<string, string>;
    };
    return [{ name, folder: path, scripts }, ...installedPackages(path)];
  });
}

/** Node binaries besides this one, from $CHAINRULE_NODES. */
export const nodesOfEnvironment = (): readonly string[] =>
  (process.env.CHAINRULE_NODES ?? '').split(delimiter).filter((path) => path !== '');
