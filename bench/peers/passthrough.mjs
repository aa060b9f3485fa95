import { PassThrough, Readable } from 'node:stream';
import { readChunks, watchChunks } from './consumers.mjs';

/**
 * Object mode, because `for await` over a Node stream of bytes copies all that waits into one new buffer per step
 * (`read()` without a size), which is slower; so chunks keep their borders and are passed by reference. 'data'
 * listeners are faster still, but they are called from within `push`: the second variant, a synchronous one.
 */
const OPTIONS = { objectMode: true };

export function source() {
  const readable = new Readable({ read() {}, ...OPTIONS });
  readable.setMaxListeners(0);
  return readable;
}

function open({ readers }) {
  const readable = source();
  const streams = Array.from({ length: readers }, () => readable.pipe(new PassThrough(OPTIONS)));
  return { write: (chunk) => readable.push(chunk), close: () => readable.push(null), streams };
}

function churn() {
  const readable = source();
  return {
    join: () => readable.pipe(new PassThrough(OPTIONS)),
    leave(stream) {
      readable.unpipe(stream);
      stream.destroy();
    },
    write: (chunk) => readable.push(chunk),
  };
}

export const passthrough = {
  id: 'passthrough',
  label: 'pipe to PassThroughs',
  kind: 'async',
  note: 'one `Readable` piped to a `PassThrough` per reader, object mode, `for await (const chunk of passThrough)`',
  open,
  read: readChunks,
  watch: watchChunks,
  churn,
};

export const passthroughData = {
  id: 'passthrough.data',
  label: "PassThroughs, 'data' listeners",
  kind: 'sync',
  note: "as above, read by `on('data')`, which runs inside the write",
  open,
  read: (stream) =>
    new Promise((resolve, reject) => {
      let chunks = 0;
      let bytes = 0;
      stream.on('data', (chunk) => {
        chunks++;
        bytes += chunk.byteLength;
      });
      stream.on('end', () => resolve({ chunks, bytes }));
      stream.on('error', reject);
    }),
};
