import type { Storage, StorageWrite, StreamRecord } from './storage.ts';
import { toStorageError } from './to-storage-error.ts';

/** A write that the storage has not acknowledged yet. */
export interface PendingWrite {
  /** Where its bytes begin. */
  readonly offset: number;
  readonly chunks: readonly Uint8Array[];
  readonly size: number;
  /** What changes of the record. */
  readonly change: Partial<StreamRecord> | undefined;
  readonly reject: (reason: unknown) => void;
  /** Gets the offset after its bytes. */
  readonly resolve: (tail: number) => void;
  state: 'sent' | 'done' | 'lost';
}

/** Whose writes they are. Neither method may throw. */
export interface WriteOwner {
  /** In the order of the calls. The write is to be resolved. */
  acknowledged(write: PendingWrite): void;
  /** It failed, and all after it; what was sent before is still under way. They are rejected when this returns. */
  failed(write: PendingWrite, before: readonly PendingWrite[]): void;
}

/**
 * The writes of one stream that are under way. The storage takes them in the order of the calls, but may tell how they ended in any
 * order; here they are acknowledged in theirs, and one that fails takes all with it that were sent after it.
 */
export class WriteQueue {
  readonly #storage: Storage;
  readonly #owner: WriteOwner;
  /** Before `#first` they are acknowledged. */
  #writes: (PendingWrite | undefined)[] = [];
  #first = 0;
  /** Those too that are lost, as long as the storage has them. */
  #underWay = 0;
  #changes = 0;
  #idle: (() => void)[] | undefined;

  constructor(storage: Storage, owner: WriteOwner) {
    this.#storage = storage;
    this.#owner = owner;
  }

  /** Whether the record changes with one of them. */
  get changesRecord(): boolean {
    return this.#changes > 0;
  }

  send(pending: PendingWrite, write: StorageWrite): void {
    this.#writes.push(pending);
    this.#underWay++;
    if (pending.change !== undefined) this.#changes++;
    let written: Promise<void>;
    try {
      written = this.#storage.write(write);
    } catch (error) {
      written = Promise.reject(error);
    }
    written.then(
      () => this.#done(pending),
      (reason) => this.#failed(pending, reason),
    );
  }

  /** Resolves when none is under way. */
  settled(): Promise<void> {
    return this.#underWay <= 0 ? Promise.resolve() : new Promise((resolve) => (this.#idle ??= []).push(resolve));
  }

  /** Nobody waits for them any more: what is under way rejects, however it ends. */
  abandon(reason: unknown): void {
    this.#lose(this.#first, reason);
    this.#underWay = 0;
    this.#tellIdle();
  }

  #done(pending: PendingWrite): void {
    this.#underWay--;
    if (pending.state === 'sent') {
      pending.state = 'done';
      const writes = this.#writes;
      for (let first = writes[this.#first]; first?.state === 'done'; first = writes[this.#first]) {
        writes[this.#first++] = undefined;
        if (first.change !== undefined) this.#changes--;
        this.#owner.acknowledged(first);
      }
      this.#compact();
    }
    this.#tellIdle();
  }

  #failed(pending: PendingWrite, reason: unknown): void {
    this.#underWay--;
    if (pending.state === 'sent') {
      const at = this.#writes.indexOf(pending, this.#first);
      this.#owner.failed(pending, this.#writes.slice(this.#first, at) as PendingWrite[]);
      this.#lose(at, toStorageError(reason));
    }
    this.#tellIdle();
  }

  #lose(from: number, reason: unknown): void {
    for (const write of this.#writes.splice(from) as PendingWrite[]) {
      write.state = 'lost';
      if (write.change !== undefined) this.#changes--;
      write.reject(reason);
    }
    this.#compact();
  }

  #compact(): void {
    if (this.#first === this.#writes.length) {
      if (this.#first === 1) this.#writes.pop();
      else this.#writes.length = 0;
      this.#first = 0;
    } else if (this.#first >= 1024 && this.#first * 2 > this.#writes.length) {
      this.#writes = this.#writes.slice(this.#first);
      this.#first = 0;
    }
  }

  #tellIdle(): void {
    const idle = this.#idle;
    if (this.#underWay > 0 || idle === undefined) return;
    this.#idle = undefined;
    for (const tell of idle) tell();
  }
}
