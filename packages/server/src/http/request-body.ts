import { LimitExceededError } from '../errors.ts';
import { concat } from './concat.ts';
import type { HttpRequest } from './http-request.ts';

/** The whole body. Throws `LimitExceededError`, where the length is declared before anything is read. */
export async function collectBody(request: HttpRequest, limit: number): Promise<Uint8Array> {
  const { bodyLength } = request;
  if (bodyLength === 0) return concat([]);
  if (bodyLength !== undefined && bodyLength > limit) throw tooLarge(limit);
  const whole = request.takeBody?.();
  if (whole !== undefined) {
    if (whole.length > limit) throw tooLarge(limit);
    return whole;
  }
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of request.body()) {
    length += chunk.length;
    if (length > limit) throw tooLarge(limit);
    if (chunk.length > 0) chunks.push(chunk);
  }
  return concat(chunks);
}

function tooLarge(limit: number): LimitExceededError {
  return new LimitExceededError('body', limit, `The body has more than ${limit} bytes: append it in parts`);
}
