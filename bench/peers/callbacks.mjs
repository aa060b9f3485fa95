/** The limit: no queue, no promise, nobody may be slow. */

function open(listeners, add) {
  const endings = [];
  return {
    write(chunk) {
      for (const listener of listeners) listener(chunk);
    },
    close() {
      for (const end of endings) end();
    },
    subscribe(listener, end) {
      add(listener);
      endings.push(end);
    },
  };
}

const channel = ({ write, close, subscribe }, readers) => ({
  write,
  close,
  streams: Array.from({ length: readers }, () => subscribe),
});

const read = (subscribe) =>
  new Promise((resolve) => {
    let chunks = 0;
    let bytes = 0;
    subscribe(
      (chunk) => {
        chunks++;
        bytes += chunk.byteLength;
      },
      () => resolve({ chunks, bytes }),
    );
  });

export const callbacks = {
  id: 'callbacks',
  label: 'synchronous callback loop',
  kind: 'sync',
  note: '`for (const listener of listeners) listener(chunk)` over a Set, which a reader can leave at once; runs inside the write',
  open({ readers }) {
    const listeners = new Set();
    return channel(
      open(listeners, (listener) => listeners.add(listener)),
      readers,
    );
  },
  read,
};

export const callbackArray = {
  id: 'callbacks.array',
  label: 'the same over an array',
  kind: 'sync',
  note: 'the same over a plain array: the most that V8 can do, and leaving is O(readers)',
  open({ readers }) {
    const listeners = [];
    return channel(
      open(listeners, (listener) => listeners.push(listener)),
      readers,
    );
  },
  read,
};
