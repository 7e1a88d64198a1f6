// Bun.serve, as it is.
const server = Bun.serve({
  hostname: "127.0.0.1",
  port: 0,
  fetch: () => new Response("hello world", { headers: { "content-type": "text/plain" } }),
});
console.log(`listening on 127.0.0.1:${server.port}`);
