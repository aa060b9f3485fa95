import { watchChunks } from './consumers.mjs';

/** n readers need n - 1 tees. A balanced tree is fastest: log n hops per chunk rather than up to n. */
function split(stream, count, into) {
  if (count === 1) {
    into.push(stream);
    return;
  }
  const [left, right] = stream.tee();
  split(left, count >> 1, into);
  split(right, count - (count >> 1), into);
}

function source() {
  let controller;
  const stream = new ReadableStream({
    start(c) {
      controller = c;
    },
  });
  return { stream, controller };
}

function open({ readers }) {
  const { stream, controller } = source();
  const streams = [];
  split(stream, readers, streams);
  return { write: (chunk) => controller.enqueue(chunk), close: () => controller.close(), streams };
}

/** A loop of its own: `for await` over a ReadableStream is no faster, and with few readers slower. */
async function read(stream) {
  const reader = stream.getReader();
  let chunks = 0;
  let bytes = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return { chunks, bytes };
    chunks++;
    bytes += value.byteLength;
  }
}

export const tee = {
  id: 'tee',
  label: 'ReadableStream.tee()',
  kind: 'async',
  note: 'a balanced tree of tees over one default stream; `await reader.read()` per chunk',
  open,
  read,
  watch: watchChunks,
  churn() {
    let { stream: rest, controller } = source();
    return {
      join() {
        const [branch, next] = rest.tee();
        rest = next;
        return branch;
      },
      leave: (branch) => {
        branch.cancel();
      },
      write: (chunk) => controller.enqueue(chunk),
    };
  },
};
