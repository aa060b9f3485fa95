import { readdirSync, writeFileSync } from 'node:fs';
import { join, relative, sep } from 'node:path';

function scripts(folder) {
  return readdirSync(folder, { recursive: true })
    .map((file) => file.split(sep).join('/'))
    .filter((file) => file.endsWith('.js'));
}

/**
 * Writes the configuration of workerd and returns its path. Every file is a module of its own, as it is shipped; the
 * library's name is a module too. No Node compatibility: the library has to do with the web platform.
 */
export function writeWorkerdConfig(root) {
  const compiled = join(root, '.cache', 'conformance');
  const dist = join(root, 'packages', 'fanpipe', 'dist');
  const embed = (name, file) =>
    `    (name = ${JSON.stringify(name)}, esModule = embed ${JSON.stringify(relative(compiled, file).split(sep).join('/'))}),`;
  const modules = [
    embed('worker.mjs', join(root, 'test', 'runtimes', 'worker.mjs')),
    ...scripts(compiled).map((file) => embed(file, join(compiled, file))),
    '    (name = "fanpipe", esModule = "export * from \'./dist/index.js\';"),',
    ...scripts(dist)
      // What only `fanpipe/node` loads imports from Node.
      .filter((file) => file !== 'node.js' && !file.startsWith('interop/node-'))
      .map((file) => embed(`dist/${file}`, join(dist, file))),
  ];
  const config = join(compiled, 'workerd.capnp');
  writeFileSync(
    config,
    `using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (services = [(name = "conformance", worker = .worker)]);
const worker :Workerd.Worker = (
  compatibilityDate = "2026-11-01",
  modules = [
${modules.join('\n')}
  ],
);
`,
  );
  return config;
}
