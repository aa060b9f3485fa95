import type { Channel } from '../core/channel.ts';
import type { ChunkNode } from '../core/chunk-node.ts';
import { Cursor } from '../core/cursor.ts';
import { DONE, type Seat } from '../core/seat.ts';
import { OffsetNotWrittenError } from '../errors.ts';
import { arrive, standAhead } from './range-borders.ts';

const NOTHING = new Uint8Array(0);

type Result = IteratorYieldResult<Uint8Array>;
type Batch = IteratorResult<readonly Uint8Array[], undefined>;

/**
 * The cursor of a range: it reads `[start, end)` as if nothing else had ever been written.
 *
 * ```text
 *   0          start        position            end          tail
 *   ├────────────┼─────────────┼─────────────────┼─────────────┤
 *                 read or missed│     lag        │ never seen
 * ```
 *
 * - While the tail is before the start, the stream waits there with a lag of 0. If the writer closes before, reads reject with
 *   an `OffsetNotWrittenError`.
 * - Nothing beyond the end is counted as lag or missed. The stream is detached, and done, as soon as its last byte was handed
 *   out; the writer may go on.
 *
 * It always has a seat, since whoever opened it counts it. So every read comes through the methods here, and a wake-up of a
 * parked one through `settleParked`.
 */
export class RangeCursor extends Cursor<Uint8Array> {
  readonly #start: number;
  readonly #end: number;
  /** Where the seat stands while the tail is before the start. */
  #ahead: ChunkNode<Uint8Array> | null = null;
  /** Bytes that were drawn from the seat, and those of them that were handed out: a chunk may reach beyond the end. */
  #drawn = 0;
  #delivered = 0;

  constructor(channel: Channel<Uint8Array>, node: ChunkNode<Uint8Array>, start: number, end: number) {
    super(channel, node);
    this.#start = start;
    this.#end = end;
  }

  /** The start lies beyond the tail. To be called once, right after opening. */
  waitAhead(): void {
    if (this.ending === null) this.#ahead = standAhead(this.#seat, this.#start);
  }

  get #seat(): Seat<Uint8Array> {
    return this.seat as Seat<Uint8Array>;
  }

  override get position(): number {
    return Math.min(Math.max(this.#seat.position, this.#start), this.#end);
  }

  override get lag(): number {
    return Math.max(0, Math.min(this.#seat.lag, this.#end - this.position));
  }

  override get missed(): number {
    const { missed, lag } = this.#seat;
    // The tail, or where it was when the stream was detached.
    const tail = this.#start + this.#drawn + missed + lag;
    return Math.max(0, Math.min(tail, this.#end) - this.#start) - this.#delivered - this.lag;
  }

  override next(): Promise<IteratorResult<Uint8Array, undefined>> {
    if (!this.#canTake()) return super.next();
    const result = this.#take();
    this.#endIfOver();
    return Promise.resolve(result);
  }

  override read(): Result | undefined | null {
    if (!this.#canTake()) return super.read();
    const result = this.#take();
    this.#endIfOver();
    return result;
  }

  override nextBatch(): Promise<Batch> {
    this.taken = 'for batches';
    // Where nothing is to be taken, a read of one waits, ends or fails as a read of all does.
    if (!this.#canTake()) return super.next() as Promise<unknown> as Promise<Batch>;
    const seat = this.#seat;
    let batch: Promise<Batch>;
    if (seat.position + seat.lag <= this.#end) {
      this.#drawn += seat.lag;
      this.#delivered += seat.lag;
      batch = super.nextBatch();
    } else {
      batch = Promise.resolve({ value: this.#takeAll(), done: false });
    }
    this.#endIfOver();
    return batch;
  }

  override fill(target: Uint8Array): number | null {
    if (!this.#canTake()) return super.fill(target);
    const room = this.#end - this.#seat.position;
    const filled = super.fill(target.length > room ? target.subarray(0, room) : target) as number;
    this.#drawn += filled;
    this.#delivered += filled;
    this.#endIfOver();
    return filled;
  }

  override settleParked(): void {
    const { channel } = this;
    while (this.waiter !== null) {
      this.#catchUp();
      if (!this.#hasChunk) {
        if (channel.state !== 'open' || this.ending !== null) this.settleEnded();
        else if (this.slot < 0) channel.park(this);
        return;
      }
      const result = this.taken === 'for batches' ? { value: this.#takeAll(), done: false } : this.#take();
      this.shiftWaiter()(result);
      this.#endIfOver();
    }
  }

  /** Whether a read may take something now. Whatever came before it is settled then. */
  #canTake(): boolean {
    if (this.waiter !== null) return false;
    this.#catchUp();
    return this.#hasChunk;
  }

  get #hasChunk(): boolean {
    const seat = this.#seat;
    return seat.ending === null && seat.trouble === null && seat.lag > 0 && seat.position < this.#end;
  }

  /** Acts on what has happened since the last read: the tail has come to the start, or never will. */
  #catchUp(): void {
    const seat = this.#seat;
    if (seat.ending !== null || seat.trouble !== null) return;
    if (seat.node === this.#ahead) {
      const { channel } = this;
      const tail = channel.tail.start;
      if (tail >= this.#start) {
        arrive(seat, this.#start);
        this.#ahead = null;
      } else if (channel.state === 'closed') {
        channel.detach(seat, { kind: 'failed', reason: new OffsetNotWrittenError(this.#start, tail) });
        return;
      }
    }
    if (seat.position < this.#end) return;
    // A policy has let go of all that was left. `onMissed` is told of that by a read, and one of nothing is enough.
    seat.locate();
    super.fill(NOTHING);
    this.#endIfOver();
  }

  /** Takes the next chunk, which must be there, and cuts it at the end. */
  #take(): Result {
    const seat = this.#seat;
    const room = this.#end - seat.position;
    const { waiter } = this;
    // A read leaves the chunk to those who wait, and this one is for the first of them.
    this.waiter = null;
    const result = super.read() as Result;
    this.waiter = waiter;
    const size = result.value.length;
    this.#drawn += size;
    this.#delivered += Math.min(size, room);
    if (size <= room) return result;
    const { value } = result;
    return { value: seat.copy ? value.slice(0, room) : value.subarray(0, room), done: false };
  }

  /** All chunks that are there, cut at the end. */
  #takeAll(): Uint8Array[] {
    const chunks: Uint8Array[] = [];
    do chunks.push(this.#take().value);
    while (this.#hasChunk);
    return chunks;
  }

  /** Detaches the stream, as done, if nothing of the range is left. */
  #endIfOver(): void {
    const seat = this.#seat;
    if (seat.ending === null && seat.position >= this.#end) this.channel.detach(seat, DONE);
  }
}
