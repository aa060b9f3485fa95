/** The limit: no queue, no promise, nobody may be slow. */

export const callbacks = {
  id: 'callbacks',
  label: 'synchronous callback loop',
  kind: 'sync',
  note: '`for (const listener of listeners) listener(chunk)` over an array: the limit; readers run inside the write',
  open({ readers }) {
    const listeners = [];
    const endings = [];
    return {
      write(chunk) {
        for (const listener of listeners) listener(chunk);
      },
      close() {
        for (const end of endings) end();
      },
      streams: Array.from({ length: readers }, () => (listener, end) => {
        listeners.push(listener);
        endings.push(end);
      }),
    };
  },
  read: (subscribe) =>
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
    }),
};
