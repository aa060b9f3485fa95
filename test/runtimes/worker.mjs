/** Runner for workerd: `workerd test` calls `test()`, the report goes to the log. */
import { runConformance } from './conformance.js';

export default {
  async test() {
    console.log(`report ${JSON.stringify(await runConformance('workerd', 'http://served.test/resource'))}`);
  },
};
