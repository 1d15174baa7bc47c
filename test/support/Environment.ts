/** What a program under test inherits: not the variables that speak to these tests, which it would take for misspelt settings. */
export const inherited: NodeJS.ProcessEnv = Object.fromEntries(
  Object.entries(process.env).filter(([name]) => !name.startsWith("LAMPLIGHTER_")),
)
