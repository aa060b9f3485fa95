import { spawnSync } from 'node:child_process';

/**
 * Runs npm with `args` in `cwd`: the npm that runs us where there is one, else the one on the PATH. Its output goes to
 * stderr. Returns undefined, or why it failed.
 */
export function npm(args, cwd) {
  const env = { ...process.env };
  // `npm run -s` hands its silence down, which would also hide this npm's errors.
  delete env.npm_config_loglevel;
  const options = { cwd, env, stdio: ['ignore', 2, 2] };
  const ours = process.env.npm_execpath;
  const done = /npm-cli\.c?js$/.test(ours ?? '')
    ? spawnSync(process.execPath, [ours, ...args], options)
    : spawnSync('npm', args, { ...options, shell: process.platform === 'win32' });
  if (done.error !== undefined) return `npm could not be started: ${done.error.message}`;
  return done.status === 0 ? undefined : `npm ${args[0]} failed (exit ${done.status ?? done.signal})`;
}
