import { type Executor, type Plan, setAllocationListener, setExecutor } from '../ops/apply.js';
import { type Cost, costOf } from '../program/cost.js';
import { type Capture, SymbolicStorage, setCapture } from '../tensor/capturing.js';
import { setDrawListener } from '../tensor/generator.js';
import { getRandomState, setRandomState } from '../tensor/random.js';
import { Tensor } from '../tensor/tensor.js';

/** Arithmetic and memory traffic counted so far. */
export interface DryRunCounts extends Cost {
  readonly steps: number;
}

/** Works out shapes and costs, and computes nothing. */
class Counter implements Executor, Capture {
  flops = 0;
  bytes = 0;
  steps = 0;

  run(plan: Plan, inputs: readonly Tensor[], _scalars: readonly number[], into?: readonly Tensor[]): Tensor[] {
    let next = 0;
    const operand = (spec: Tensor['spec']) => ({ buffer: next++, spec, offset: 0 });
    const cost = costOf({
      kernel: plan.kernel,
      inputs: inputs.map((t) => operand(t.spec)),
      outputs: plan.outputs.map(operand),
      scalarBase: 0,
    });
    this.flops += cost.flops;
    this.bytes += cost.bytes;
    this.steps++;
    return plan.outputs.map((spec, i) => into?.[i] ?? new Tensor(spec, this.allocate(spec.bytes), 0, plan.device));
  }
  allocate(bytes: number): SymbolicStorage {
    return new SymbolicStorage(bytes);
  }
  readsGrad(): void {}
  setsGrad(): void {}
  guard(): void {}
  onReplay(): void {}
  repeats(): () => void {
    return () => undefined;
  }
}

/**
 * Runs `body` without computing or allocating anything: tensors made in it have shapes and no values, and a model of any size can be
 * built. `counts()` tells, at any time, what would have been done. Random streams stay where they are.
 */
export function dryRun<T>(body: (counts: () => DryRunCounts) => T): T {
  const counter = new Counter();
  const random = getRandomState();
  const executor = setExecutor(counter);
  const capture = setCapture(counter);
  const draws = setDrawListener(null);
  const listener = setAllocationListener(null);
  try {
    return body(() => ({ flops: counter.flops, bytes: counter.bytes, steps: counter.steps }));
  } finally {
    setExecutor(executor);
    setCapture(capture);
    setDrawListener(draws);
    setAllocationListener(listener);
    setRandomState(random);
  }
}
