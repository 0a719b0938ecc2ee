// The AI SDK: a turn with a tool, streamed. Arguments: the API, the proxy's URL, the model.
import { createAnthropic } from '@ai-sdk/anthropic'
import { createOpenAI } from '@ai-sdk/openai'
import { createOpenAICompatible } from '@ai-sdk/openai-compatible'
import { stepCountIs, streamText, tool } from 'ai'
import { z } from 'zod'

const [api, url, name] = process.argv.slice(2)
const baseURL = `${url}/v1`
const models = {
  Chat: () => createOpenAI({ baseURL, apiKey: 'any' }).chat(name),
  Responses: () => createOpenAI({ baseURL, apiKey: 'any' }).responses(name),
  Messages: () => createAnthropic({ baseURL, apiKey: 'any' })(name),
  Compatible: () => createOpenAICompatible({ name: 'augment', baseURL, apiKey: 'any', includeUsage: true })(name),
}
const result = streamText({
  model: models[api](),
  prompt: 'What is 6 times 7?',
  stopWhen: stepCountIs(3),
  tools: {
    multiply: tool({
      description: 'Multiply two numbers.',
      inputSchema: z.object({ a: z.number(), b: z.number() }),
      execute: async ({ a, b }) => String(a * b),
    }),
  },
  onError: ({ error }) => {
    throw error
  },
})
const text = await result.text
const usage = await result.totalUsage
console.log(JSON.stringify({ text, input: usage.inputTokens, output: usage.outputTokens }))
