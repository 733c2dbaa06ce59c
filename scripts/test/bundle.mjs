import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join, relative, resolve, sep } from 'node:path';
import { pathToFileURL } from 'node:url';
import { build } from 'esbuild';
import { inRoot, root } from '../build/files.mjs';

const dist = inRoot('dist') + sep;
/** A folder of its own, so that several runs do not meet. */
const outdir = inRoot('build', `test-${process.pid}`);

/** Tests call the library where programs do: at its border, where calls are held to their types (src/ops/hold.ts). */
const atBorder = (path) =>
  path.replace(/dist\/(index\.js|entries\/(\w+)\.js|(data|io|metrics|models|nn|optim|train)\/index\.js)$/, (_, _all, a, b) => {
    return `dist/checked/${a ?? b ?? 'index'}.js`;
  });

/** Modules of dist/ stay outside the bundles, so that tests and package share one copy of every module. */
const keepDistOutside = {
  name: 'dist',
  setup(builder) {
    builder.onResolve({ filter: /^\.{1,2}\// }, ({ path, resolveDir }) => {
      const target = resolve(resolveDir, path);
      if (!target.startsWith(dist)) return undefined;
      return { path: `../../${atBorder(relative(root, target).replaceAll('\\', '/'))}`, external: true };
    });
  },
};

/** In a bundle, import.meta.url would be the bundle's own: tests find fixtures beside their source. */
const keepUrls = {
  name: 'urls',
  setup(builder) {
    builder.onLoad({ filter: /\.ts$/ }, ({ path }) => {
      const source = readFileSync(path, 'utf8');
      return { loader: 'ts', contents: source.replaceAll('import.meta.url', JSON.stringify(pathToFileURL(path).href)) };
    });
  },
};

/** Transpiles test files, all into one folder that goes away with this process. Gives the source of each output. */
export async function bundleTests(files) {
  process.on('exit', () => rmSync(outdir, { recursive: true, force: true }));
  const named = files.map((file) => [
    file
      .replace(/^test\//, '')
      .replace(/\.ts$/, '')
      .replaceAll('/', '.'),
    file,
  ]);
  await build({
    absWorkingDir: root,
    entryPoints: Object.fromEntries(named),
    outdir,
    outExtension: { '.js': '.mjs' },
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node20',
    packages: 'external',
    sourcemap: 'inline',
    logLevel: 'warning',
    plugins: [keepDistOutside, keepUrls],
  });
  return new Map(named.map(([name, file]) => [join(outdir, `${name}.mjs`), file]));
}

/** Bundles that run in one process each, for a process takes most of a second to load the library: gives the files to run. */
export function inGroups(bundles, count) {
  return Array.from({ length: Math.min(count, bundles.length) }, (_, k) => {
    const path = join(outdir, `group${k}.mjs`);
    const own = bundles.filter((_, i) => i % count === k);
    writeFileSync(path, own.map((file) => `import ${JSON.stringify(pathToFileURL(file).href)};\n`).join(''));
    return path;
  });
}
