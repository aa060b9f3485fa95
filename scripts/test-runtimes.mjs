#!/usr/bin/env node
/**
 * Runs the conformance suite on every runtime.
 *
 *   npm run test:runtimes [-- NAME…]       all runtimes, or those named
 *   node scripts/test-runtimes.mjs --path NAME     prints where the runtime's binary is, and runs nothing
 *
 * A runtime that cannot be had is skipped by name with its reason; with CI=true it counts as failed. Ends with the line
 * `N passed, N failed`; the exit code is 1 if anything failed.
 */
import { spawnSync } from 'node:child_process';
import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { findRuntime, root, runtimes, versionOf } from '../test/runtimes/runtimes.mjs';

const strict = /^(true|1)$/.test(process.env.CI ?? '');
const args = process.argv.slice(2);
const wantsPath = args[0] === '--path';
const named = wantsPath ? args.slice(1) : args;
const unknown = named.find((name) => !Object.hasOwn(runtimes, name));
if (unknown !== undefined || (wantsPath && named.length !== 1)) {
  console.error(`${unknown ?? 'One runtime'}: expected of ${Object.keys(runtimes).join(', ')}`);
  process.exit(2);
}

if (wantsPath) {
  const { path, reason } = findRuntime(named[0]);
  if (path === undefined) console.error(`${named[0]}: ${reason}`);
  else console.log(path);
  process.exit(path === undefined ? 1 : 0);
}

function step(what, args) {
  const done = spawnSync(process.execPath, args, { cwd: root, stdio: ['ignore', 2, 2] });
  if (done.status === 0) return;
  console.log(`${what} failed (exit ${done.status ?? done.signal})\n\n0 passed, 1 failed`);
  process.exit(1);
}

/** Runs one runtime: the row for the table, with the errors to print. */
async function run(name) {
  const { path, reason } = findRuntime(name);
  if (path === undefined) return { name, version: '', passed: 0, failed: strict ? 1 : 0, skipped: reason, errors: [] };
  const version = versionOf(name, path);
  const started = performance.now();
  let report;
  try {
    report = await runtimes[name].run(path);
  } catch (error) {
    return { name, version, passed: 0, failed: 1, errors: [`the run broke: ${error.message}`] };
  }
  const errors = report.failures.map(({ title, error }) => `${title}\n${error}`);
  if (!report.seesRejections) errors.push('the harness cannot see unhandled rejections here');
  for (const what of Object.keys(report.absent)) {
    if (!runtimes[name].absent.includes(what)) errors.push(`${what} is absent, which is not known of this runtime`);
  }
  const seconds = (performance.now() - started) / 1000;
  return { name, version, passed: report.passed, failed: errors.length, absent: report.absent, seconds, errors };
}

step('setup', [join(root, 'scripts', 'setup.mjs'), '--quiet']);
const typescript = join(root, 'node_modules', 'typescript');
const compiler = join(typescript, JSON.parse(readFileSync(join(typescript, 'package.json'), 'utf8')).bin.tsc);
rmSync(join(root, '.cache', 'conformance'), { recursive: true, force: true });
step('compiling the conformance suite', [compiler, '-p', join(root, 'test', 'conformance', 'tsconfig.json')]);

const rows = [];
for (const name of named.length > 0 ? named : Object.keys(runtimes)) {
  const row = await run(name);
  rows.push(row);
  const head = `${name.padEnd(11)} ${row.version.padEnd(16)}`;
  if (row.skipped !== undefined) {
    console.log(`${head} ${strict ? 'FAILED: cannot be had' : 'skipped'}: ${row.skipped}`);
    continue;
  }
  const absent = Object.entries(row.absent ?? {}).map(([what, cases]) => `${cases} for want of ${what}`);
  const counts = `${String(row.passed).padStart(4)} passed ${String(row.failed).padStart(4)} failed`;
  const time = row.seconds === undefined ? '' : ` ${row.seconds.toFixed(1).padStart(6)} s`;
  console.log(`${head}${counts}${time}${absent.length > 0 ? `   skipped: ${absent.join(', ')}` : ''}`);
  for (const error of row.errors) console.log(error.replace(/^/gm, '    '));
}

const sum = (key) => rows.reduce((total, row) => total + row[key], 0);
console.log(`\n${sum('passed')} passed, ${sum('failed')} failed`);
process.exitCode = sum('failed') > 0 ? 1 : 0;
