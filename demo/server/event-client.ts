import { formatCount } from '../format.ts';
import { BrokenLine, overBrokenLine, request, type Take } from './client.ts';

/**
 * Server-sent events, as an `EventSource` reads them: an event counts when it is complete, a reply that ends is asked for again, and
 * `Last-Event-ID` says how far this client has come. With `cutBehind` its line breaks once, behind so many bytes of the events' text.
 */
export async function readEvents(
  url: string,
  take: Take,
  onOpen: () => void,
  cutBehind?: number,
): Promise<string | undefined> {
  let taken = 0;
  let lastId = '';
  let isClosed = false;
  let note: string | undefined;
  while (!isClosed) {
    const headers: Record<string, string> = lastId === '' ? {} : { 'last-event-id': lastId };
    const response = await request(`${url}?offset=-1&live=sse`, headers);
    onOpen();
    const isToBreak = cutBehind !== undefined && note === undefined;
    const body = isToBreak ? overBrokenLine(response, cutBehind) : (response as AsyncIterable<Buffer>);
    try {
      for await (const event of eventsOf(body)) {
        if (event.id !== '') lastId = event.id;
        if (event.name === 'control') isClosed ||= JSON.parse(event.data).streamClosed === true;
        if (event.name !== 'data') continue;
        const bytes = Buffer.from(event.data, 'base64');
        taken += bytes.length;
        take(bytes);
      }
    } catch (error) {
      if (!(error instanceof BrokenLine)) throw error;
      note = `resumed at byte ${formatCount(taken)}`;
    }
  }
  return note;
}

interface ServerEvent {
  name: string;
  data: string;
  id: string;
}

/** The events that are complete. One that is not when the body ends is dropped. */
async function* eventsOf(body: AsyncIterable<Buffer>): AsyncGenerator<ServerEvent> {
  // The text of the event that is not complete: joined only then, however many chunks it comes in.
  let parts: string[] = [];
  for await (const chunk of body) {
    const texts = chunk.toString('latin1').split('\n\n');
    const rest = texts.pop() as string;
    for (const text of texts) {
      parts.push(text);
      yield parseEvent(parts.join(''));
      parts = [];
    }
    parts.push(rest);
  }
}

function parseEvent(text: string): ServerEvent {
  const event = { name: 'message', data: '', id: '' };
  for (const line of text.split('\n')) {
    const value = line.slice(line.indexOf(':') + 1).trimStart();
    if (line.startsWith('event:')) event.name = value;
    else if (line.startsWith('data:')) event.data += value;
    else if (line.startsWith('id:')) event.id = value;
  }
  return event;
}
