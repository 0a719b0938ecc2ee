// Has the official SDK hold each conversation of stdin ({url, token, conversations: [{model, prompt, tools?}]}) with a
// server, both ways that it can. Prints [{streamed: {parts, error?}, generated: {content, usage, finishReason, error?}}].
import { json } from "node:stream/consumers";
import { AugmentLanguageModel } from "@augmentcode/auggie-sdk";

const { url, token, conversations } = await json(process.stdin);

async function stream(model, options) {
  const parts = [];
  try {
    for await (const part of (await model.doStream(options)).stream) if (part.type !== "error") parts.push(part);
    return { parts };
  } catch (error) {
    return { parts, error: error.message };
  }
}

async function generate(model, options) {
  try {
    return await model.doGenerate(options);
  } catch (error) {
    return { error: error.message };
  }
}

const results = await Promise.all(
  conversations.map(async ({ model, prompt, tools }) => {
    const talk = (way) => way(new AugmentLanguageModel(model, { apiKey: token, apiUrl: url }), { prompt, tools });
    const [streamed, generated] = await Promise.all([talk(stream), talk(generate)]);
    return { streamed, generated };
  }),
);
process.stdout.write(JSON.stringify(results));
