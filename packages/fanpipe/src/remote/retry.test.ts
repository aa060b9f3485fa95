import { describe, expect, test } from 'vitest';
import { FakeClock } from '../../../../test/support/fake-clock.ts';
import { Backoff, isRetryable, retryAfterOf } from './retry.ts';

const options = { attempts: 5, baseDelay: 100, maxDelay: 1000, timeLimit: 60_000 };
const headers = (fields: Record<string, string>): Headers => new Headers(fields);

describe('RESUME: when to try again', () => {
  test('the delay is anywhere up to a limit that doubles up to the cap', () => {
    const patient = { ...options, attempts: 8 };
    for (const [random, factor] of [
      [() => 0, 0],
      [() => 0.5, 0.5],
    ] as const) {
      const backoff = new Backoff(patient, new FakeClock(), random);
      const delays = Array.from({ length: 7 }, () => backoff.failed(0));
      expect(delays).toEqual([100, 200, 400, 800, 1000, 1000, 1000].map((limit) => limit * factor));
      expect(backoff.failed(0)).toBeNull();
    }
  });

  test('a byte starts the count and the time afresh', () => {
    const clock = new FakeClock();
    const backoff = new Backoff(options, clock, () => 0);
    for (let round = 0; round < 3; round++) {
      for (let failure = 1; failure < 5; failure++) expect(backoff.failed(0)).toBe(0);
      expect(backoff.failures).toBe(4);
      backoff.succeeded();
    }
  });

  test('no attempt begins after the time limit', async () => {
    const clock = new FakeClock();
    const backoff = new Backoff({ ...options, attempts: 100 }, clock, () => 0);
    expect(backoff.failed(0)).toBe(0);
    await clock.advance(60_000);
    expect(backoff.failed(0)).toBe(0);
    await clock.advance(1);
    expect(backoff.failed(0)).toBeNull();
  });

  test('a delay that would end behind the time limit is not waited for', () => {
    const backoff = new Backoff({ ...options, timeLimit: 400 }, new FakeClock(), () => 0.999);
    expect(backoff.failed(500)).toBeNull();
  });

  test('Retry-After is a least delay, up to the cap', () => {
    const backoff = new Backoff(options, new FakeClock(), () => 0.5);
    expect(backoff.failed(700)).toBe(700);
    expect(backoff.failed(1e12)).toBe(1000);
    expect(backoff.failed(1)).toBe(200);
  });

  test('however many attempts there are, a delay is a number', () => {
    const backoff = new Backoff({ ...options, attempts: 5000, baseDelay: 0 }, new FakeClock(), () => 0.5);
    const delays = new Set(Array.from({ length: 2000 }, () => backoff.failed(7)));
    expect(delays).toEqual(new Set([7]));
  });

  test('without retries the first failure is the last', () => {
    expect(new Backoff(false, new FakeClock(), () => 0).failed(0)).toBeNull();
  });

  test('Retry-After is seconds, or a date by the clock of the server', () => {
    const date = 'Tue, 15 Nov 1994 12:45:26 GMT';
    const later = 'Tue, 15 Nov 1994 12:45:56 GMT';
    expect(retryAfterOf(headers({ 'retry-after': '120' }))).toBe(120_000);
    expect(retryAfterOf(headers({ 'retry-after': later, date }))).toBe(30_000);
    expect(retryAfterOf(headers({ 'retry-after': date, date: later }))).toBe(0);
    const soon = new Date(Date.now() + 3_600_000).toUTCString();
    expect(retryAfterOf(headers({ 'retry-after': soon }))).toBeGreaterThan(3_500_000);
    for (const none of ['', 'soon', '-5', '1.5']) expect(retryAfterOf(headers({ 'retry-after': none })), none).toBe(0);
    expect(retryAfterOf(headers({}))).toBe(0);
  });

  test('the statuses that may pass', () => {
    const retried = Array.from({ length: 500 }, (_, n) => n + 100).filter(isRetryable);
    expect(retried).toEqual([408, 425, 429, 500, 502, 503, 504]);
  });
});
