#!/usr/bin/env node
/**
 * Where nginx is, the real server that `test/remote/nginx.test.ts` reads from.
 *
 *   node scripts/find-nginx.mjs [--install]     prints its path, or why there is none (exit 1)
 *
 * `FANPIPE_NGINX` names another binary. With `--install` root on a system with `apt-get` installs Debian's package where it is
 * missing.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, realpathSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const PATHS = ['/usr/sbin/nginx', '/usr/local/sbin/nginx', '/usr/local/bin/nginx', '/opt/homebrew/bin/nginx'];
const PACKAGE = 'nginx-light';

/** `{ path }` of nginx, or `{ reason }` why there is none. */
function findNginx({ install = false } = {}) {
  const named = process.env.FANPIPE_NGINX;
  if (named)
    return existsSync(named) ? { path: named } : { reason: `FANPIPE_NGINX names ${named}, which is not there` };
  const found = () => PATHS.find((path) => existsSync(path));
  let path = found();
  if (path !== undefined) return { path };
  const reason = `there is no nginx (install Debian's package ${PACKAGE}, or set FANPIPE_NGINX to a binary)`;
  if (!install || process.getuid?.() !== 0 || spawnSync('apt-get', ['--version']).error !== undefined)
    return { reason };
  process.stderr.write(`nginx: installing the Debian package ${PACKAGE} …\n`);
  // The run level of maintenance: the package is not to start a server of its own.
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive', RUNLEVEL: '1' };
  for (const args of [['update'], ['install', '-y', '--no-install-recommends', PACKAGE]]) {
    const done = spawnSync('apt-get', args, { stdio: ['ignore', 2, 2], env });
    if (done.status !== 0) return { reason: `${reason}; apt-get ${args[0]} failed` };
  }
  path = found();
  return path === undefined ? { reason } : { path };
}

if (process.argv[1] !== undefined && realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) {
  const { path, reason } = findNginx({ install: process.argv.includes('--install') });
  if (path === undefined) console.error(`nginx: ${reason}`);
  else console.log(path);
  process.exitCode = path === undefined ? 1 : 0;
}
