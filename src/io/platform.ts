/** A background thread that answers each message with one. */
export interface WorkerPort {
  post(message: unknown): void;
  onMessage(listener: (message: unknown) => void): void;
  /** Called when the thread fails or ends. */
  onError(listener: (error: Error) => void): void;
  terminate(): void;
}

/** What this package needs of the machine it runs on. Two implementations: Node and browsers, chosen by `#platform`. */
export interface Platform {
  /** All bytes of a file (Node) or of an address (browsers). */
  readFile(op: string, source: string | URL): Promise<Uint8Array>;
  /** Writes a file so that a reader sees the old content or the new one, never a part: on failure the old one stays. */
  writeFile(op: string, path: string | URL, chunks: readonly Uint8Array[]): Promise<void>;
  /** Where a file of an installed npm package lies, or undefined. */
  packageFile(name: string, file: string): string | undefined;
  /** The script in which datasets live that are read in the background. */
  readonly dataWorker: URL;
  startWorker(script: URL, name: string): WorkerPort;
  /** Lets timers, signals and finalizers run. */
  yieldNow(): Promise<void>;
}
