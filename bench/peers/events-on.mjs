import { EventEmitter, on } from 'node:events';

/** `events.on` yields the array of arguments; `close` makes it end by itself, without an AbortController per reader. */
function open({ readers }) {
  const emitter = new EventEmitter({ captureRejections: false });
  emitter.setMaxListeners(0);
  const options = { close: ['end'] };
  return {
    write: (chunk) => emitter.emit('data', chunk),
    close: () => emitter.emit('end'),
    streams: Array.from({ length: readers }, () => on(emitter, 'data', options)),
  };
}

async function read(stream) {
  let chunks = 0;
  let bytes = 0;
  for await (const [chunk] of stream) {
    chunks++;
    bytes += chunk.byteLength;
  }
  return { chunks, bytes };
}

async function watch(stream, onChunk) {
  for await (const _args of stream) onChunk();
}

export const eventsOn = {
  id: 'events.on',
  label: 'events.on',
  kind: 'async',
  note: "`for await (const [chunk] of on(emitter, 'data', { close: ['end'] }))`",
  open,
  read,
  watch,
  churn() {
    const emitter = new EventEmitter();
    emitter.setMaxListeners(0);
    const options = { close: ['end'] };
    return {
      join: () => on(emitter, 'data', options),
      leave: (stream) => stream.return(),
      write: (chunk) => emitter.emit('data', chunk),
    };
  },
};
