import type { AnyModule } from '../nn/module.js';

/** Runs `body` with a model in training or evaluation mode; afterwards, also after an error, every module is in the mode of before. */
export async function withMode<T>(model: AnyModule, training: boolean, body: () => Promise<T>): Promise<T> {
  const before = model.modules().map((m) => [m, m.training] as const);
  model.train(training);
  try {
    return await body();
  } finally {
    for (const [m, mode] of before) m.training = mode;
  }
}
