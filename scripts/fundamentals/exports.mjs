// From an exported name to the file that declares it: follows `export … from` through src/, by text.
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';

/** Resolves names of one package whose sources are below `root`/src. */
export class Exports {
  constructor(root) {
    this.root = root;
    this.package = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
    this.texts = new Map();
    this.modules = new Map();
  }

  /** The source of `chainrule` ('') or of an entry ('nn'). */
  entryFile(entry) {
    const target = this.package.exports[entry === '' ? '.' : `./${entry}`]?.default;
    if (target === undefined) throw new Error(`the package has no entry '${entry}'`);
    return this.sourceOf(target);
  }

  sourceOf(dist) {
    return join(this.root, dist.replace('./dist/', 'src/').replace(/\.js$/, '.ts'));
  }

  /** Whether `nn#init.zeros_` can be imported and is defined. */
  async exists(name) {
    const { entry, path } = parts(name);
    const dist = this.entryFile(entry).replace(join(this.root, 'src'), join(this.root, 'dist')).replace(/\.ts$/, '.js');
    if (!this.modules.has(dist)) this.modules.set(dist, await import(dist));
    let value = this.modules.get(dist);
    for (const key of path) {
      if (value === undefined || value === null) return false;
      const inner = Object(value);
      value = key in inner ? inner : inner.prototype !== undefined && key in inner.prototype ? inner.prototype : undefined;
      if (value === undefined) return false;
      // Getters of a prototype would run without an object: that they are there is enough.
      const getter = value !== this.modules.get(dist) && Object.getOwnPropertyDescriptor(value, key)?.get;
      if (getter) return true;
      value = value[key];
    }
    return value !== undefined;
  }

  /** The file, below the root, that declares it. */
  fileOf(name) {
    const { entry, path } = parts(name);
    const found = this.declares(this.entryFile(entry), path[0], new Set());
    if (found === undefined) throw new Error(`'${name}': no file of src/ declares it`);
    const space = path.length > 1 ? this.namespaceFile(found, path[0]) : undefined;
    const file = space === undefined ? found : (this.declares(space, path[1], new Set()) ?? found);
    return relative(this.root, file).replaceAll('\\', '/');
  }

  text(file) {
    if (!this.texts.has(file)) {
      const text = readFileSync(file, 'utf8').replace(/\/\*[\s\S]*?\*\/|^\s*\/\/.*$/gm, '');
      this.texts.set(file, text);
    }
    return this.texts.get(file);
  }

  target(from, specifier) {
    if (specifier.startsWith('#')) {
      const imports = this.package.imports[specifier];
      return this.sourceOf(imports.node ?? imports.default);
    }
    const file = resolve(dirname(from), specifier).replace(/\.js$/, '.ts');
    return existsSync(file) ? file : undefined;
  }

  /** `export * as init from './initAll.js'`: the namespace's file. */
  namespaceFile(file, name) {
    const found = new RegExp(`export \\* as ${name} from '([^']+)'`).exec(this.text(file));
    return found ? this.target(file, found[1]) : undefined;
  }

  declares(file, name, seen) {
    if (file === undefined || seen.has(file)) return undefined;
    seen.add(file);
    const text = this.text(file);
    const declared = new RegExp(
      `export (?:declare )?(?:abstract )?(?:async )?(?:class|function\\*?|const|let) ${escaped(name)}\\b|export \\* as ${escaped(name)} `,
    );
    if (declared.test(text)) return file;
    for (const [, names, specifier] of text.matchAll(/export \{([^}]*)\}(?: from '([^']+)')?/g)) {
      const local = localName(names, name);
      if (local === undefined) continue;
      if (specifier !== undefined) return this.declares(this.target(file, specifier), local, seen);
      return this.imported(file, text, local, seen) ?? file;
    }
    if (new RegExp(`export const (?:\\{|\\[)[^=]*\\b${escaped(name)}\\b[^=]*(?:\\}|\\])[^=]*=`).test(text)) return file;
    for (const [, specifier] of text.matchAll(/export \* from '([^']+)'/g)) {
      const found = this.declares(this.target(file, specifier), name, seen);
      if (found !== undefined) return found;
    }
    return undefined;
  }

  imported(file, text, local, seen) {
    for (const [, names, specifier] of text.matchAll(/import \{([^}]*)\} from '([^']+)'/g)) {
      const original = localName(names, local);
      if (original !== undefined) return this.declares(this.target(file, specifier), original, seen);
    }
    return undefined;
  }
}

export function parts(name) {
  const [entry, path] = name.includes('#') ? name.split('#') : ['', name];
  return { entry, path: path.split('.') };
}

const escaped = (name) => name.replaceAll('$', '\\$');

/** In `a, type B, c as d`: what `d` is called inside. */
function localName(list, name) {
  for (const item of list.split(',').map((text) => text.trim())) {
    const [local, outside = local] = item.split(/\s+as\s+/);
    if (outside === name) return local;
  }
  return undefined;
}
