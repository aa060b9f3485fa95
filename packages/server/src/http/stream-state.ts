import type { StreamEnd, StreamState } from '../backends/backend.ts';
import type { LiveStream } from '../hub/index.ts';
import { expiryHeaders } from './expiry.ts';
import { formatOffset } from './offset-token.ts';
import { badRequest } from './refusal.ts';
import { encodeReason } from './writer-headers.ts';

const LF = 10;

/** Headers that say how a stream ended: name, value, … */
export function endHeaders(end: StreamEnd | undefined): string[] {
  if (end === undefined) return [];
  return end.kind === 'closed' ? ['stream-closed', 'true'] : ['stream-error', encodeReason(end.reason)];
}

/** Headers that say what a stream is: its type, its tail, its end, and when it expires. */
export function stateHeaders(state: StreamState): string[] {
  return [
    'content-type',
    state.config.contentType,
    'stream-next-offset',
    formatOffset(state, state.tail),
    ...endHeaders(state.end),
    ...expiryHeaders(state.config),
  ];
}

/** Throws 400 unless a message begins at the offset, or the stream of messages ends there. */
export async function requireMessageStart(stream: LiveStream, state: StreamState, offset: number): Promise<void> {
  // Appends and retention leave whole messages.
  if (offset === state.head || offset === state.tail) return;
  const reader = stream.read(offset - 1);
  try {
    const { chunks } = (await reader.next({ maxBytes: 1 })) as { chunks?: readonly Uint8Array[] };
    if (chunks?.[0]?.[0] !== LF) throw badRequest('The offset is inside of a message');
  } finally {
    reader.close();
  }
}
