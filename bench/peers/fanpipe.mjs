import { readBatches, readChunks, watchBatches, watchChunks } from './consumers.mjs';

/** `--ours` points at another build, whose address arrives here through the environment of the child. */
const { ByteWriter } = await import(process.env.FANPIPE_BENCH_OURS ?? 'fanpipe');

const REFERENCE = { copy: false };

function open({ readers, copy, replay, stream: streamOptions }, toStream) {
  const writer = replay === undefined ? new ByteWriter() : new ByteWriter({ replay });
  return {
    writer,
    write: copy ? (chunk) => writer.write(chunk) : (chunk) => writer.write(chunk, REFERENCE),
    close: () => writer.close(),
    streams: Array.from({ length: readers }, () => toStream(writer.stream(streamOptions))),
  };
}

function churn() {
  const writer = new ByteWriter();
  return {
    join: () => writer.stream(),
    leave: (stream) => stream.cancel(),
    write: (chunk) => writer.write(chunk, REFERENCE),
  };
}

export const perChunk = {
  id: 'fanpipe',
  label: 'fanpipe',
  kind: 'ours',
  note: '`for await (const chunk of writer.stream())`',
  open: (options) => open(options, (stream) => stream),
  read: readChunks,
  watch: watchChunks,
  churn,
};

export const batches = {
  id: 'fanpipe.batches',
  label: 'fanpipe batches()',
  kind: 'ours',
  note: '`for await (const chunks of writer.stream().batches())`, looping over each batch',
  open: (options) => open(options, (stream) => stream.batches()),
  read: readBatches,
  watch: watchBatches,
};
