import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { Connection, requestText } from './connection.mjs';

const host = fileURLToPath(new URL('host.mjs', import.meta.url));
export const PATH = '/v1/stream/';

/** A server in a process of its own, and a connection to control it by. */
export class Hosted {
  /** `nodeArgs`: flags of node for this server. */
  static async start(kind, nodeArgs = []) {
    const child = fork(host, [kind], {
      execArgv: ['--expose-gc', '--no-warnings', ...nodeArgs],
      env: { ...process.env, NODE_OPTIONS: '' },
    });
    const failed = once(child, 'exit').then(([code]) => Promise.reject(new Error(`${kind} ended with ${code}`)));
    failed.catch(() => {});
    const [port] = await Promise.race([once(child, 'message'), failed]);
    return new Hosted(child, port);
  }

  constructor(child, port) {
    this.child = child;
    this.port = port;
    this.control = new Connection(port);
  }

  async #ask(question) {
    this.child.send(question);
    const [answer] = await once(this.child, 'message');
    return answer;
  }

  usage() {
    return this.#ask('usage');
  }

  held() {
    return this.#ask('held');
  }

  async create(name, type = 'text/plain') {
    const { status, head } = await this.control.request(
      requestText('PUT', PATH + name, { headers: { 'content-type': type } }),
    );
    if (status !== 201) throw new Error(`PUT ${name}: ${head}`);
  }

  async append(name, body, type = 'text/plain') {
    const answer = await this.control.request(
      requestText('POST', PATH + name, { headers: { 'content-type': type }, body }),
    );
    if (answer.status !== 204 && answer.status !== 200) throw new Error(`POST ${name}: ${answer.head}`);
    return answer;
  }

  async stop() {
    this.control.close();
    const exited = once(this.child, 'exit');
    this.child.kill('SIGKILL');
    await exited;
  }
}
