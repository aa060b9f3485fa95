import { CallbackError, StalledReadError } from '../errors.ts';
import type { ResolvedRemoteOptions } from './options.ts';
import { RetryableFailure } from './retry.ts';
import { startTimer } from './timer.ts';

/**
 * Fetches, and waits for the headers `timeout` milliseconds and no longer than somebody wants them: a fetcher may not heed its
 * signal. An answer that comes too late is left unread. Nothing stays behind: no timer, no listener, no rejection that nobody
 * handles.
 *
 * Silence aborts `request` with a `StalledReadError`.
 *
 * @throws RetryableFailure of whatever the fetcher failed with; the reason of `request` if that was aborted by somebody else
 */
export function timedFetch(
  url: string,
  init: RequestInit,
  { fetcher, clock, timeout }: ResolvedRemoteOptions,
  request: AbortController,
): Promise<Response> {
  return new Promise((resolve, reject) => {
    const { signal } = request;
    if (signal.aborted) {
      reject(signal.reason);
      return;
    }
    let isSettled = false;
    const settle = (): void => {
      isSettled = true;
      stopTimer();
      signal.removeEventListener('abort', aborted);
    };
    const aborted = (): void => {
      settle();
      reject(signal.reason);
    };
    const stopTimer = startTimer(clock, timeout, () => {
      const stall = new StalledReadError('timeout', timeout, `no headers came for ${timeout} ms.`);
      settle();
      request.abort(stall);
      reject(new RetryableFailure(stall));
    });
    signal.addEventListener('abort', aborted);
    call(fetcher, url, { ...init, signal }).then(
      (response) => {
        if (isSettled) {
          discard(response);
          return;
        }
        settle();
        if (isUnread(response)) resolve(response);
        else reject(new CallbackError('fetcher', 'returned no Response with a body to be read. Nothing was taken.'));
      },
      (error) => {
        if (isSettled) return;
        settle();
        reject(new RetryableFailure(error));
      },
    );
  });
}

/** Leaves a body that nobody will read, so that its connection is free. */
export function discard(response: Response): void {
  cancel(response).catch(() => {});
}

async function cancel(response: Response): Promise<void> {
  await response?.body?.cancel?.();
}

/** A throw becomes a rejection. */
async function call(fetcher: ResolvedRemoteOptions['fetcher'], url: string, init: RequestInit): Promise<Response> {
  return fetcher(url, init);
}

/** What a fetcher of the caller's returns may be anything; and no `instanceof`, since it may be of another realm. */
function isUnread(response: Response): boolean {
  try {
    const isResponse = typeof response?.status === 'number' && typeof response.headers?.get === 'function';
    return isResponse && !response.bodyUsed && response.body?.locked !== true;
  } catch {
    return false;
  }
}
