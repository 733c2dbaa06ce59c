import { nativeBackend } from '../../dist/backends/cpu/native.js';
import type { Backend } from '../../dist/program/backend.js';

/** The engines that this machine can run: every instruction set of the addon, with one thread and with several. */
export function cpuBackends(): readonly { readonly name: string; readonly backend: Backend }[] {
  const wanted = process.env.CHAINRULE_BACKEND;
  if (wanted !== undefined && wanted !== 'native') return [];
  const { isas } = nativeBackend().engineInfo();
  return [...isas.map((isa) => ({ isa, threads: 1 })), { isa: isas[0] as string, threads: 3 }].map(({ isa, threads }) => ({
    name: `native ${isa}, ${threads} threads`,
    backend: nativeBackend({ isa, threads }),
  }));
}
