/** What the timers of the runtime do to a process that uses a monitor. */

import { spawn } from 'node:child_process';
import { describe, expect, test } from 'vitest';

const SETUP = `
  import { StalledReadMonitor } from ${JSON.stringify(new URL('./index.ts', import.meta.url).href)};
  const HOUR = 3_600_000;
  const silent = () => ({ [Symbol.asyncIterator]: () => ({ next: () => new Promise(() => {}) }) });
`;

/** Runs a script to its end. `lingered` is how long the process lived on after it wrote its last line, in milliseconds. */
function run(script: string): Promise<{ code: number | null; lines: string[]; lingered: number }> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, ['--import', 'tsx', '--input-type=module', '--eval', SETUP + script], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let out = '';
    let errors = '';
    let written = performance.now();
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      out += text;
      written = performance.now();
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      errors += text;
    });
    child.on('error', reject);
    child.on('close', (code) => {
      if (errors) reject(new Error(errors));
      else resolve({ code, lines: out.trim().split('\n'), lingered: performance.now() - written });
    });
  });
}

describe('a process with a monitor', () => {
  test('CLEAN: ends at once after use, and holds no timer', async () => {
    const { code, lines, lingered } = await run(`
      const rules = (monitor) => monitor.withTimeout(HOUR).withThrottle(1).minThroughput(1, { gracePeriod: HOUR });
      for await (const _ of rules(new StalledReadMonitor(['a', 'b']))) break;
      for await (const _ of rules(new StalledReadMonitor(['a', 'b']))) {}

      const returned = rules(new StalledReadMonitor(silent()));
      const first = returned.next();
      const second = returned.next();
      setTimeout(() => returned.return(), 5);
      await Promise.all([first, second]);

      const controller = new AbortController();
      const aborted = rules(new StalledReadMonitor(silent(), { signal: controller.signal }));
      setTimeout(() => controller.abort(), 5);
      await aborted.next().catch(() => {});

      const stalled = new StalledReadMonitor(silent()).withTimeout(5);
      await stalled.next().catch((error) => console.log(error.kind));

      const gate = new StalledReadMonitor(['a']).withThrottle(HOUR);
      const held = gate.next();
      await gate.return();
      await held;

      console.log(JSON.stringify(process.getActiveResourcesInfo().filter((kind) => kind === 'Timeout')));
    `);
    expect(lines).toEqual(['timeout', '[]']);
    expect(code).toBe(0);
    expect(lingered).toBeLessThan(1000);
  });

  test('lives until the stall of a source that has no handle of its own is reported', async () => {
    const { code, lines } = await run(`
      new StalledReadMonitor(silent()).withTimeout(50).next().catch((error) => console.log(error.code));
    `);
    expect(lines).toEqual(['ERR_FANPIPE_STALLED']);
    expect(code).toBe(0);
  });

  test('CLEAN: is not kept by a monitor that nobody asks', async () => {
    const { code, lines, lingered } = await run(`
      const monitor = new StalledReadMonitor(silent()).withTimeout(5).withThrottle(1).minThroughput(1, { gracePeriod: HOUR });
      await monitor.next().catch(() => {});
      console.log('stalled');
    `);
    expect(lines).toEqual(['stalled']);
    expect(code).toBe(0);
    expect(lingered).toBeLessThan(1000);
  });
});
