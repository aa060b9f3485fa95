/** Where and how a store on LMDB is kept. In a file of its own, so that who uses the package need not compile the types of `lmdb`. */
export interface LmdbStorageOptions {
  /**
   * Folder of the store; made if it is not there. Streams are in its file `data.mdb`, which grows as needed, uses again what is freed and
   * never shrinks. One process at a time: it is locked, and free again at once when its owner is killed. Not on a network file system.
   */
  readonly path: string;
  /**
   * When an append is acknowledged. `'disk'`: when the disk has it; it outlives a loss of power. `'os'`: when the system has it; it outlives
   * the process, but a loss of power may cost anything, the whole store too. Default `'disk'`.
   */
  readonly level?: 'os' | 'disk';
  /**
   * Bytes that `data.mdb` may have, about. What does not fit is refused with a `StorageError` whose `isFull` is set, and fits when
   * something was deleted or let go. The same happens by itself when only 8 MiB of the disk are free. At least 1 MiB; default: no limit.
   */
  readonly maxBytes?: number;
}
