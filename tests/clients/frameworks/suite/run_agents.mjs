// OpenAI's Agents SDK: an agent with a tool. Arguments: the API, the proxy's URL, the model.
import { Agent, OpenAIProvider, Runner, setTracingDisabled, tool } from '@openai/agents'
import { z } from 'zod'

const [api, url, name] = process.argv.slice(2)
setTracingDisabled(true)
const modelProvider = new OpenAIProvider({ baseURL: `${url}/v1`, apiKey: 'any', useResponses: api === 'Responses' })
const multiply = tool({
  name: 'multiply',
  description: 'Multiply two numbers.',
  parameters: z.object({ a: z.number(), b: z.number() }),
  execute: async ({ a, b }) => String(a * b),
})
const agent = new Agent({ name: 'Numbers', model: name, tools: [multiply] })
const result = await new Runner({ modelProvider }).run(agent, 'What is 6 times 7?')
const usage = result.runContext.usage
console.log(JSON.stringify({ text: result.finalOutput, input: usage.inputTokens, output: usage.outputTokens }))
