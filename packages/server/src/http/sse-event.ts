import type { StreamEnd } from '../backends/backend.ts';
import { concat } from './concat.ts';

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
