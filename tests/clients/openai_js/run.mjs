// Runs one case with OpenAI's SDK and prints what came of it as JSON.
// stdin: {"url", "name", "given"}; stdout: what the case gives, or {"raised": …} where it throws.

import { readFileSync } from "node:fs";
import OpenAI from "openai";

const cases = {
  // ------------------------------------------------------------- Responses

  async create(client, { params }) {
    const { data, response, request_id } = await client.responses.create(params).withResponse();
    return { response: data, text: data.output_text, requestId: request_id, status: response.status };
  },

  createStreamed: (client, { params }) => gathered(client.responses.create({ ...params, stream: true })),

  async helper(client, { params }) {
    const heard = [];
    const deltas = { "response.output_text.delta": "", "response.function_call_arguments.delta": "" };
    const stream = client.responses.stream(params);
    stream.on("event", ({ type }) => heard.push(type));
    for (const name of Object.keys(deltas)) stream.on(name, ({ delta }) => (deltas[name] += delta));
    const response = await stream.finalResponse();
    return { response, text: response.output_text, heard, deltas };
  },

  // The loop as a client writes it: calls are run until the model asks for none.
  async loop(client, { params, answers, streamed }) {
    const input = [...params.input];
    for (let turn = 0; turn < 5; turn++) {
      const body = { ...params, input };
      const response = streamed
        ? await client.responses.stream(body).finalResponse()
        : await client.responses.create(body);
      input.push(...response.output);
      const outputs = response.output.flatMap(({ type, call_id, name }) =>
        type === "function_call" || type === "custom_tool_call"
          ? [{ type: `${type}_output`, call_id, output: answers[name] }]
          : [],
      );
      if (outputs.length === 0) return { input, text: response.output_text };
      input.push(...outputs);
    }
    throw new Error("the model did not finish");
  },

  async errors(client, { requests }) {
    const each = [];
    for (const params of requests) each.push(await client.responses.create(params).then(() => null, told));
    return each;
  },

  async retries(client, { params, maxRetries }) {
    return client.responses.create(params, { maxRetries });
  },

  // ------------------------------------------------------ Chat Completions

  async chat(client, { params }) {
    const { data, request_id } = await client.chat.completions.create(params).withResponse();
    return { completion: data, requestId: request_id };
  },

  chatStreamed: (client, { params }) => gathered(client.chat.completions.create({ ...params, stream: true })),

  async chatHelper(client, { params }) {
    let content = "";
    const stream = client.chat.completions.stream(params).on("content", (delta) => (content += delta));
    return { completion: await stream.finalChatCompletion(), usage: await stream.totalUsage(), content };
  },

  // The SDK's own loop.
  async chatRunner(client, { params, answer, streamed }) {
    const inputs = [];
    const run = (input) => {
      inputs.push(input);
      return answer;
    };
    const tools = params.tools.map((tool) => ({
      ...tool,
      function: { ...tool.function, function: run, parse: JSON.parse },
    }));
    const runner = client.chat.completions.runTools({ ...params, tools, stream: streamed });
    return { content: await runner.finalContent(), inputs, roles: runner.messages.map(({ role }) => role) };
  },

  async chatErrors(client, { requests }) {
    const each = [];
    for (const params of requests) each.push(await client.chat.completions.create(params).then(() => null, told));
    return each;
  },

  // ---------------------------------------------------------------- models

  async models(client, { model }) {
    const listed = [];
    for await (const each of client.models.list()) listed.push(each);
    const missing = await client.models.retrieve("no-such-model").then(() => null, told);
    return { listed, found: await client.models.retrieve(model), missing };
  },
};

async function gathered(stream) {
  const events = [];
  try {
    for await (const event of await stream) events.push(event);
  } catch (error) {
    return { events, ...told(error) };
  }
  return { events };
}

function told(error) {
  if (!(error instanceof OpenAI.APIError)) throw error;
  const { status, code, type, param, requestID, message } = error;
  const known = { status, code, type, param, requestId: requestID };
  const nulls = Object.entries(known).map(([name, value]) => [name, value ?? null]);
  return { raised: { class: error.constructor.name, text: message, ...Object.fromEntries(nulls) } };
}

const { url, name, given } = JSON.parse(readFileSync(0, "utf8"));
const client = new OpenAI({ baseURL: url, apiKey: "any", maxRetries: 0, timeout: 20_000 });
const outcome = await cases[name](client, given).catch(told);
process.stdout.write(JSON.stringify(outcome));
