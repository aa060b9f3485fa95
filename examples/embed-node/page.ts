/** Logs in, starts a job and shows what it says. An `EventSource` that loses its connection goes on where it was, by itself. */
export const page = `<!doctype html>
<title>Jobs</title>
<button>Start a job</button>
<pre></pre>
<script>
  document.querySelector('button').onclick = async () => {
    await fetch('/login/ada', { method: 'POST' });
    const stream = (await fetch('/jobs', { method: 'POST' })).headers.get('location');
    const events = new EventSource(stream + '?live=sse&offset=-1');
    const output = document.querySelector('pre');
    output.textContent = '';
    events.addEventListener('data', ({ data }) => output.append(data));
    events.addEventListener('control', ({ data }) => {
      if (JSON.parse(data).streamClosed) events.close();
    });
  };
</script>
`;
