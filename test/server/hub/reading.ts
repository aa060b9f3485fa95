/** What tests read with. */
import type { CursorResult } from '../../../packages/server/src/backends/backend.ts';
import type { HubReader, LiveStream } from '../../../packages/server/src/hub/index.ts';

const encoder = new TextEncoder();

export const bytes = (text: string): Uint8Array => encoder.encode(text);

/** A result as text: what came, or how it ended. */
export function shown(result: CursorResult): string {
  if (result.end !== undefined) return result.end.kind === 'closed' ? '<closed>' : `<failed: ${result.end.reason}>`;
  return Buffer.concat([...result.chunks]).toString();
}

/** What the next step brings. */
export async function nextOf(reader: HubReader, maxBytes?: number): Promise<string> {
  return shown(await reader.next(maxBytes === undefined ? {} : { maxBytes }));
}

/** Reads on, up to so many bytes from where it stands. */
export async function readBytes(reader: HubReader, count: number): Promise<string> {
  let text = '';
  while (text.length < count) text += await nextOf(reader, count - text.length);
  return text;
}

export async function append(stream: LiveStream, text: string): Promise<void> {
  const { kind } = await stream.append([bytes(text)]);
  if (kind !== 'appended') throw new Error(`The append was refused: ${kind}`);
}

/** Whether a promise has settled by now: after all that can happen without anything from outside. */
export async function isSettled(promise: Promise<unknown>): Promise<boolean> {
  let settled = false;
  const note = (): void => {
    settled = true;
  };
  promise.then(note, note);
  await new Promise((resolve) => setImmediate(resolve));
  return settled;
}
