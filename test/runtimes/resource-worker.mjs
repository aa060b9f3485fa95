/** What workerd's `fetch` reaches in place of a network: the resource of the cases with a real `fetch`, whatever the address. */
import { answerServed } from './resource.js';

export default {
  fetch(request) {
    const { status, headers, bytes } = answerServed(request.headers.get('range'));
    return new Response(bytes, { status, headers });
  },
};
