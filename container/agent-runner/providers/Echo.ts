/** Answers with what was said: for first runs and tests. */
import type { Provider } from "./Provider.ts"

export const echo: Provider = {
  name: "echo",
  run: (prompt) =>
    Promise.resolve({ text: `echo: ${prompt.messages.map((message) => message.text).join("\n")}` }),
}
