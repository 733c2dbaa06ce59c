import type { Device } from '../tensor/device.js';
import type { Tensor, TensorData } from '../tensor/tensor.js';

/**
 * Reads values without making the device wait: where reading at once is cheap, it is done at once; elsewhere up to `depth` reads are
 * under way while further steps are computed. Values arrive in order.
 */
export class ReadQueue {
  private readonly pending: Promise<void>[] = [];

  constructor(private readonly depth: number = 8) {}

  /** Calls `use` with the values of `tensors`, now or a few steps later. */
  async push(tensors: readonly Tensor[], use: (values: readonly TensorData[]) => void): Promise<void> {
    const device: Device | undefined = tensors[0]?.device;
    if (device?.downloadNow !== undefined) {
      use(tensors.map((t) => t.toArray()));
      return;
    }
    this.pending.push(Promise.all(tensors.map((t) => t.data())).then(use));
    if (this.pending.length > this.depth) await this.pending.shift();
  }

  /** Waits until every value has arrived. */
  async drain(): Promise<void> {
    while (this.pending.length > 0) await this.pending.shift();
  }
}
