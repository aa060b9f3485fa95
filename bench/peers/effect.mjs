import { Effect, Exit, PubSub, Scope } from 'effect';

// `take` per chunk: `takeAll`, which returns all that is there as an array, was slower wherever the writer gives turns.

/** The last message of `endUnsafe`: a subscription delivers it after everything before, then forever. */
const END = Symbol('end');

function open({ readers }) {
  const pubsub = Effect.runSync(PubSub.unbounded());
  const scope = Scope.makeUnsafe();
  const subscribe = Scope.provide(PubSub.subscribe(pubsub), scope);
  return {
    write: (chunk) => PubSub.publishUnsafe(pubsub, chunk),
    close: () => PubSub.endUnsafe(pubsub, END),
    streams: Array.from({ length: readers }, () => Effect.runSync(subscribe)),
  };
}

const readAll = (subscription, onChunk) =>
  Effect.gen(function* () {
    for (;;) {
      const chunk = yield* PubSub.take(subscription);
      if (chunk === END) return;
      onChunk(chunk);
    }
  });

const read = (subscription) =>
  Effect.runPromise(
    Effect.gen(function* () {
      let chunks = 0;
      let bytes = 0;
      const take = PubSub.take(subscription);
      for (;;) {
        const chunk = yield* take;
        if (chunk === END) return { chunks, bytes };
        chunks++;
        bytes += chunk.byteLength;
      }
    }),
  );

function churn() {
  const pubsub = Effect.runSync(PubSub.unbounded());
  return {
    join() {
      const scope = Scope.makeUnsafe();
      Effect.runSync(Scope.provide(PubSub.subscribe(pubsub), scope));
      return scope;
    },
    leave: (scope) => Effect.runSync(Scope.close(scope, Exit.void)),
    write: (chunk) => PubSub.publishUnsafe(pubsub, chunk),
  };
}

export const effect = {
  id: 'effect',
  label: 'Effect PubSub 4.1.0',
  kind: 'async',
  note: '`PubSub.unbounded()`, `publishUnsafe`, a fiber per reader with `yield* PubSub.take(subscription)`',
  open,
  read,
  watch: (subscription, onChunk) => Effect.runPromise(readAll(subscription, onChunk)),
  churn,
};
