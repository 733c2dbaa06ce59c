import { platform } from '#platform';
import { type ErrorCode, LibError } from '../core/errors.js';
import type { WorkerPort } from '../io/platform.js';
import type { Tensor } from '../tensor/tensor.js';
import { toTensors } from './collate.js';
import type { CollateOptions } from './collateHost.js';
import type { AsyncDataset } from './dataset.js';
import type { IdxFiles } from './idxSource.js';
import type { DatasetSource, Reply, Request } from './worker.js';

export interface WorkerDatasetOptions extends CollateOptions {
  /** Which export of the module makes (or is) the dataset. Default 'default'. */
  readonly export?: string;
  /** What the export is called with: anything that can be cloned. */
  readonly options?: unknown;
  /** Threads that load batches in turn. Each opens the dataset for itself. Default 1. */
  readonly workers?: number;
}

/** One thread and the requests that it has not answered yet. */
class Connection {
  private readonly waiting = new Map<number, { resolve(value: unknown): void; reject(error: Error): void }>();
  private readonly port: WorkerPort;
  private requests = 0;
  private ended: LibError | null = null;

  constructor(name: string) {
    this.port = platform.startWorker(platform.dataWorker, name);
    this.port.onMessage((message) => this.settle(message as Reply));
    this.port.onError((error) => {
      this.ended ??= new LibError('data', `WorkerDataset: the worker must keep running, got: ${error.message}.`);
      for (const { reject } of this.waiting.values()) reject(this.ended);
      this.waiting.clear();
    });
  }

  ask(request: { readonly open: DatasetSource } | { readonly indices: Int32Array }): Promise<unknown> {
    if (this.ended !== null) return Promise.reject(this.ended);
    const id = this.requests++;
    return new Promise((resolve, reject) => {
      this.waiting.set(id, { resolve, reject });
      this.port.post({ id, ...request } satisfies Request);
    });
  }

  private settle(reply: Reply): void {
    const asked = this.waiting.get(reply.id);
    this.waiting.delete(reply.id);
    if ('error' in reply) asked?.reject(new LibError(reply.error.code as ErrorCode, reply.error.message));
    else asked?.resolve(reply.value);
  }

  close(): void {
    this.port.terminate();
  }
}

/**
 * A dataset that is read in worker threads, ahead of the training step. The module's items are numbers, typed arrays and `HostArray`s;
 * their buffers are moved to this thread, not copied.
 * @example
 * const data = await WorkerDataset.open<[Tensor, Tensor]>(new URL('./frames.js', import.meta.url), { options: { size: 64 } });
 * for await (const [frames, labels] of new DataLoader(data, { batchSize: 32, shuffle: true, prefetch: 4 })) { … }
 */
export class WorkerDataset<B> implements AsyncDataset<B> {
  private next = 0;

  private constructor(
    readonly length: number,
    private readonly connections: readonly Connection[],
  ) {}

  static async open<B = readonly Tensor[]>(module: string | URL, options: WorkerDatasetOptions = {}): Promise<WorkerDataset<B>> {
    const { export: name = 'default', options: forDataset, workers = 1, ...collate } = options;
    if (!Number.isInteger(workers) || workers < 1)
      throw new LibError('value', `WorkerDataset: workers must be a positive integer, got ${workers}.`);
    const source: DatasetSource = { module: `${module}`, export: name, options: forDataset, ...collate };
    const connections = Array.from({ length: workers }, (_, i) => new Connection(`chainrule data ${i}`));
    try {
      const lengths = await Promise.all(connections.map((c) => c.ask({ open: source })));
      return new WorkerDataset<B>(lengths[0] as number, connections);
    } catch (error) {
      for (const c of connections) c.close();
      throw error;
    }
  }

  /** Images and labels of two IDX files, read and gathered in a worker: batches `[images (batch, 1, height, width), labels (batch,)]`. */
  static openIdx(files: IdxFiles, { workers = 1 }: { readonly workers?: number } = {}): Promise<WorkerDataset<readonly [Tensor, Tensor]>> {
    return WorkerDataset.open(new URL('./idxSource.js', import.meta.url), { export: 'openIdx', options: files, workers });
  }

  async fetchBatch(indices: Int32Array): Promise<B> {
    const connection = this.connections[this.next++ % this.connections.length] as Connection;
    return toTensors(await connection.ask({ indices })) as B;
  }

  /** Ends the threads. Otherwise they end with the program. */
  close(): void {
    for (const c of this.connections) c.close();
  }
}
