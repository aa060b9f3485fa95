import { type Answer, type CallOptions, type HttpClient, pathOf } from './http-client.ts';
import { isBroken } from './live-reader.ts';

/** Counts what all writers do. */
export class Counts {
  underWay = 0;
  acknowledged = 0;
  duplicates = 0;
  /** Told at each acknowledgement. */
  onAcknowledged: () => void = () => {};

  /** A request that counts as under way until it is answered. Undefined: the connection broke, nobody knows what became of it. */
  async call(client: HttpClient, method: string, name: string, options: CallOptions): Promise<Answer | undefined> {
    this.underWay++;
    try {
      const answer = await client.call(method, pathOf(name), options);
      this.acknowledged++;
      return answer;
    } catch (error) {
      if (!isBroken(error)) throw error;
      return undefined;
    } finally {
      this.underWay--;
      this.onAcknowledged();
    }
  }
}
