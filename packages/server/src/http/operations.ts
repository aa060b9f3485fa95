import type { HttpRequest } from './http-request.ts';
import type { Metrics } from './metrics.ts';
import type { Reply } from './reply.ts';

export interface OperationsOptions {
  /** What `/metrics` shows; none: there is no such path. */
  readonly metrics?: Metrics | undefined;
  /** What `/health` says: rejects if the server cannot work. */
  readonly check: () => Promise<unknown>;
}

const encoder = new TextEncoder();

/** Never to be taken for something else than text, by no page of another origin, never to be kept. */
const HEADERS = [
  'x-content-type-options',
  'nosniff',
  'cross-origin-resource-policy',
  'same-origin',
  'cache-control',
  'no-store',
];

function text(status: number, type: string, content: string): Reply {
  return { status, headers: ['content-type', type, ...HEADERS], body: encoder.encode(content) };
}

/** Whether a request is for those who run the server. */
export function isOperation({ path }: HttpRequest): boolean {
  return path === '/health' || path === '/metrics';
}

/**
 * Answers what those who run a server ask: `/health` (200, or 503 while it cannot work) and `/metrics`. Undefined: the request is for
 * the streams.
 */
export function operations(options: OperationsOptions): (request: HttpRequest) => Promise<Reply> | undefined {
  const { metrics, check } = options;

  async function health(): Promise<Reply> {
    try {
      await check();
      return text(200, 'text/plain; charset=utf-8', 'ok\n');
    } catch (error) {
      return text(503, 'text/plain; charset=utf-8', `${error instanceof Error ? error.message : 'not ok'}\n`);
    }
  }

  return (request) => {
    const { path } = request;
    if (!isOperation(request) || (path === '/metrics' && metrics === undefined)) return undefined;
    if (request.method !== 'GET' && request.method !== 'HEAD') {
      return Promise.resolve({ status: 405, headers: ['allow', 'GET, HEAD', ...HEADERS], body: undefined });
    }
    if (path === '/health') return health();
    return (metrics as Metrics)
      .text()
      .then((content) => text(200, 'text/plain; version=0.0.4; charset=utf-8', content));
  };
}
