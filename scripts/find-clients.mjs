#!/usr/bin/env node
/**
 * Where the programs are that `test/server/process/clients.test.ts` downloads and uploads with: curl, wget and aria2.
 *
 *   node scripts/find-clients.mjs [--install]     prints `NAME PATH` for each that there is, and why one is missing (exit 1)
 *
 * `FANPIPE_CURL`, `FANPIPE_WGET` and `FANPIPE_ARIA2C` name other binaries. With `--install` root on a system with `apt-get` installs
 * Debian's packages of those that are missing.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, realpathSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** Programs, and the Debian packages that have them. */
const PACKAGES = { curl: 'curl', wget: 'wget', aria2c: 'aria2' };
const FOLDERS = ['/usr/bin', '/usr/local/bin', '/opt/homebrew/bin'];

function find(name) {
  const variable = `FANPIPE_${name.toUpperCase()}`;
  const named = process.env[variable];
  if (named) return existsSync(named) ? { path: named } : { reason: `${variable} names ${named}, which is not there` };
  const path = FOLDERS.map((folder) => join(folder, name)).find((file) => existsSync(file));
  if (path !== undefined) return { path };
  return {
    package: PACKAGES[name],
    reason: `there is no ${name} (install Debian's package ${PACKAGES[name]}, or set ${variable} to a binary)`,
  };
}

/** `{ NAME: { path } }`, or with `{ reason }` why there is none. */
function findClients({ install = false } = {}) {
  const look = () => Object.fromEntries(Object.keys(PACKAGES).map((name) => [name, find(name)]));
  const clients = look();
  const missing = Object.values(clients).flatMap((client) => client.package ?? []);
  if (!install || missing.length === 0) return clients;
  if (process.getuid?.() !== 0 || spawnSync('apt-get', ['--version']).error !== undefined) return clients;
  process.stderr.write(`clients: installing from Debian: ${missing.join(', ')} …\n`);
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  for (const args of [['update'], ['install', '-y', '--no-install-recommends', ...missing]]) {
    if (spawnSync('apt-get', args, { stdio: ['ignore', 2, 2], env }).status === 0) continue;
    process.stderr.write(`clients: apt-get ${args[0]} failed\n`);
    break;
  }
  return look();
}

if (process.argv[1] !== undefined && realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) {
  for (const [name, { path, reason }] of Object.entries(findClients({ install: process.argv.includes('--install') }))) {
    if (path === undefined) {
      console.error(`clients: ${reason}`);
      process.exitCode = 1;
    } else console.log(`${name} ${path}`);
  }
}
