import type { StreamEnd } from '../backends/backend.ts';
import { concat } from './concat.ts';
import { Frame } from './frame.ts';

const encoder = new TextEncoder();

/** Where the reader stands after an event. */
export interface ControlEvent {
  /** Token of the offset to go on from. */
  readonly next: string;
  readonly cursor: number;
  /** All that can be shown was. */
  readonly isUpToDate: boolean;
  /** The stream has ended, and all of it was shown. */
  readonly end: StreamEnd | undefined;
}

/**
 * One piece of an event stream: an event `data`, where there are lines for one, and the event `control` that goes with it. The id is
 * the token, so that a browser that connects again by itself sends it as `Last-Event-ID`. It stands on the first event of the two: who
 * has seen the data must not get it again.
 */
export function sseEvent(lines: Uint8Array | undefined, control: ControlEvent): Uint8Array {
  const id = `id:${control.next}\n`;
  const event = `event: control\ndata:${toJson(control)}\n\n`;
  if (lines === undefined) return encoder.encode(id + event);
  return concat([encoder.encode(`${id}event: data\n`), lines, encoder.encode(`\n${event}`)]);
}

/**
 * Tells a browser how long to wait before it connects again, in milliseconds. The reply ends because it is old, and nothing is wrong:
 * what comes meanwhile should not wait for three seconds.
 */
export const RETRY_SOON: Frame = new Frame(encoder.encode('retry:100\n\n'));
/**
 * What browsers do by themselves: where the server is gone, not all of them should ask ten times a second. It is a line of the event that
 * comes next, since a block of lines without data is no event, and not every client knows that.
 */
export const RETRY_LATER: Frame = new Frame(encoder.encode('retry:3000\n'));

function toJson({ next, cursor, isUpToDate, end }: ControlEvent): string {
  const isClosed = end?.kind === 'closed';
  return JSON.stringify({
    streamNextOffset: next,
    streamCursor: isClosed ? undefined : String(cursor),
    upToDate: isUpToDate ? true : undefined,
    streamClosed: isClosed ? true : undefined,
    streamError: end?.kind === 'failed' ? end.reason : undefined,
  });
}
