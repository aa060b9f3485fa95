/**
 * The client's side, as light as it can be: the load comes from the same two cores as the answers. A connection sends requests one after the
 * other and reads just as much of each response as it takes to know where it ends.
 */
import { connect } from 'node:net';

const HEAD_END = Buffer.from('\r\n\r\n');
/** Where all connections read to, one after the other: what is kept of it is copied. A buffer for each read would cost more than the reading. */
const READ_BUFFER = Buffer.allocUnsafeSlow(256 * 1024);
const LAST_CHUNK = Buffer.from('\r\n0\r\n\r\n');

/** One keep-alive connection for requests with a response that ends. */
export class Connection {
  #port;
  #socket;
  #settle;
  #parts = [];
  #size = 0;
  /** Bytes of the whole response, once its head has come; -1: chunked. */
  #expected;
  #bodyAt = 0;
  #head = '';

  constructor(port) {
    this.#port = port;
    this.#connect();
  }

  #connect() {
    const callback = (size, buffer) => {
      this.#take(buffer.subarray(0, size));
      return true;
    };
    this.#socket = connect({
      port: this.#port,
      host: '127.0.0.1',
      noDelay: true,
      onread: { buffer: READ_BUFFER, callback },
    });
    this.#socket.on('error', (error) => this.#settle?.reject(error));
    this.#socket.on('close', () => this.#settle?.reject(new Error(`closed after ${this.#size} bytes: ${this.#head}`)));
  }

  /** Resolves with status, head and number of bytes of the body, and the body itself where it is wanted. */
  request(bytes, { wantsBody = false } = {}) {
    // A server closes what was idle for some seconds.
    if (this.#socket.destroyed) this.#connect();
    this.#parts = [];
    this.#size = 0;
    this.#expected = undefined;
    return new Promise((resolve, reject) => {
      this.#settle = { resolve, reject, wantsBody };
      this.#socket.write(bytes);
    });
  }

  close() {
    this.#settle = undefined;
    this.#socket.destroy();
  }

  #take(data) {
    const { wantsBody } = this.#settle ?? {};
    this.#size += data.length;
    if (this.#expected === undefined || this.#expected === -1 || wantsBody) this.#parts.push(Buffer.from(data));
    if (this.#expected === undefined) this.#readHead();
    if (this.#expected === undefined) return;
    if (this.#expected === -1) {
      const tail = this.#parts.length === 1 ? this.#parts[0] : Buffer.concat(this.#parts.slice(-3));
      const ended =
        tail.subarray(-LAST_CHUNK.length).equals(LAST_CHUNK) ||
        tail.subarray(-9).equals(Buffer.from('\r\n\r\n0\r\n\r\n'));
      if (!wantsBody) this.#parts = this.#parts.slice(-3);
      if (ended) this.#done(this.#size - this.#bodyAt);
    } else if (this.#size >= this.#expected) {
      this.#done(this.#expected - this.#bodyAt);
    }
  }

  #readHead() {
    const all = this.#parts.length === 1 ? this.#parts[0] : Buffer.concat(this.#parts);
    const end = all.indexOf(HEAD_END);
    if (end < 0) return;
    this.#bodyAt = end + HEAD_END.length;
    this.#head = all.latin1Slice(0, this.#bodyAt);
    const length = /\r\ncontent-length: *(\d+)/i.exec(this.#head)?.[1];
    if (length !== undefined) this.#expected = this.#bodyAt + Number(length);
    else this.#expected = /\r\ntransfer-encoding: *chunked/i.test(this.#head) ? -1 : this.#bodyAt;
  }

  #done(bodyLength) {
    const { resolve, wantsBody } = this.#settle;
    this.#settle = undefined;
    const status = Number(this.#head.slice(9, 12));
    const body = wantsBody ? Buffer.concat(this.#parts).subarray(this.#bodyAt) : undefined;
    resolve({ status, head: this.#head, bodyLength, body });
  }
}

/** The text of a request. */
export function requestText(method, path, { headers = {}, body = '' } = {}) {
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  const length = body.length > 0 || method !== 'GET' ? `content-length: ${Buffer.byteLength(body)}\r\n` : '';
  return Buffer.concat([
    Buffer.from(`${method} ${path} HTTP/1.1\r\nhost: 127.0.0.1\r\n${lines.join('')}${length}\r\n`),
    Buffer.from(body),
  ]);
}

export const headerOf = (head, name) => new RegExp(`\\r\\n${name}: *([^\\r]*)`, 'i').exec(head)?.[1];

/** What a message ends in, and nothing else that is sent holds: readers count these. */
export const MARK = '~';
const MARK_BYTE = MARK.charCodeAt(0);

/** A message of `size` bytes. */
export const message = (size, fill = 'x') => fill.repeat(size - MARK.length) + MARK;

/** One reader of server-sent events, which counts messages and keeps nothing. */
export class EventReader {
  #socket;
  messages = 0;

  /** `onMessages` is called with how many came together. */
  constructor(port, path, onMessages = () => {}) {
    this.ready = new Promise((resolve, reject) => {
      this.#socket = connect({ port, host: '127.0.0.1' });
      this.#socket.on('error', reject);
      this.#socket.on('close', () => reject(new Error('closed before the first event')));
      this.#socket.on('data', (data) => {
        let count = 0;
        for (let at = data.indexOf(MARK_BYTE); at >= 0; at = data.indexOf(MARK_BYTE, at + 1)) count++;
        this.messages += count;
        // Head and first control event have come.
        if (resolve !== undefined && data.includes('upToDate')) resolve = resolve();
        if (count > 0) onMessages(count);
      });
    });
    this.#socket.write(`GET ${path} HTTP/1.1\r\nhost: 127.0.0.1\r\naccept: text/event-stream\r\n\r\n`);
  }

  pause() {
    this.#socket.pause();
  }

  close() {
    this.#socket.destroy();
  }
}
