import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface FileServer {
  readonly url: string;
  readonly server: Server;
  /** What was asked for. */
  readonly asked: { requests: number; bytes: number };
}

/** Serves one file out of memory, in ranges, and counts what is asked for. */
export async function serve(name: string, bytes: Uint8Array): Promise<FileServer> {
  const asked = { requests: 0, bytes: 0 };
  const server = createServer((request, response) => {
    asked.requests++;
    // What was read of one version must not be joined with another: without a strong validator, ranges cannot be.
    response.setHeader('etag', '"first-version"').setHeader('accept-ranges', 'bytes');
    const [, from, to] = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? '') ?? [];
    const start = Number(from ?? 0);
    const end = to ? Math.min(Number(to) + 1, bytes.byteLength) : bytes.byteLength;
    if (request.url !== `/${name}`) return void response.writeHead(404).end();
    if (start >= end) return void response.writeHead(416, { 'content-range': `bytes */${bytes.byteLength}` }).end();
    const status = from === undefined ? 200 : 206;
    if (status === 206) response.setHeader('content-range', `bytes ${start}-${end - 1}/${bytes.byteLength}`);
    response.writeHead(status, { 'content-length': end - start, 'content-type': 'application/zip' });
    response.end(bytes.subarray(start, end));
    asked.bytes += end - start;
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/${name}`, server, asked };
}
