import { concatMap, Subject } from 'rxjs';

function open({ readers }) {
  const subject = new Subject();
  return {
    write: (chunk) => subject.next(chunk),
    close: () => subject.complete(),
    streams: Array.from({ length: readers }, () => subject),
  };
}

export const rxjs = {
  id: 'rxjs',
  label: 'RxJS 7.8.2 Subject, concatMap',
  kind: 'async',
  note: '`subject.pipe(concatMap(async (chunk) => …)).subscribe()`: an asynchronous step per chunk, in order',
  open,
  read: (subject) =>
    new Promise((resolve, reject) => {
      let chunks = 0;
      let bytes = 0;
      const count = async (chunk) => {
        chunks++;
        bytes += chunk.byteLength;
      };
      subject.pipe(concatMap(count)).subscribe({ complete: () => resolve({ chunks, bytes }), error: reject });
    }),
  watch: (subject, onChunk) =>
    new Promise((complete, error) => {
      subject.pipe(concatMap(async () => onChunk())).subscribe({ complete, error });
    }),
  /** A reader whose first step never ends; a Subject keeps nothing for those who have not subscribed. */
  stall: (subject) => subject.pipe(concatMap(() => new Promise(() => {}))).subscribe(),
  churn() {
    const subject = new Subject();
    const step = async () => {};
    return {
      join: () => subject.pipe(concatMap(step)).subscribe(),
      leave: (subscription) => subscription.unsubscribe(),
      write: (chunk) => subject.next(chunk),
    };
  },
};

export const rxjsSync = {
  id: 'rxjs.sync',
  label: 'RxJS 7.8.2 Subject, synchronous',
  kind: 'sync',
  note: '`subject.subscribe((chunk) => …)`, which runs inside the write',
  open,
  read: (subject) =>
    new Promise((resolve, error) => {
      let chunks = 0;
      let bytes = 0;
      subject.subscribe({
        next(chunk) {
          chunks++;
          bytes += chunk.byteLength;
        },
        complete: () => resolve({ chunks, bytes }),
        error,
      });
    }),
};
