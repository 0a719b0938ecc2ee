// Lets the official SDK send each conversation of stdin ([{model, prompt, tools?}]) to a recording server on the
// loopback, both ways that it can. Prints [{streamed, generated}], each {method, path, headers, body}.
import { once } from "node:events";
import { createServer } from "node:http";
import { json } from "node:stream/consumers";
import { AugmentLanguageModel } from "@augmentcode/auggie-sdk";

const recorded = new Map();
const server = createServer(async (request, response) => {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  const [, key, ...path] = request.url.split("/");
  const body = Buffer.concat(chunks).toString("utf8");
  recorded.set(key, { method: request.method, path: `/${path.join("/")}`, headers: request.headers, body });
  response.writeHead(200, { "Content-Type": "application/x-ndjson" });
  response.end('{"text":"ok","stop_reason":1}\n');
});
server.listen(0, "127.0.0.1");
await once(server, "listening");

async function sent(key, { model, prompt, tools }, send) {
  const apiUrl = `http://127.0.0.1:${server.address().port}/${key}`;
  await send(new AugmentLanguageModel(model, { apiKey: "recorded-token", apiUrl }), { prompt, tools });
  return recorded.get(key);
}

const stream = async (model, options) => {
  for await (const _ of (await model.doStream(options)).stream);
};
const generate = (model, options) => model.doGenerate(options);

const results = [];
for (const [index, conversation] of (await json(process.stdin)).entries()) {
  results.push({
    // The copies are because the SDK must not see what an earlier call may have changed.
    streamed: await sent(`s${index}`, structuredClone(conversation), stream),
    generated: await sent(`g${index}`, structuredClone(conversation), generate),
  });
}
server.close();
server.closeAllConnections();
process.stdout.write(JSON.stringify(results));
