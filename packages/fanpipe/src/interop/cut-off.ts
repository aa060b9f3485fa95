import type { Cursor } from '../core/cursor.ts';
import { CancelledError } from '../errors.ts';

/**
 * How a stream was detached from outside rather than by being read to its end, as a reason in a box; null if it was not.
 *
 * A cancel of the stream becomes a `CancelledError`. Whatever reads a stream on behalf of something else must not let that
 * end well: an end says that all was read.
 */
export function cutOff(cursor: Cursor<unknown>): { readonly reason: unknown } | null {
  const { channel, ending } = cursor;
  if (ending?.kind === 'cancelled') return { reason: new CancelledError(ending.reason) };
  return ending?.kind === 'failed' && channel.state !== 'failed' ? { reason: ending.reason } : null;
}
