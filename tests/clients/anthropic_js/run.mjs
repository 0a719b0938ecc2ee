// Runs one case with Anthropic's SDK and prints what came of it as JSON.
// stdin: {"url", "name", "given"}; stdout: what the case gives, or {"raised": …} where it throws.

import { readFileSync } from "node:fs";
import Anthropic from "@anthropic-ai/sdk";
import { jsonSchemaOutputFormat } from "@anthropic-ai/sdk/helpers/json-schema";
import { betaTool } from "@anthropic-ai/sdk/helpers/beta/json-schema";

const cases = {
  async create(client, { params }) {
    const { data, response, request_id } = await client.messages.create(params).withResponse();
    return { message: data, requestId: request_id, status: response.status };
  },

  async createStreamed(client, { params }) {
    const events = [];
    try {
      for await (const event of await client.messages.create({ ...params, stream: true })) events.push(event);
    } catch (error) {
      return { events, ...told(error) };
    }
    return { events };
  },

  async helper(client, { params }) {
    const heard = { text: [], inputJson: [], thinking: [], signature: [], contentBlock: [] };
    const stream = client.messages.stream(params);
    for (const name of Object.keys(heard)) stream.on(name, (value) => heard[name].push(value));
    return { message: await stream.finalMessage(), text: await stream.finalText().catch(() => null), heard };
  },

  // The loop as a client writes it: calls are run until the model asks for none.
  async loop(client, { params, answers, streamed }) {
    const messages = [...params.messages];
    for (let turn = 0; turn < 5; turn++) {
      const body = { ...params, messages };
      const message = streamed
        ? await client.messages.stream(body).finalMessage()
        : await client.messages.create(body);
      messages.push({ role: "assistant", content: message.content });
      if (message.stop_reason !== "tool_use") break;
      const calls = message.content.filter((block) => block.type === "tool_use");
      messages.push({
        role: "user",
        content: calls.map((call) => ({ type: "tool_result", tool_use_id: call.id, content: answers[call.name] })),
      });
    }
    return { messages };
  },

  // The SDK's own loop.
  async runner(client, { params, answer }) {
    const inputs = [];
    const tools = params.tools.map(({ name, description, input_schema }) =>
      betaTool({
        name,
        description,
        inputSchema: input_schema,
        run: (input) => {
          inputs.push(input);
          return answer;
        },
      }),
    );
    return { message: await client.beta.messages.toolRunner({ ...params, tools }), inputs };
  },

  async parse(client, { params, schema }) {
    const output_config = { format: jsonSchemaOutputFormat(schema) };
    const message = await client.messages.parse({ ...params, output_config });
    return message.parsed_output;
  },

  countTokens: (client, { params }) => client.messages.countTokens(params),

  async models(client, { limit, model }) {
    const listed = [];
    for await (const each of client.models.list({ limit })) listed.push(each);
    const missing = await client.models.retrieve("no-such-model").then(() => null, told);
    return { listed, found: await client.models.retrieve(model), missing };
  },

  async errors(client, { requests }) {
    const each = [];
    for (const params of requests) {
      each.push(await client.messages.create(params).then(() => null, told));
    }
    return each;
  },

  async retries(client, { params, maxRetries }) {
    return client.messages.create(params, { maxRetries });
  },
};

function told(error) {
  if (!(error instanceof Anthropic.APIError)) throw error;
  return {
    raised: {
      class: error.constructor.name,
      status: error.status ?? null,
      type: error.type ?? null,
      requestId: error.requestID ?? null,
      text: error.message,
      body: error.error ?? null,
    },
  };
}

const { url, name, given } = JSON.parse(readFileSync(0, "utf8"));
const client = new Anthropic({ baseURL: url, apiKey: "any", maxRetries: 0, timeout: 20_000 });
const outcome = await cases[name](client, given).catch(told);
process.stdout.write(JSON.stringify(outcome));
